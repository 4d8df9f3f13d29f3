"""The command line: help that teaches, one-line errors, exit codes, JSON alone, no TensorFlow before it is needed."""

import dataclasses
import json
import subprocess
import sys
import types
from pathlib import Path

import made_up
import numpy as np
import pytest

import tcvae_tf as tc
from tcvae_tf import cli, compare, executors, explore, results, runs, sweep
from tcvae_tf.cli import sweeping, tables
from tcvae_tf.datasets import dsprites

COMMANDS = ("train", "sweep", "compare", "table", "score", "traverse", "explore", "export", "data", "clean")


def said(capsys, *words, code=0):
    """What a command prints as its result, after its exit code is what it should be."""
    assert cli.main([str(word) for word in words]) == code
    return capsys.readouterr().out


def scripted(capsys, *words, code=0):
    """The same as JSON, which must be all that is on standard output."""
    return json.loads(said(capsys, *words, "--json", code=code))


@pytest.fixture
def root(tmp_path):
    """A directory of finished runs, by made-up records: two seeds of two methods at β 4 and 10."""
    chosen = [
        tc.Run(method=method, beta=beta, seed=seed)
        for seed in (0, 1)
        for method in ("beta_vae", "beta_tcvae")
        for beta in (10.0, 4.0)
    ]
    for place, record in enumerate(made_up.records(chosen)):
        home = tmp_path / "runs" / record["id"]
        home.mkdir(parents=True)
        record |= {"mig": place / 10, "measures": runs.MEASURES}
        (home / "run.json").write_text(json.dumps(record))
        (home / "record.json").write_text(json.dumps(record))
        (home / "codes.npz").write_bytes(bytes(1000))
    return tmp_path / "runs"


# --- what all commands share ----------------------------------------------------------------------------------------


def test_help_shows_every_command_with_an_example(capsys):
    words = said(capsys, "--help")
    assert "Examples:" in words
    for name in COMMANDS:
        assert words.count(f"tcvae {name}") >= 2
    assert set(COMMANDS) == set(cli._COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples_of_flags_that_it_takes(capsys, name):
    words = said(capsys, name, "--help")
    assert said(capsys, "help", name) == words
    command = cli._COMMANDS[name]
    assert "Examples:" in words
    assert max(map(len, words.split("Examples:")[0].splitlines())) <= 120
    for example in command.examples:
        assert example in words
        values = command.define()
        rest = values(example.split("   ")[0].split()[1:])[1:]
        assert command.fits(len(rest))
        for flag in values:
            assert f"--{values[flag].name}" in words


@pytest.mark.parametrize("name", ["train", "sweep"])
def test_every_field_of_a_run_is_a_flag_with_its_default_and_meaning(capsys, name):
    words = said(capsys, name, "--help")
    for field in dataclasses.fields(tc.Run):
        assert f"--{field.name}={field.default}" in words
        assert field.metadata["help"] in words


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, ""),
        (["trian"], 2, "unknown command 'trian'; did you mean 'train'?"),
        (["train", "--epocs=3"], 2, "unknown flag --epocs; did you mean --epochs?"),
        (["train", "--bta=3"], 2, "unknown flag --bta; did you mean --beta?"),
        (["train", "--xyzzy"], 2, "unknown flag --xyzzy; see tcvae train --help"),
        (["train", "--epochs=many"], 2, "epochs"),
        (["train", "beta=4"], 2, "write --name=value"),
        (["train", "--method=betavae"], 2, "did you mean 'beta_vae'"),
        (["train", "--setting=factor_vae_chan"], 2, "did you mean 'factor_vae_chen'"),
        (["sweep", "--beta=1,x"], 2, "--beta: 'x' is no number"),
        (["sweep", "--seed=1.5"], 2, "--seed: '1.5' is no whole number"),
        (["sweep", "--method=vae,betavae"], 2, "did you mean 'beta_vae'"),
        (["sweep", "--preset=quik"], 2, "did you mean 'quick'"),
        (["sweep", "--preset=quick", "--setting=factor_vae_chen"], 2, "not both"),
        (["sweep", "--preset=quick", "--dataset=my:data"], 2, "presets are for dsprites and faces3d"),
        (["sweep", "--executor=rya"], 2, "did you mean 'ray'"),
        (["sweep", "--workers=0"], 2, "at least 1"),
        (["compare", "a:b", "--workers=0"], 2, "at least 1"),
        (["compare", "a:b", "--executor=serail"], 2, "did you mean 'serial'"),
        (["score", "x.npz", "--grid=a=2", "--seed=-1"], 2, "seed"),
        (["compare"], 2, "takes METHOD; got nothing"),
        (["compare", "a:b", "--preset=quik"], 2, "did you mean 'quick'"),
        (["compare", "a:b", "--seed=0,x"], 2, "are no seeds"),
        (["table", "nowhere"], 1, "nowhere: no such directory"),
        (["traverse", "a", "b"], 2, "takes RUN; got a b"),
        (["traverse", "a", "-o", "a.jpg"], 2, "a.jpg does not end in .png or .gif"),
        (["traverse", "a", "--seconds=0"], 2, "more than 0 seconds"),
        (["train", "--dataset=dsprite"], 2, "did you mean 'dsprites'"),
        (["train", "--dataset=no_such_module:f"], 2, "No module named 'no_such_module'"),
        (["train", "--fix=size=0"], 2, "size"),
        (["train", "--batch_size=1000000"], 2, "does not fit"),
        (
            ["train", "--method=factor_vae", "--thin=16", "--batch_size=8"],
            2,
            "batch_size 8 does not fit dsprites-thin16 with 12 images, 2 batches a step; choose 1 to 6",
        ),
        (["train", "--thin=100"], 2, "no factor has two values"),
        (["train", "--measure_every=-1"], 2, "--measure_every: 0 for never"),
        (["sweep", "--dataset=dsprites,foo"], 2, "unknown data set 'foo'"),
        (["compare", "my_model"], 2, "'my_model' names no function"),
        (["compare", "vae"], 2, "'vae' is among the baselines"),
        (["compare", "no_such_module:f"], 2, "No module named 'no_such_module'"),
        (["score"], 2, "no file: give one npz"),
        (["score", "a.npz", "--measures=migg"], 2, "did you mean 'mig'"),
        (["score", "a.npz", "--grid=foo"], 2, "'foo' is not NAME=SIZE"),
        (["score", "a.npz", "--grid=a=2,b=3", "--scored=a,z"], 2, "z"),
        (["score", "a.npy", "--spread=foo"], 2, "unknown spread 'foo'"),
        (["score", "a.npz"], 1, "a.npz: no such file"),
        (["data", "--source=foo"], 2, "unknown source 'foo'"),
        (["data", "--dataset=foo"], 2, "unknown data set 'foo'"),
        (["data", "sheet", "-o", "sheet.pdf"], 2, "sheet.pdf does not end in .png"),
        (["traverse", "a"], 1, "no run 'a' in runs"),
        (["explore", "a"], 1, "no run 'a' in runs"),
        (["export", "a"], 2, "takes RUN PATH; got a"),
        (["export", "a", "b", "--format=onx"], 2, "did you mean 'onnx'"),
        (["export", "a", "m.pt"], 2, "m.pt: .pt is not written; end in .onnx or .tflite, or name a directory"),
        (["clean", "nowhere"], 1, "nowhere: no such directory"),
        (["sweep", "--thin=4", "--method=vae", "--dry_run"], 2, "has 1,280 images, fewer than a step takes, 2,048"),
        (["sweep", "--fix=identity=0", "--dry_run"], 2, "dsprites has no factor 'identity' to fix; choose from shape"),
        (["table", "--root=nowhere"], 2, "the directory is a word by itself, tcvae table ROOT"),
        (["clean", "--kinds=code"], 2, "did you mean 'codes'"),
        (["data", "verfy"], 2, "did you mean 'verify'"),
        (["data", "verify", "--dataset=faces3d"], 2, "verify is for dsprites"),
        (["data", "--source=npz", "--path=none.npz"], 1, "none.npz: no such file"),
    ],
)
def test_mistakes_get_one_line_and_an_exit_code(capsys, tmp_path, monkeypatch, words, code, message):
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == code
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == (1 if words else 0)
    assert not words or printed.out == ""
    assert not list(tmp_path.glob("runs/*/run.json"))  # what cannot be trained is no run


@pytest.mark.parametrize("name", ["train", "sweep", "clean"])
def test_an_interrupt_has_its_code_and_says_how_to_go_on_where_that_is_so(monkeypatch, capsys, name):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setitem(cli._COMMANDS, name, cli._COMMANDS[name]._replace(act=interrupted))
    assert cli.main([name]) == 130
    assert ("the same command goes on" in capsys.readouterr().err) == (name != "clean")


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"]])
def test_a_reader_that_stops_reading_ends_the_command_without_a_word(words):
    command = [sys.executable, "-m", "tcvae_tf.cli", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_what_reads_records_and_disks_never_imports_tensorflow(root):
    lines = [
        *(["--help"], ["--version"], ["nonsense"], *([name, "--help"] for name in COMMANDS)),
        *(["table", str(root)], ["clean", str(root), "--delete"]),
        ["sweep", "--method=vae,beta_vae", "--dry_run", f"--root={root}"],
    ]
    code = f"import sys\nfrom tcvae_tf import cli\nfor words in {lines}: cli.main(words)\n"
    code += "sys.exit(str([name for name in ('tensorflow', 'keras', 'matplotlib') if name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip().splitlines()[-1] == "[]"
    assert "deleted 8 files" in done.stdout


@pytest.mark.parametrize("module", ["tcvae_tf", "tcvae_tf.cli"])
def test_the_module_is_the_command(module):
    done = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{tc.__version__}\n")


# --- train, sweep, compare ------------------------------------------------------------------------------------------


def test_train_prints_the_record(monkeypatch, capsys, tmp_path):
    asked = []

    def execute(run, root, verbose, measure_every):
        asked.append((run, root, verbose, measure_every))
        return {"id": run.id}

    monkeypatch.setattr(runs, "execute", execute)
    assert cli.main(["train", "--beta=4", "--seed=7", f"--root={tmp_path}", "--quiet"]) == 0
    assert asked == [(tc.Run(beta=4.0, seed=7), str(tmp_path), 0, 0)]
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"id": tc.Run(beta=4.0, seed=7).id}
    assert printed.err == f"run {tc.Run(beta=4.0, seed=7).id} in {tmp_path}\n"


def test_a_training_that_nobody_watches_says_a_line_an_epoch_beside_its_result(monkeypatch, capsys, tmp_path):
    def execute(run, root, verbose, measure_every):
        print("Epoch 1/2", verbose)
        return {"id": run.id}

    monkeypatch.setattr(runs, "execute", execute)
    assert cli.main(["train", f"--root={tmp_path}"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"id": tc.Run().id} and printed.err.endswith("Epoch 1/2 2\n")


def test_a_training_that_fails_says_where_all_of_the_error_is(monkeypatch, capsys, tmp_path):
    def execute(run, root, *rest):
        (tmp_path / run.id).mkdir()
        (tmp_path / run.id / "error.txt").write_text("a traceback")
        raise ValueError("boom")

    monkeypatch.setattr(runs, "execute", execute)
    assert cli.main(["train", "--thin=5", "--batch_size=64", f"--root={tmp_path}"]) == 1
    first, second, third = capsys.readouterr().err.splitlines()
    assert first.startswith("run ") and second.endswith("error.txt") and third == "tcvae train: boom"


def test_a_setting_with_a_name_is_a_start_that_flags_change(monkeypatch):
    asked = []
    monkeypatch.setattr(runs, "execute", lambda run, *rest: asked.append((run, rest[-1])) or {})
    words = ["--setting=factor_vae_kim_mnih", "--tc_weight=20", "--width=64", "--measure_every=2"]
    assert cli.main(["train", *words]) == 0
    assert asked == [(tc.Run.named("factor_vae_kim_mnih", tc_weight=20.0, width=64), 2)]


@pytest.fixture
def swept(monkeypatch):
    """Stands in for the sweep: records made up, and the runs of seed 9 fail."""
    asked = []

    def execute_all(chosen, root, executor, resources, measure_every, on_record):
        asked.append((list(chosen), root, executor, resources, measure_every))
        print("a line on the way")
        for run in chosen:
            if run.seed != 9:
                on_record(run, made_up.record(run))
        if failed := {run: "ValueError: no" for run in chosen if run.seed == 9}:
            raise sweep.SweepFailed(failed, Path(root), len(chosen))

    monkeypatch.setattr(sweep, "execute_all", execute_all)
    return asked


def test_a_sweep_is_the_product_of_comma_lists_and_repeated_flags_seeds_slowest(swept, capsys):
    words = ["--method=beta_vae,beta_tcvae", "--beta=2,4", "--beta=6", "--seed=1,0", "--fix=scale=1,posX=2"]
    words += ["--fix=scale=2", "--executor=ray", "--threads=2", "--address=auto", "--gpus=0.5", "--measure_every=3"]
    found = scripted(capsys, "sweep", *words)
    ((chosen, root, executor, resources, measure_every),) = swept
    expected = {
        tc.Run(method=method, beta=beta, seed=seed, fix=fix)
        for method in ("beta_vae", "beta_tcvae")
        for beta in (2.0, 4.0, 6.0)
        for seed in (0, 1)
        for fix in ("scale=1,posX=2", "scale=2")
    }
    assert set(chosen) == expected and len(chosen) == len(expected) == 24
    assert [run.seed for run in chosen] == [0] * 12 + [1] * 12
    assert (root, executor, measure_every) == ("runs", "ray", 3)
    assert resources == executors.Resources(None, 2, "auto", 0.5)
    assert set(found["done"]) == {run.id for run in expected}
    assert len(found["table"]) == 12 and {line["n"] for line in found["table"]} == {2}


def test_combinations_that_come_to_the_same_run_are_run_once():
    chosen = {"method": ["vae", "factor_vae"], "beta": [1.0, 4.0], "tc_weight": [5.0, 10.0], "seed": [0]}
    expected = [tc.Run(method="vae"), *(tc.Run(method="factor_vae", tc_weight=w) for w in (5.0, 10.0))]
    assert set(sweeping.product(chosen)) == set(expected)
    assert len(sweeping.product(chosen)) == 3


def test_a_preset_gives_the_runs_of_the_figures():

    quick = sweep.PRESETS["quick"]
    for part in ("dsprites", "faces3d"):
        figure = set(quick.runs(quick.variants(part), part))
        chosen = {"dataset": [part], "method": ["vae", "factor_vae"], "tc_weight": list(quick.tc_weights)}
        found = sweeping.product(chosen, "quick")
        found += sweeping.product({"dataset": [part], "method": ["beta_vae"], "beta": [4.0]}, "quick")
        found += sweeping.product({"dataset": [part], "method": ["beta_tcvae"], "beta": [6.0]}, "quick")
        assert set(found) == figure
    (one,) = sweeping.product({"method": ["vae"], "seed": [5], "epochs": [2]}, "smoke")
    assert (one.seed, one.epochs, one.steps) == (5, 2, 0)  # the preset's steps would override epochs


def test_a_failure_in_a_sweep_is_told_and_in_the_exit_code(swept, capsys):
    assert cli.main(["sweep", "--method=vae", "--seed=0,9", "--json"]) == 1
    printed = capsys.readouterr()
    failed = tc.Run(method="vae", seed=9).id
    assert json.loads(printed.out)["failed"] == {failed: "ValueError: no"}
    assert json.loads(printed.out)["done"] == [tc.Run(method="vae").id]
    assert f"failed: {failed}: ValueError: no" in printed.err
    assert "1 of 2 runs recorded" in printed.err
    assert "a line on the way" in printed.err


def test_a_dry_run_lists_the_runs_and_starts_none(swept, capsys, root):
    words = ["sweep", "--method=beta_vae", "--beta=4,10,2", "--dry_run", f"--root={root}"]
    text = said(capsys, *words)
    found = scripted(capsys, *words)
    assert swept == []
    states = {line["id"]: line["state"] for line in found["runs"]}
    expected = {tc.Run(method="beta_vae", beta=beta).id: "done" for beta in (4.0, 10.0)}
    assert states == {**expected, tc.Run(method="beta_vae", beta=2.0).id: "to do"}
    assert (found["count"], found["done"], found["steps"]) == (3, 2, 50 * (737_280 // 2048))
    assert all(id in text for id in states)
    assert "3 runs, 2 done" in text


def test_compare_hands_on_what_is_asked_and_prints_the_table_alone(monkeypatch, capsys):
    asked = []

    def stand_in(method, preset="quick", dataset="dsprites", root="runs", out="compare", **rest):
        asked.append((method, preset, dataset, root, out, rest))
        print("a line on the way")
        return "| a | b |\n"

    monkeypatch.setattr(compare, "compare", stand_in)
    monkeypatch.setattr(compare, "check", lambda *_: None)
    words = ["my:make", "--preset=smoke", "--width=16", "-o", "there", "--workers=1", "--records=r.csv", "--seed=3,4"]
    assert said(capsys, "compare", *words) == "| a | b |\n"
    rest = {"executor": "processes", "workers": 1, "records": "r.csv", "fields": {"width": 16}, "seeds": [3, 4]}
    assert asked == [("my:make", "smoke", "dsprites", "runs", "there", rest)]


def test_compare_prints_for_scripts_the_json_that_it_wrote(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(compare, "check", lambda *_: None)
    monkeypatch.setattr(compare, "compare", lambda *_, **__: "| a |")
    (tmp_path / "compare.json").write_text('{"lines": [1]}')
    assert scripted(capsys, "compare", "my:make", "-o", str(tmp_path)) == {"lines": [1]}


# --- table ----------------------------------------------------------------------------------------------------------


def test_a_table_holds_medians_over_seeds_in_the_order_of_beta(root, capsys):
    found = scripted(capsys, "table", root, "--measures=mig,elbo")
    assert [(line["method"], line["beta"]) for line in found] == [
        ("beta_tcvae", "4"),
        ("beta_tcvae", "10"),
        ("beta_vae", "4"),
        ("beta_vae", "10"),
    ]
    one = tc.Run(method="beta_tcvae", beta=4.0)
    migs = [json.loads((root / dataclasses.replace(one, seed=s).id / "record.json").read_text())["mig"] for s in (0, 1)]
    assert found[0]["mig"]["value"] == pytest.approx(np.median(migs))
    assert (found[0]["mig"]["low"], found[0]["mig"]["high"]) == pytest.approx(sorted(migs))
    assert {line["n"] for line in found} == {2}
    text = said(capsys, "table", root, "--measures=mig,elbo")
    assert text.splitlines()[0].endswith("| mig | elbo | n |")
    assert f"| {np.median(migs):.3f} [{min(migs):.3f}, {max(migs):.3f}] |" in text.splitlines()[2]


def test_by_pools_the_rest_and_says_so(root, capsys):
    assert cli.main(["table", str(root), "--by=method", "--json"]) == 0
    printed = capsys.readouterr()
    assert [(line["method"], line["n"]) for line in json.loads(printed.out)] == [("beta_tcvae", 4), ("beta_vae", 4)]
    assert printed.err == "pooled over beta\n"


def test_where_leaves_out_other_records_and_knows_the_values_that_there_are(root, capsys):
    found = scripted(capsys, "table", root, "--where=method=beta_vae,beta=4.0")
    assert [(line["method"], line["beta"], line["n"]) for line in found] == [("beta_vae", "4", 2)]
    for words, message in (
        ("method=betavae", "did you mean 'beta_vae'"),
        ("beta", "not column=value"),
        ("bata=4", "beta"),
    ):
        assert cli.main(["table", str(root), f"--where={words}"]) == 2
        assert message in capsys.readouterr().err


def test_images_that_stand_for_others_are_named_in_every_table(capsys, tmp_path):
    chosen = [tc.Run(method="vae", dataset=dataset) for dataset in ("dsprites", "faces3d")]
    results.merge(tmp_path / "records.csv", made_up.records(chosen))
    for words in ([], ["--by=dataset"]):
        found = scripted(capsys, "table", tmp_path / "records.csv", *words)
        assert [line["data.source"] for line in found] == ["generated", "stand-in"]


def test_no_runs_that_differ_in_more_than_their_seed_share_a_line():
    chosen = [tc.Run(method=method, width=width, alpha=0.0) for method in ("vae", "beta_tcvae") for width in (16, 32)]
    rows = made_up.rows([*chosen, dataclasses.replace(chosen[-1], alpha=1.0), dataclasses.replace(chosen[-1], seed=3)])
    groups = tables.summarise(rows, tables.columns(rows), ["mig"])
    assert sorted(group.n for group in groups) == [1, 1, 1, 1, 2]
    assert "run.batch_size" not in tables.columns(rows)  # no column that tells nothing apart
    assert tables.markdown(groups).count("\n") == 7


def test_the_recipe_has_a_column_where_runs_differ_in_it_alone():
    run = tc.Run(width=16)
    rows = made_up.rows([run, tc.Run(method="vae", width=16)])
    assert "recipe" not in tables.columns(rows)  # the method says as much
    rows += made_up.rows([run], recipe=run.recipe - 1)
    assert "recipe" in tables.columns(rows)
    assert sorted(group.n for group in tables.summarise(rows, tables.columns(rows), ["mig"])) == [1, 1, 1]


def test_what_differs_within_a_data_set_has_a_column_though_the_method_alone_would_tell_runs_apart():
    few = {"width": 16, "batch_size": 128}
    rows = made_up.rows(
        [
            tc.Run(method="vae", thin=4, steps=30, **few),
            tc.Run(method="beta_vae", beta=4.0, thin=3, steps=60, **few),
            tc.Run(method="factor_vae", thin=4, steps=30, discriminator_width=32, **few),
            tc.Run(method="vae", dataset="faces3d", network="conv", thin=4, steps=30, width=8),
        ]
    )
    shown = [name.removeprefix("run.") for name in tables.columns(rows)]
    assert shown == ["dataset", "method", "beta", "steps", "thin", "data.source"]


def test_one_seed_has_no_interval_and_a_measure_that_is_missing_is_empty(capsys, tmp_path):
    home = tmp_path / "a"
    home.mkdir()
    (home / "record.json").write_text(json.dumps(made_up.record(tc.Run(method="vae"), dci=None)))
    (line,) = scripted(capsys, "table", tmp_path, "--measures=mig")
    assert line["mig"] == {"value": 0.1, "low": None, "high": None, "n": 1}
    assert "| 0.100 | 1 |" in said(capsys, "table", tmp_path, "--measures=mig")
    assert cli.main(["table", str(tmp_path), "--measures=dci"]) == 2


def test_records_csv_and_the_directories_that_it_came_from_give_the_same_table(root, capsys, tmp_path):
    records = [json.loads(path.read_text()) for path in root.glob("*/record.json")]
    results.merge(tmp_path / "records.csv", [*records, results.failure({"seed": 3}, "lost", "no memory")])
    assert said(capsys, "table", tmp_path / "records.csv") == said(capsys, "table", root)
    assert said(capsys, "table", root, tmp_path / "records.csv") == said(capsys, "table", root)  # each id once


def test_an_unknown_column_or_measure_gets_the_nearest(root, capsys):
    for flag, near in (("--by=bata", "beta"), ("--measures=mgi", "mig"), ("--measures=method", "")):
        assert cli.main(["table", str(root), flag]) == 2
        error = capsys.readouterr().err
        assert (f"did you mean '{near}'" if near else "unknown measure 'method'") in error
        assert error.count("\n") == 1


def test_a_damaged_record_is_left_out_with_a_word(root, capsys):
    broken = next(root.glob("*/record.json"))
    broken.write_text("{")
    assert cli.main(["table", str(root), "--by=dataset", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)[0]["n"] == 7
    assert "left out: 1 records" in printed.err


# --- traverse, explore, export --------------------------------------------------------------------------------------


@pytest.fixture
def pictured(root):
    """One of the runs with pictures of 2 latents, 3 points and 8 × 8 pixels."""
    home = sorted(root.iterdir())[0]
    np.savez(
        home / "pictures.npz",
        image_information=np.float32([2.0, 0.0]),
        factors=np.array(["x", "y"]),
        scored=np.array(["x", "y"]),
        mutual_information=np.float32([[1.5, 0.1], [0, 0]]),
        entropies=np.float32([2, 2]),
        points=np.float32([-2, 0, 2]),
        latents=np.array([0, 1]),
        images=np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8, 1), np.uint8),
    )
    return home


@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_traverse_draws_the_pictures_of_a_run(pictured, capsys, tmp_path, suffix):
    pytest.importorskip("matplotlib")
    out = tmp_path / f"sheet{suffix}"
    found = scripted(capsys, "traverse", pictured.name, f"--root={pictured.parent}", "-o", out)
    assert out.read_bytes()[:4] in (b"\x89PNG", b"GIF8")
    assert [line["encodes"] for line in found["latents"]] == ["x, 1.5 nats", "nothing"]
    assert (found["run"], found["path"]) == (pictured.name, str(out))


def test_a_run_is_named_by_its_id_a_beginning_or_a_path(pictured, monkeypatch, capsys, tmp_path):
    asked = []

    def write(home, path):
        asked.append(home)
        (tmp_path / "page.html").write_text("<html>")

    monkeypatch.setattr(explore, "write", write)
    for name in (pictured.name, pictured.name[:-3], str(pictured)):
        said(capsys, "explore", name, f"--root={pictured.parent}", "-o", tmp_path / "page.html")
    assert [home.resolve() for home in asked] == [pictured.resolve()] * 3
    assert cli.main(["explore", pictured.name[:12], f"--root={pictured.parent}"]) == 1
    assert "begin with" in capsys.readouterr().err


def test_a_run_without_pictures_is_told(root, capsys):
    assert cli.main(["traverse", sorted(root.iterdir())[1].name, f"--root={root}"]) == 1
    assert "pictures.npz: no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "flags", "form"),
    [
        ("model", [], "savedmodel"),
        ("model.v2", [], "savedmodel"),
        ("model.onnx", [], "onnx"),
        ("model.tflite", [], "litert"),
        ("other", ["--format=onnx"], "onnx"),
    ],
)
def test_export_takes_the_form_from_the_path_and_hands_on_grid_and_record(
    root, monkeypatch, capsys, tmp_path, path, flags, form
):
    home = sorted(root.iterdir())[0]
    grid = tc.FactorGrid(("x", "y"), (2, 2))
    tc.Codes(loc=np.zeros((4, 1)), scale=np.ones((4, 1)), grid=grid).save(home / "codes.npz")
    asked = []
    stand_in = types.ModuleType("tcvae_tf.export")

    def export(model, path, grid=None, record=None):
        asked.append(("savedmodel", model, path, grid, record))
        return path

    stand_in.export = export
    stand_in.onnx = lambda model, path: asked.append(("onnx", model, path)) or [path]
    stand_in.litert = lambda model, path: asked.append(("litert", model, path)) or [path]
    monkeypatch.setitem(sys.modules, "tcvae_tf.export", stand_in)
    monkeypatch.setattr(runs, "from_preset", lambda run, root="runs": ("model of", str(run)))
    found = scripted(capsys, "export", home.name, tmp_path / path, f"--root={root}", *flags)
    more = (grid, json.loads((home / "record.json").read_text())) if form == "savedmodel" else ()
    assert asked == [(form, ("model of", str(home)), tmp_path / path, *more)]
    assert found == {"paths": [str(tmp_path / path)], "run": home.name, "format": form}


# --- data, clean ----------------------------------------------------------------------------------------------------


@pytest.fixture
def small_dsprites(tmp_path, monkeypatch):
    """dSprites cut to 16 cells, "generated" as random images, and what writes an official file of them."""
    monkeypatch.setenv("TCVAE_CACHE", str(tmp_path))
    grid = tc.FactorGrid(dsprites.GRID.names, (2, 1, 2, 2, 2), ("posX", "posY"))
    images = np.random.default_rng(1).integers(0, 2, (16, 64, 64), np.uint8)
    packed = np.packbits(images.reshape(16, -1), axis=1)
    monkeypatch.setattr(dsprites, "GRID", grid)
    monkeypatch.setattr(dsprites, "SHA256_PACKED", None)
    monkeypatch.setattr(dsprites, "generate", lambda write: write(0, packed))

    def write(changed=images, order=slice(None), labels=None):
        classes = grid.to_values(np.arange(16)) if labels is None else labels
        classes = np.concatenate([np.zeros((16, 1), np.int64), classes], axis=1)
        np.savez(tmp_path / "official.npz", imgs=changed[order], latents_classes=classes[order])
        return tmp_path / "official.npz"

    return grid, images, write


def test_verify_finds_a_file_of_the_same_images_equal_in_whatever_order(small_dsprites, capsys):
    *_, write = small_dsprites
    shuffled = write(order=np.random.default_rng(0).permutation(16))
    assert "all 16 images equal" in said(capsys, "data", "verify", f"--path={shuffled}")
    found = scripted(capsys, "data", "verify", f"--path={shuffled}")
    assert (found["images"], found["pixels"], found["of"]) == (0, 0, 16)


def test_verify_counts_images_and_pixels_that_differ_and_fails(small_dsprites, capsys):
    grid, images, write = small_dsprites
    changed = images.copy()
    changed[5, 0, :2] ^= 1
    changed[9, 63, 63] ^= 1
    path = write(changed, order=np.arange(16)[::-1])
    found = scripted(capsys, "data", "verify", f"--path={path}", code=1)
    assert (found["images"], found["pixels"], found["first"]) == (2, 3, grid.to_values([5])[0].tolist())
    text = said(capsys, "data", "verify", f"--path={path}", code=1)
    assert "2 of 16 images differ" in text and text.count("\n") == 1


def test_verify_refuses_labels_that_are_not_every_cell_once(small_dsprites, capsys):
    grid, _, write = small_dsprites
    labels = grid.to_values(np.arange(16))
    labels[3] = labels[4]
    for wrong, message in ((labels, "every cell"), (labels + 1, "values that dSprites has not")):
        assert cli.main(["data", "verify", f"--path={write(labels=wrong)}"]) == 1
        assert message in capsys.readouterr().err


def test_data_says_what_there_is_and_a_sheet_shows_some_of_it(small_dsprites, capsys, tmp_path):
    pytest.importorskip("matplotlib")
    found = scripted(capsys, "data", "prepare", "--source=generated")
    assert (found["images"], found["factors"]["posX"], found["source"]) == (16, 2, "generated")
    assert scripted(capsys, "data", "--source=generated") == found
    shown = scripted(capsys, "data", "sheet", "--source=generated", "-o", tmp_path / "sheet.png")
    assert shown["shown"] == 11 + 4 * 2  # any, and four factors of two values
    assert (tmp_path / "sheet.png").read_bytes()[:4] == b"\x89PNG"


def test_clean_lists_and_touches_nothing_until_it_is_told_to(root, capsys):
    listed = scripted(capsys, "clean", root)
    assert (listed["deleted"], listed["bytes"], len(listed["files"])) == (False, 8000, 8)
    assert "Nothing was deleted" in said(capsys, "clean", root)
    assert len(list(root.glob("*/codes.npz"))) == 8
    gone = scripted(capsys, "clean", root, "--delete")
    assert gone == {**listed, "deleted": True}
    assert not list(root.glob("*/codes.npz"))
    assert len(list(root.glob("*/record.json"))) == 8
    assert said(capsys, "clean", root) == "0 files could go, 0 bytes (0.0 kB)\n"


def test_clean_says_which_runs_it_leaves_alone_and_takes_kinds(root, capsys):
    home = sorted(root.iterdir())[0]
    (home / "record.json").unlink()
    assert "runs left alone: 1 not finished" in said(capsys, "clean", root)
    found = scripted(capsys, "clean", root, "--kinds=checkpoints", "--unfinished")
    assert [line["path"] for line in found["files"]] == [str(home / "codes.npz")]
    assert str(home / "codes.npz") in said(capsys, "clean", root, "--unfinished", "--each")
