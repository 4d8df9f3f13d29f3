"""The command line: help that teaches, one-line errors, exit codes, no TensorFlow before it is needed."""

import dataclasses
import json
import subprocess
import sys

import pytest

import tcvae_tf as tc
from tcvae_tf import cli, runs


def test_help_shows_commands_and_examples(capsys):
    assert cli.main(["--help"]) == 0
    words = capsys.readouterr().out
    assert "tcvae train" in words
    assert "Examples:" in words


def test_every_field_of_a_run_is_a_flag_with_its_default_and_meaning(capsys):
    assert cli.main(["train", "--help"]) == 0
    words = capsys.readouterr().out
    for field in dataclasses.fields(tc.Run):
        assert f"--{field.name}={field.default}" in words
        assert field.metadata["help"] in words


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, ""),
        (["trian"], 2, "unknown command 'trian'; there are train, score, data"),
        (["train", "--epocs=3"], 2, "Did you mean: epochs"),
        (["train", "--epochs=many"], 2, "epochs"),
        (["train", "beta=4"], 2, "write --name=value"),
        (["train", "--method=betavae"], 1, "did you mean 'beta_vae'"),
        (["data", "--source=npz", "--path=none.npz"], 1, "none.npz: no such file"),
    ],
)
def test_mistakes_get_one_line_and_an_exit_code(capsys, words, code, message):
    assert cli.main(words) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") <= 1


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


def test_a_setting_with_a_name_is_a_start_that_flags_change(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(runs, "execute", lambda run, *rest: asked.append((run, rest[-1])) or {})
    words = ["--setting=factor_vae_kim_mnih", "--tc_weight=20", "--width=64", "--measure_every=2"]
    assert cli.main(["train", *words]) == 0
    assert asked == [(tc.Run.named("factor_vae_kim_mnih", tc_weight=20.0, width=64), 2)]
    assert cli.main(["train", "--setting=factor_vae_chan"]) == 1
    assert "did you mean 'factor_vae_chen'" in capsys.readouterr().err


def test_an_interrupt_says_how_to_go_on(monkeypatch, capsys):
    def interrupted(run, root, verbose, measure_every):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "execute", interrupted)
    assert cli.main(["train"]) == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_help_and_version_do_not_import_tensorflow():
    code = "import sys; from tcvae_tf import cli; cli.main(['--help']); sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
