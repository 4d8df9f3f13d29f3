"""Sweeps: presets as data, executors that agree, failures that do not stop the others."""

import dataclasses

import pytest

import tcvae_tf as tc
from tcvae_tf import runs, sweep
from tcvae_tf.sweep import PRESETS

SMALL = tc.Run(width=8, batch_size=32, thin=6, steps=4, latent_dim=3, method="vae", dataset="sweep_data:squares")


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    """A tiny data set that worker processes can import too."""
    (tmp_path / "sweep_data.py").write_text(
        "import numpy as np, tcvae_tf as tc\n"
        "def squares():\n"
        "    cells = np.stack(np.unravel_index(np.arange(1296), (36, 36)), -1)\n"
        "    images = np.zeros((1296, 6, 6), np.uint8)\n"
        "    for image, (x, y) in zip(images, cells): image[x // 6, y // 6] = 1\n"
        "    return tc.datasets.from_arrays(images, cells, ('x', 'y'), name='squares')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)


def test_presets_multiply_variants_by_seeds():
    made = PRESETS["cpu"].runs([{"method": "vae"}, {"method": "beta_vae", "beta": 4.0}])
    assert [(run.method, run.seed) for run in made[:3]] == [("vae", 0), ("beta_vae", 0), ("vae", 1)]
    assert len({run.id for run in made}) == 10
    assert {run.width for run in made} == {256}


def test_the_paper_preset_is_the_paper_s_settings():
    (run, *_) = PRESETS["paper"].runs([{}])
    assert run == tc.Run(dataset="dsprites", method="beta_tcvae", beta=6.0, width=1200, batch_size=2048, epochs=50)
    assert (run.learning_rate, run.estimator, run.latent_dim, run.initializer) == (1e-3, "mws", 10, "pytorch")
    assert PRESETS["paper"].deviations() == PRESETS["paper"].deviations("faces3d") == []
    (faces, *_) = PRESETS["paper"].runs([{}], "faces3d")
    assert faces == tc.Run(dataset="faces3d", network="conv", width=512)


@pytest.mark.parametrize("dataset", ["dsprites", "faces3d"])
@pytest.mark.parametrize("preset", list(PRESETS))
def test_factor_vae_takes_twice_the_iterations(preset, dataset):
    images = {"dsprites": 737_280, "faces3d": 127_050}[dataset]
    vae, factor = PRESETS[preset].runs([{"method": "vae"}, PRESETS[preset].factor_vae(dataset)], dataset)[:2]
    steps = [run.step_count(images // run.images_per_step) for run in (vae, factor)]
    assert steps[1] == pytest.approx(2 * steps[0], rel=0.01)
    assert factor.images_per_step == 2 * vae.images_per_step


def test_the_command_of_a_run_gives_that_run():
    for run in (
        tc.Run(network="conv", width=1200),
        tc.Run(method="factor_vae", tc_weight=3, steps=7),
        tc.Run(method="beta_vae", lambda_annealing=3, estimator="mss"),
    ):
        fields = dict(word[2:].split("=", 1) for word in sweep._command(run, "r", 0) if "=" in word)
        kinds = {field.name: type(field.default) for field in dataclasses.fields(run)}
        assert tc.Run(**{name: kinds[name](value) for name, value in fields.items() if name in kinds}) == run


def test_a_preset_lists_how_it_departs_from_the_paper():
    assert "width 128 instead of 1200" in PRESETS["quick"].deviations()
    assert any("2 seeds a method" in words for words in PRESETS["quick"].deviations())


def test_both_executors_give_the_same_records(tmp_path):
    todo = [SMALL, dataclasses.replace(SMALL, seed=1), SMALL]
    serial = sweep.execute_all(todo, tmp_path / "serial", "serial")
    processes = sweep.execute_all(todo, tmp_path / "processes", "processes", workers=2)
    assert [record["id"] for record in serial] == [SMALL.id, todo[1].id]
    for one, two in zip(serial, processes, strict=True):
        assert {name for name in one if one[name] != two[name]} <= {"seconds", "device"}


@pytest.mark.parametrize("executor", sweep.EXECUTORS)
def test_a_failing_run_does_not_stop_the_others_and_is_reported(tmp_path, executor):
    bad = dataclasses.replace(SMALL, learning_rate=1e30)
    with pytest.raises(sweep.SweepFailed, match=rf"1 of 2 runs failed: .*{bad.id}.*error.txt: .*step \d+") as error:
        sweep.execute_all([bad, SMALL], tmp_path, executor)
    assert "\n" not in str(error.value)
    assert runs.read_record(SMALL, tmp_path) is not None
    assert runs.read_record(bad, tmp_path) is None


def test_done_runs_are_not_started_again(tmp_path, monkeypatch):
    records = sweep.execute_all([SMALL], tmp_path, "serial")
    monkeypatch.setattr(sweep, "_start", None)
    assert sweep.execute_all([SMALL], tmp_path, "processes") == records


def test_fewer_than_one_worker_is_refused(tmp_path):
    with pytest.raises(ValueError, match="workers must be at least 1; got -1"):
        sweep.execute_all([SMALL], tmp_path, workers=-1)


def test_an_unknown_executor_names_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match="choose from serial, processes"):
        sweep.execute_all([], tmp_path, "threads")
