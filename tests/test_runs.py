"""Runs: ids, validation, and what a killed, repeated, doubled or failing run leaves behind."""

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import shallow
from interrupted import SMALL, in_step, same_result, weights

import tcvae_tf as tc
from tcvae_tf import compare, files, provenance, results, runs, settings


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A run that nothing disturbed."""
    root = tmp_path_factory.mktemp("undisturbed")
    return root, tc.execute(SMALL, root, verbose=0)


# --- ids ------------------------------------------------------------------------------------------------------------


def test_an_id_is_readable_and_its_hash_covers_every_field():
    assert tc.Run(seed=3).id.startswith("dsprites-beta_tcvae-mlp1200-mws-b6-s3-")
    changed = {
        "dataset": "module:other",
        "method": "beta_vae",
        "estimator": "mss",
        "network": "conv",
        "prior": "flow",
        "head": "log_variance",
        "joint": "correlated",
        "fix": "a=1",
        "posterior": "laplace",
        "initializer": "keras",
        "learning_rate": 2e-3,
        "discriminator_learning_rate": 2e-4,
        "discriminator_batches": 1,
    }
    ids = set()
    for field in dataclasses.fields(tc.Run):
        own = field.name == "tc_weight" or field.name.startswith("discriminator_")
        run = tc.Run(method="factor_vae") if own else tc.Run()
        value = changed[field.name] if field.name in changed else getattr(run, field.name) + 1
        ids |= {run.id, dataclasses.replace(run, **{field.name: value}).id}
    assert len(ids) == len(dataclasses.fields(tc.Run)) + 2


@pytest.mark.parametrize(
    ("fields", "estimates_log_qz"),
    [
        ({}, True),
        ({"batch_size": 2047}, True),
        ({"method": "mine:build"}, True),
        ({"method": "vae", "lambda_annealing": 9}, True),
        ({"beta": 1.0}, False),
        ({"method": "vae"}, False),
        ({"method": "beta_vae", "beta": 4.0}, False),
        ({"method": "factor_vae"}, False),
    ],
)
def test_the_hash_covers_the_recipe_of_what_the_run_computes(monkeypatch, fields, estimates_log_qz):
    before = tc.Run(**fields).id
    names = {"RECIPE": True, "RECIPE_OF_LOG_QZ": estimates_log_qz}
    names["RECIPE_OF_LARGE_BATCHES"] = estimates_log_qz and fields.get("batch_size", 2048) >= 2048
    for name, concerned in names.items():
        with monkeypatch.context() as patch:
            patch.setattr(settings, name, getattr(settings, name) + 1)
            assert (tc.Run(**fields).id != before) == concerned


def test_fields_that_a_method_fixes_do_not_make_two_runs_of_one():
    assert tc.Run(method="vae", beta=4.0).id == tc.Run(method="vae", beta=9.0, estimator="mss").id
    assert tc.Run(method="beta_vae", beta=4.0, alpha=2.0).id == tc.Run(method="beta_vae", beta=4.0).id
    assert tc.Run(discriminator_width=7).id == tc.Run().id
    assert tc.Run(method="factor_vae", beta=3.0, estimator="mss").id == tc.Run(method="factor_vae").id
    assert tc.Run(width=1200).id == tc.Run().id
    annealed = {"method": "beta_vae", "lambda_annealing": 10}  # then the estimator counts
    assert tc.Run(estimator="mss", **annealed).id != tc.Run(**annealed).id
    vae, beta_vae = tc.Run(method="vae"), tc.Run(method="beta_vae", beta=4)
    assert (vae.alpha, vae.beta, vae.gamma) == (1, 1, 1)
    assert (beta_vae.alpha, beta_vae.beta, beta_vae.gamma) == (4, 4, 4)


def test_each_network_has_its_paper_s_width():
    widths = {name: tc.Run(network=name).width for name in settings.NETWORKS}
    assert widths == {"mlp": 1200, "conv": 512, "conv_plain": 128}
    assert tc.Run(network="conv", width=64).width == 64


def test_ids_tell_options_apart_at_a_glance():
    assert tc.Run(method="factor_vae", tc_weight=35).id.startswith("dsprites-factor_vae-mlp1200-tc35-s0-")
    assert "-laplace-flow-" in tc.Run(posterior="laplace", prior="flow").id


def test_factor_vae_as_two_papers_have_it():
    kim, chen = (tc.Run.named(f"factor_vae_{name}") for name in ("kim_mnih", "chen"))
    assert (kim.network, kim.batch_size, kim.steps, kim.learning_rate) == ("conv_plain", 64, 300_000, 1e-4)
    assert (kim.discriminator_width, kim.discriminator_batches, kim.discriminator_learning_rate) == (1000, 2, 1e-4)
    assert (kim.alpha, kim.beta, kim.gamma, kim.tc_weight) == (1, 1, 1, 35)
    assert (chen.network, chen.width, chen.batch_size) == ("mlp", 1200, 2048)
    images = len(tc.load("dsprites"))
    others = tc.Run(method="vae")
    assert chen.step_count(images // chen.images_per_step) == 2 * others.step_count(images // others.batch_size)
    assert tc.Run.named("factor_vae_chen", seed=3).seed == 3
    assert tc.Run.named("factor_vae_kim_mnih", epochs=1).steps == 0  # not the setting's 300,000


def test_ids_are_file_names():
    assert tc.Run(dataset="my.module:make").id.startswith("my.module_make-")


def test_numpy_numbers_are_numbers():
    assert tc.Run(width=np.int64(256), beta=np.float32(4)) == tc.Run(width=256, beta=4.0)


def test_execute_takes_a_run():
    with pytest.raises(TypeError, match=r"takes a tc.Run\(...\); got str"):
        tc.execute("beta_vae")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"method": "beta_tcvea"}, "did you mean 'beta_tcvae'"),
        ({"estimator": "mvs"}, "did you mean 'mws'"),
        ({"beta": -1.0}, "beta must be finite and not negative"),
        ({"beta": float("nan")}, "beta must be finite"),
        ({"latent_dim": 0}, "latent_dim must be at least 1"),
        ({"epochs": 2.5}, "epochs must be int"),
        ({"width": -1}, "width must not be negative"),
        ({"tc_weight": 10.0}, "tc_weight is for method factor_vae alone"),
        ({"method": "factor_vae", "discriminator_batches": 3}, "must be 1 or 2"),
        ({"beta_warmup": -1}, "beta_warmup must not be negative"),
        ({"beta": 1.0, "beta_warmup": 5}, "say method=beta_vae"),
        ({"posterior": "flow"}, "unknown posterior"),
    ],
)
def test_bad_fields_are_refused_in_one_line(fields, message):
    with pytest.raises(ValueError, match=message) as error:
        tc.Run(**fields)
    assert "\n" not in str(error.value)


# --- records --------------------------------------------------------------------------------------------------------


def test_the_record_holds_what_was_asked_measured_and_used(done):
    root, record = done
    promised = "id run mig mig_gaps elbo reconstruction mutual_information total_correlation dimension_kl "
    promised += "factor_vae_score steps seconds versions commit device data"
    assert set(promised.split()) <= set(record)
    assert record["run"] == dataclasses.asdict(SMALL)
    assert record == json.loads((root / SMALL.id / "record.json").read_text())
    per_epoch = len(tc.load("dsprites").thin(5)) // 64
    assert record["steps"] == 4 * per_epoch
    assert len(record["dimension_kl"]) == 4


def test_the_measures_are_those_of_the_saved_codes(done):
    root, record = done
    codes = tc.Codes.load(root / SMALL.id / "codes.npz")
    assert record["mig"] == tc.mig(codes).score
    kl = 0.5 * (codes.loc**2 + codes.scale**2 - 1 - 2 * np.log(codes.scale)).sum(axis=1).mean()
    assert record["elbo"] == pytest.approx(codes.log_px.mean() - kl, rel=1e-5)
    parts = tc.elbo_decomposition(codes)
    assert record["mutual_information"] == parts.mutual_information
    assert record["total_correlation"] == parts.total_correlation
    assert record["factor_vae_score"] == tc.factor_vae_score(codes).score
    assert None not in record.values()


def test_a_record_with_fewer_measures_is_measured_again_without_training(done, tmp_path, monkeypatch):
    root, record = done
    shutil.copytree(root / SMALL.id, tmp_path / SMALL.id)
    old = {name: value for name, value in record.items() if name not in ("measures", "total_correlation")}
    (tmp_path / SMALL.id / "record.json").write_text(json.dumps(old))
    assert runs.read_record(SMALL, tmp_path) is None
    monkeypatch.setattr(runs, "_train", None)
    monkeypatch.setattr(provenance, "processor", lambda: "another machine")
    assert tc.execute(SMALL, tmp_path, verbose=0) == record  # the device is that of the training


def test_a_finished_run_returns_at_once(done, monkeypatch):
    root, record = done
    monkeypatch.setattr(runs, "_train_and_measure", None)
    assert tc.execute(SMALL, root) == record


def test_a_record_of_other_images_under_the_same_name_is_not_taken(tmp_path, monkeypatch):
    """A stand-in's record, once the paper's own faces are there."""
    from tcvae_tf.datasets import cache

    monkeypatch.setenv("TCVAE_CACHE", str(tmp_path / "cache"))
    run = tc.Run(dataset="faces3d", network="conv")
    record = {"id": run.id, "run": dataclasses.asdict(run), "recipe": run.recipe, "measures": runs.MEASURES}
    home = tmp_path / run.id
    home.mkdir()
    (home / "record.json").write_text(json.dumps({**record, "data": {"source": "stand-in"}}))
    assert runs.read_record(run, tmp_path) is not None
    cache.directory().mkdir()
    (cache.directory() / "basel_face_renders.npy").touch()
    assert runs.read_record(run, tmp_path) is None


def test_a_finished_run_without_a_curve_says_so(done, caplog):
    root, record = done
    assert tc.execute(SMALL, root, verbose=0, measure_every=1) == record
    assert "trained without measuring; delete" in caplog.text


def test_a_record_of_another_run_is_not_taken(done, tmp_path):
    _, record = done
    home = tmp_path / SMALL.id
    home.mkdir()
    (home / "record.json").write_text(json.dumps({**record, "id": "another"}))
    assert runs.read_record(SMALL, tmp_path) is None


def test_a_record_of_another_run_with_the_same_id_is_not_taken(done, tmp_path):
    _, record = done
    home = tmp_path / SMALL.id
    home.mkdir()
    (home / "record.json").write_text(json.dumps({**record, "run": {**record["run"], "learning_rate": 0.5}}))
    assert runs.read_record(SMALL, tmp_path) is None


def test_data_without_a_factor_to_score_are_refused_before_training(tmp_path):
    with pytest.raises(ValueError, match="no factor has two values to score; lower thin"):
        tc.execute(dataclasses.replace(SMALL, thin=64, batch_size=1), tmp_path, verbose=0)


def test_a_user_s_own_data_set_and_what_is_said_when_it_has_changed(tmp_path, monkeypatch, caplog):
    def said():  # TensorFlow's own warnings depend on the tests before
        return [record.getMessage() for record in caplog.records if record.name == "tcvae_tf"]

    path = tmp_path / "stripes_data.py"
    path.write_text(
        "import numpy as np, tcvae_tf as tc\n"
        "def stripes():\n"
        "    cells = np.stack(np.unravel_index(np.arange(16), (4, 4)), -1)\n"
        "    images = np.zeros((16, 4, 4))\n"
        "    for image, (x, y) in zip(images, cells): image[x, y] = 1\n"
        "    return tc.datasets.from_arrays(images, cells, ('x', 'y'), name='stripes')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    run = tc.Run(dataset="stripes_data:stripes", method="vae", width=8, batch_size=8, steps=2)
    record = tc.execute(run, tmp_path / "runs", verbose=0)
    assert record["mig_gaps"].keys() == {"x", "y"} and record["data_source"]["file"] == "stripes_data.py"
    assert tc.execute(run, tmp_path / "runs", verbose=0) == record and not said()
    results.merge(tmp_path / "records.csv", [record])
    assert list(compare.recorded([run], tmp_path / "records.csv")) == [run]
    before = tc.load(run.dataset).sha256
    path.write_text(path.read_text().replace("image[x, y] = 1", "image[x, :y] = 1"))
    assert tc.load(run.dataset).sha256 != before
    assert not compare.recorded([run], tmp_path / "records.csv")
    assert tc.execute(run, tmp_path / "runs", verbose=0) == record
    (word,) = said()
    assert f"{run.id} was trained on images of another stripes_data.py than the present one; delete" in word


def test_work_on_a_data_set_of_one_s_own_that_has_changed_is_begun_anew(tmp_path):
    header = {"data": {"sha256": "same"}, "versions": {}, "device": "CPU", "data_source": {"sha256": "now"}}
    kept = {"id": SMALL.id, "run": dataclasses.asdict(SMALL), "recipe": SMALL.recipe, **header}
    for source, stays in (("now", True), ("before", False), ("", True)):
        home = tmp_path / f"of {source}"
        files.write_json(home / "run.json", {**kept, "data_source": {"sha256": source}})
        if not source:  # of a version that did not keep it
            files.write_json(home / "run.json", {name: kept[name] for name in kept if name != "data_source"})
        (home / "checkpoint").mkdir()
        (home / runs.CHECKPOINT).write_bytes(b"a model")
        runs._drop_foreign_work(home, SMALL, header)
        assert (home / runs.CHECKPOINT).exists() is stays


def test_the_same_images_from_another_source_are_not_trained_on_again(copied, done, monkeypatch):
    asked = files.read_json(copied / "run.json")
    files.write_json(copied / "run.json", {**asked, "data": {**asked["data"], "source": "npz"}})
    (copied / "record.json").unlink()
    monkeypatch.setattr(runs, "_train", None)
    found, (_, record) = tc.execute(SMALL, copied.parent, verbose=0), done
    assert same_result({**found, "data": record["data"]}, record)


def test_data_with_one_factor_are_trained_and_measured(tmp_path):
    run = dataclasses.replace(SMALL, fix="orientation=0,posX=0,posY=0,shape=0")
    record = tc.execute(dataclasses.replace(run, thin=1, batch_size=3, steps=2), tmp_path, verbose=0)
    assert list(record["mig_gaps"]) == ["scale"] and record["mig"] >= 0
    assert record["beta_vae_score"] is None


# --- FactorVAE and curves -------------------------------------------------------------------------------------------

FACTOR = dataclasses.replace(SMALL, method="factor_vae", discriminator_width=8, epochs=2)


def test_a_factor_vae_that_stopped_within_an_epoch_ends_with_the_same_bits_of_both_networks(tmp_path, monkeypatch):
    from tcvae_tf import callbacks

    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(tc.networks, "mlp", lambda shape, latents, *options: shallow.networks(shape, latents))
    monkeypatch.setattr(tc.networks, "discriminator", lambda latents, width, seed: shallow.discriminator(latents))
    monkeypatch.setattr(runs, "SHORT", 0)  # compiled by XLA
    with monkeypatch.context() as patch:
        patch.setattr(runs, "_AT_A_TIME", 1)
        record = tc.execute(FACTOR, tmp_path / "whole", verbose=0)
    with monkeypatch.context() as patch:  # two steps at a time, which divide its epochs of six
        patch.setattr(callbacks.Progress, "on_train_batch_end", in_step(8, stop))
        patch.setattr(callbacks.Checkpoint, "on_train_batch_end", in_step(4, callbacks.Checkpoint._save))
        with pytest.raises(KeyboardInterrupt):
            tc.execute(FACTOR, tmp_path / "cut", verbose=0)
    assert same_result(tc.execute(FACTOR, tmp_path / "cut", verbose=0), record)
    for a, b in zip(weights(tmp_path / "cut", FACTOR), weights(tmp_path / "whole", FACTOR), strict=True):
        assert np.array_equal(a, b)
    assert record["steps"] == 2 * (len(tc.load("dsprites").thin(5)) // 128)  # two batches a step
    assert 0.4 < record["discriminator"]["accuracy"] < 0.8
    trained = runs.from_preset(FACTOR, tmp_path / "cut")
    assert isinstance(trained, tc.FactorVAE) and trained.steps_per_execution == 1
    (tmp_path / "whole" / FACTOR.id / "record.json").unlink()
    monkeypatch.setattr(runs, "_train", None)  # measured again, the discriminator's words are kept
    assert tc.execute(FACTOR, tmp_path / "whole", verbose=0) == record


# --- the model of a finished run ------------------------------------------------------------------------------------


def test_a_trained_model_is_had_by_id_by_its_beginning_by_path_and_by_run(done, squares):
    root, _ = done
    codes = tc.Codes.load(root / SMALL.id / "codes.npz")
    data = tc.load("dsprites").thin(5)
    vae = runs.from_preset(SMALL.id, root)
    assert isinstance(vae, tc.VAE)
    assert np.array_equal(tc.encode(vae, data, verbose=0).loc, codes.loc)
    for name in (SMALL.id[:-3], root / SMALL.id, f"{root / SMALL.id}/", SMALL):
        other = runs.from_preset(name, root)
        assert all(np.array_equal(a, b) for a, b in zip(other.get_weights(), vae.get_weights(), strict=True))
        assert int(other.step.value) == int(vae.step.value)
    assert runs.find(SMALL.id, root) == root / SMALL.id


def refusal(name, root):
    with pytest.raises(ValueError) as error:
        runs.from_preset(name, root)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def copied(done, tmp_path):
    """A finished run that may be damaged."""
    shutil.copytree(done[0] / SMALL.id, tmp_path / SMALL.id)
    return tmp_path / SMALL.id


def test_an_unknown_run_has_the_nearest_suggested_and_a_beginning_of_several_is_refused(copied):
    root = copied.parent
    assert refusal(f"{SMALL.id[:-1]}?", root) == f"no run '{SMALL.id[:-1]}?' in {root}; did you mean {SMALL.id}?"
    assert "there are 1 runs" in refusal("x", root)
    shutil.copytree(copied, root / f"{SMALL.id}-copy")
    assert refusal(SMALL.id[:5], root) == f"2 runs in {root} begin with dspri: {SMALL.id}, {SMALL.id}-copy"
    assert isinstance(runs.from_preset(SMALL.id, root), tc.VAE)
    (root / f"{SMALL.id}-copy" / "record.json").unlink()
    assert runs.find(SMALL.id[:5], root) == root / SMALL.id  # the finished one


def test_a_run_that_failed_says_why_and_how_to_try_again(copied):
    (copied / "record.json").unlink()
    (copied / "error.txt").write_text("no space")
    words = refusal(SMALL.id, copied.parent)
    assert words.startswith(f"{SMALL.id} failed, see {copied / 'error.txt'}; to try it again: tcvae train --width=16")


def test_an_unfinished_run_says_how_to_finish_it(copied):
    (copied / "record.json").unlink()
    words = refusal(SMALL.id, copied.parent)
    command = f"tcvae train --width=16 --latent_dim=4 --batch_size=64 --epochs=4 --thin=5 --root={copied.parent}"
    assert words == f"{SMALL.id} is not finished; to go on with it: {command}"


def test_the_command_that_finishes_a_run_keeps_to_its_threads_and_quotes(copied, monkeypatch):
    header = files.read_json(copied / "run.json")
    assert "threads: 1" in header["device"]
    assert runs._command(header, Path("runs")).startswith("tcvae train --width=16")
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")  # else it would begin anew
    assert runs._command(header, Path("my runs")).startswith("TF_NUM_INTRAOP_THREADS=1 tcvae train --width=16")
    assert runs._command(header, Path("my runs")).endswith(" '--root=my runs'")


def test_a_model_that_was_removed_is_said_to_be(copied):
    shutil.rmtree(copied / "checkpoint")
    assert (
        f"the model was removed, the record is kept; to train it again: delete {copied}, then tcvae train"
        in refusal(SMALL.id, copied.parent)
    )


def test_a_model_that_cannot_be_read_is_told_with_the_version_that_wrote_it(copied):
    checkpoint = copied / "checkpoint" / "latest.keras"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    assert refusal(SMALL.id, copied.parent) == f"{checkpoint} cannot be read: File is not a zip file"
    header = json.loads((copied / "run.json").read_text())
    header["versions"]["tcvae_tf"] = "9.9"
    (copied / "run.json").write_text(json.dumps(header))
    assert refusal(SMALL.id, copied.parent).endswith(
        f"File is not a zip file; it was trained by tcvae_tf 9.9, this is {tc.__version__}"
    )
    header["run"]["momentum"] = 0.5
    (copied / "run.json").write_text(json.dumps(header))
    assert f"settings that tcvae_tf {tc.__version__} does not know; it is of 9.9" in refusal(SMALL.id, copied.parent)


def test_measuring_during_training_fills_history_and_changes_nothing(done, tmp_path):
    _, record = done
    assert same_result(tc.execute(SMALL, tmp_path, verbose=0, measure_every=2), record)
    with (tmp_path / SMALL.id / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["data_mig"]) for row in rows][-1] == pytest.approx(record["mig"], abs=1e-6)
    assert rows[0]["data_mig"] != rows[1]["data_mig"] == rows[2]["data_mig"] != rows[3]["data_mig"]


def test_every_option_trains_through_a_run(tmp_path, monkeypatch):
    from tcvae_tf import distributions

    monkeypatch.setattr(distributions, "FLOW_STEPS", 2)
    options = {"posterior": "laplace", "prior": "flow", "beta_warmup": 3, "lambda_annealing": 4, "alpha": 0.0}
    run = dataclasses.replace(SMALL, steps=4, thin=8, batch_size=16, **options)
    record = tc.execute(run, tmp_path, verbose=0)
    assert record["steps"] == 4  # whatever the epochs
    assert record["kl"] == pytest.approx(
        record["mutual_information"] + record["total_correlation"] + sum(record["dimension_kl"]), rel=1e-5
    )


def test_the_choices_are_those_of_the_modules_that_serve_them():
    """They are spelled out in `runs`, which must not import TensorFlow."""
    from tcvae_tf import distributions, networks, objective

    assert settings._CHOICES["estimator"] == tuple(objective.ESTIMATORS)
    assert settings._CHOICES["initializer"] == networks.INITIALIZERS
    assert settings._CHOICES["prior"] == tuple(distributions.PRIORS)
    assert settings._CHOICES["posterior"] == tuple(distributions.POSTERIORS)
    assert all(hasattr(networks, name) for name in settings.NETWORKS)


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("model name\t: AMD EPYC\nflags\t\t: fpu avx2 avx512f avx512bw\n", "AMD EPYC with AVX-512"),
        ("model name\t: AMD EPYC\nflags\t\t: fpu avx2\n", "AMD EPYC"),
    ],
)
def test_processors_of_one_name_are_told_apart_by_how_wide_they_compute(told, name, tmp_path, monkeypatch):
    from tcvae_tf import provenance

    (tmp_path / "cpuinfo").write_text(told)
    monkeypatch.setattr(provenance, "Path", lambda _: tmp_path / "cpuinfo")
    assert provenance.processor() == name
