"""Figure 3's script: what it runs, what it claims, and that redrawing is a function of the records."""

import dataclasses
import inspect
import shutil
import subprocess
import sys
import types

import made_up
import numpy as np
import pytest
from PIL import Image

import tcvae_tf as tc
from reproduce import __main__ as reproduce
from reproduce import circumstances, headline, keep, methods, report
from reproduce import fig3_mig_distribution as fig3
from tcvae_tf import plan, results
from tcvae_tf.sweep import PRESETS

PAPER = methods.PUBLISHED
ONLY = {"fig3": fig3}
STAND_IN = "3D Faces (rendered stand-in, not the Basel faces)"


def records(preset, datasets=("dsprites", "faces3d")):
    """Made-up records of figure 3, with the same MIG for every seed."""
    return made_up.records([run for run in fig3.runs(PRESETS[preset]) if run.dataset in datasets])


def written(scripts, out):
    """Everything that the report writes, by name, and what it returns."""
    shown = report.write(scripts, {**reproduce.HISTORIES, **reproduce.COMPUTED}, out)
    return {path.name: path.read_bytes() for path in out.rglob("*") if path.is_file()}, shown


def test_four_methods_are_trained_on_both_data_sets_for_each_seed():
    made = fig3.runs(PRESETS["quick"])
    weights = {(run.method, run.beta, run.tc_weight) for run in made}
    assert weights == {("vae", 1, 0), ("beta_vae", 4, 0), ("beta_tcvae", 6, 0), ("factor_vae", 1, 10)}
    assert {(run.dataset, run.network) for run in made} == {("dsprites", "mlp"), ("faces3d", "conv")}
    assert len(made) == 2 * 4 * len(PRESETS["quick"].seeds)


def test_the_smoke_preset_does_as_little_as_it_says():
    made = fig3.runs(PRESETS["smoke"])
    assert {(run.dataset, run.steps, run.thin) for run in made if run.method != "factor_vae"} == {
        ("dsprites", 20, 3),
        ("faces3d", 20, 3),
    }


def test_claims_that_hold_and_claims_that_fail():
    claims = fig3.check([results.row(record) for record in records("quick")], PAPER)
    verdicts = {claim.text: claim.verdict for claim in claims}
    unsure, failed = "yes, but p = 0.17", "🔴 **NO: failed**"
    few = "but the range of 2 seeds has the true median in it with a probability of 50%"
    near = f"yes, {few}"
    assert verdicts == {
        "median MIG: β-TCVAE > β-VAE": unsure,
        f"median MIG: β-TCVAE > β-VAE, {STAND_IN}": unsure,
        f"median MIG: β-TCVAE > FactorVAE, {STAND_IN}": unsure,
        f"median MIG: β-TCVAE > VAE, {STAND_IN}": unsure,
        "median MIG: β-TCVAE > FactorVAE": unsure,
        "median MIG: β-VAE > FactorVAE": f"{failed}, but p = 0.17",
        "median MIG: FactorVAE > VAE": unsure,
        "median MIG: β-VAE > VAE": f"{failed}, but p = 0.17",
        "median MIG: β-TCVAE > VAE": unsure,
        "median MIG of VAE within ±0.1 of the published 0.10 (S)": near,
        "median MIG of β-VAE within ±0.1 of the published 0.21 (S)": f"{failed}, {few}",
        "median MIG of FactorVAE within ±0.1 of the published 0.15 (S)": near,
        "median MIG of β-TCVAE within ±0.1 of the published 0.45 (S)": near,
    }


def test_records_of_the_stand_in_and_of_the_paper_s_faces_are_not_mixed():
    rows = [results.row(record) for record in records("quick")]
    own = [{**line, "data.source": "basel", "mig": "0.9"} for line in rows if line["run.dataset"] == "faces3d"]
    text = fig3.tabulate([*rows, *own], PAPER)
    assert "stand-in" not in text
    assert "0.900 [0.900, 0.900] (range, n = 2)" in text
    assert "other images" not in "".join(claim.paper for claim in fig3.check([*rows, *own], PAPER))
    assert "other images" in "".join(claim.paper for claim in fig3.check(rows, PAPER))


def test_without_records_no_claim_is_made():
    assert {claim.holds for claim in fig3.check([], PAPER)} == {None}


def test_redrawing_gives_the_same_bytes_and_prints_failures(tmp_path):
    results.merge(tmp_path / "records.csv", records("quick"))
    before, _ = written(ONLY, tmp_path)
    after, shown = written(ONLY, tmp_path)
    assert before == after
    assert set(after) == {".records.csv.lock", "records.csv", "RESULTS.md", "fig3-quick.png", "fig3-quick.svg"}
    text = after["RESULTS.md"].decode()
    told = "0 hold, 7 hold in direction alone, without certainty, 0 failed, 2 failed without certainty"
    assert f"* Claims of the paper, preset quick: {told}" in text
    assert (
        "* Checks of our own: 0 hold, 3 hold in direction alone, without certainty, 0 failed, 1 failed without" in text
    )
    assert text.count("🔴 **NO: failed**") == 6  # in the summary and in the section
    assert text.index("## In short") < text.index("`make reproduce PRESET=quick`") < text.index("## Figure 3")
    line = "| 16 of 16 |  | 10 |  | 3 |  | `make reproduce PRESET=quick` |"
    title = f"{fig3.TITLE} (preset quick)"
    assert f"| [{title}](#figure-3-mig-over-random-initialisations-preset-quick) {line}" in text
    assert "width 128 instead of 1200" in text
    assert "on faces3d: images that are a rendered stand-in; width 64 instead of 512" in text
    assert "1 steps at width 128 with 2 seeds, the paper 18,000 at width 1200" in text
    assert "InfoGAN | 0.05 (S) | not run here" in text
    assert "InfoGAN | not known to us | not run here" in text
    assert f"{STAND_IN}:" in text
    assert "γ = 10: 1.25 against 1.8, accuracy 0.625 (n = 2)" in text
    assert len(shown) == 1
    assert "NO: failed" in shown[0]
    assert "preset quick: 16 of 16" in shown[0]


def test_what_is_shown_is_red_on_a_terminal_alone(tmp_path, monkeypatch):
    results.merge(tmp_path / "records.csv", records("quick"))
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    for terminal in (False, True):
        monkeypatch.setattr(report.sys.stdout, "isatty", lambda terminal=terminal: terminal, raising=False)
        _, (shown,) = written(ONLY, tmp_path)
        assert ("\x1b[1;31m" in shown) == terminal
    assert "\x1b[1;31mNO: failed" in shown
    assert "\x1b[1;31myes" not in shown


def test_presets_stay_apart_and_what_misses_runs_comes_last(tmp_path):
    results.merge(tmp_path / "records.csv", [*records("quick"), *records("cpu", datasets=["dsprites"])[:4]])
    files, _ = written(ONLY, tmp_path)
    text = files["RESULTS.md"].decode()
    assert text.index("(preset quick)") < text.index("(preset cpu)")
    assert f"Runs: 4 of {len(fig3.runs(PRESETS['cpu']))}" in text
    assert "5 seeds a method; 1 so far" in text and "2 seeds a method; " not in text
    first = text[text.index("## In short") : text.index("Claims of the paper")]
    assert "Published (S): β-TCVAE 0.45, β-VAE 0.21, FactorVAE 0.15, VAE 0.10, InfoGAN 0.05" in first
    names = ("β-TCVAE (β = 6) 0.400", "FactorVAE (γ = 10) 0.200", "VAE 0.100", "β-VAE (β = 4) 0.050")
    quick = "Preset quick (960 steps at width 128, fewer images; FactorVAE 1 steps; n = 2)"
    assert f"* {quick}: {', '.join(names)}." in first
    assert "* Preset cpu (7,200 steps at width 256; FactorVAE 1 steps; n = 1; 4 of 25 runs so far): " in first
    assert "Nothing was run with the preset paper" in first


def test_a_seed_that_ends_elsewhere_on_another_processor_is_told():
    rows = [results.row(record) for record in records("cpu", datasets=["dsprites"])]
    here = [line for line in rows if line["run.method"] in ("vae", "beta_vae") and line["run.seed"] == "0"]
    curves = [
        {"method": line["run.method"], "seed": "0", "step": line["steps"], "beta": line["run.beta"], "tc_weight": "0"}
        | {"data_mig": line["mig"]}
        for line in here
    ]
    assert headline._again(here, curves) == ""
    for line, curve in zip(here, curves, strict=True):
        if line["run.method"] == "beta_vae":
            line["device"], curve["data_mig"] = "another", "0.3"
    told = headline._again(here, curves)
    assert "1 have the same MIG within 0.001 at the same step and 1 have not; the preset trained the latter on" in told
    assert "trained the latter on another, the former on CPU: β-VAE with seed 0 0.300 and 0.050." in told
    changed = "With the pilot's trainings in the place of those (p of what is named): "
    assert f"{changed}β-VAE > VAE: δ = -1.00, p = 1 becomes δ = +1.00, p = 0.5." in told
    for line in here:
        line["device"] = "one"
    assert "1 have not: β-VAE" in headline._again(here, curves)


def test_where_settings_have_unlike_numbers_of_seeds_both_ends_are_told():
    rows = [results.row(record) for record in records("cpu", datasets=["dsprites"])[:6]]
    assert circumstances.seeds_each(rows) == "1 to 2"
    assert circumstances.seeds_each(rows[:5]) == "1"
    told = circumstances.caption(rows, [], 40, PRESETS["cpu"])
    assert told == "preset cpu: 6 of 40 runs, n = 1 to 2"
    assert circumstances.facts(rows, [], 40, PRESETS["cpu"])[-1].endswith("5 seeds a method; 1 to 2 so far")
    assert circumstances.facts(rows, [], 6, PRESETS["cpu"])[-1].endswith("5 seeds a method; here 1 to 2")
    assert "with 1 to 2 seeds, the paper" in fig3.explain(rows)


def test_failed_runs_are_counted_with_their_reasons(tmp_path):
    done, run = records("quick"), fig3.runs(PRESETS["quick"])[0]
    lost = results.failure(dataclasses.asdict(run), run.id, "OSError: no space")
    results.merge(tmp_path / "records.csv", [record for record in done if record["id"] != run.id] + [lost])
    text = written(ONLY, tmp_path)[0]["RESULTS.md"].decode()
    assert f"* Failed: 1 of 16 runs: OSError: no space (`{run.id}`).\n" in text
    assert "* Runs: 15 of 16; seeds 0, 1;" in text
    assert "preset quick: 15 of 16" in written(ONLY, tmp_path)[1][0]


def test_where_every_run_failed_the_report_says_so_and_draws_nothing(tmp_path):
    run = fig3.runs(PRESETS["quick"])[0]
    results.merge(tmp_path / "records.csv", [results.failure(dataclasses.asdict(run), run.id, "ValueError: no")])
    files, _ = written(ONLY, tmp_path)
    text = files["RESULTS.md"].decode()
    assert "No run has finished.\n" in text
    assert "ValueError: no" in text
    assert not [name for name in files if name.startswith("fig3")]


@pytest.mark.parametrize("name", [*reproduce.SCRIPTS, *reproduce.HISTORIES, *reproduce.COMPUTED])
def test_rows_are_all_that_a_script_needs(name):
    script = {**reproduce.SCRIPTS, **reproduce.HISTORIES, **reproduce.COMPUTED}[name]
    inspect.signature(script.draw).bind([])
    assert {claim.holds for claim in script.check([])} <= {None}


def test_rows_alone_are_drawn_and_checked_beside_the_published_values():
    rows = [results.row(record) for record in records("quick")]
    figure = fig3.draw(rows)
    assert figure.axes and not any(text.get_text().startswith(";") for text in figure.texts)
    assert fig3.check(rows) == fig3.check(rows, PAPER) != fig3.check(rows, [])


@pytest.mark.parametrize("script", [reproduce.SCRIPTS["traversals"], reproduce.SCRIPTS["latent-vs-factor"]])
def test_pictures_of_rows_alone_are_from_the_arrays_that_are_kept(script):
    with pytest.raises(ValueError, match="arrays holds none of these runs"):
        script.draw(made_up.rows(script.runs(PRESETS["smoke"])))
    wanted = {run.id for run in script.runs(PRESETS["quick"])}
    rows = [line for line in results.read_rows(methods.RESULTS / "records.csv") if line["id"] in wanted]
    assert script.draw(rows).axes


def test_a_script_that_draws_from_arrays_gets_those_that_are_there(tmp_path):
    given = []
    made = records("quick")
    script = types.SimpleNamespace(
        TITLE="Pictures",
        runs=fig3.runs,
        chosen=lambda rows: [line["id"] for line in rows[:2]],
        draw=lambda rows, paper, caption, arrays: given.append(arrays) or fig3.draw(rows, paper, caption),
        tabulate=lambda rows, paper, arrays: f"{len(arrays)} pictures\n",
        check=lambda rows: [],
        explain=lambda rows: "",
    )
    results.merge(tmp_path / "records.csv", made)
    assert "no arrays are kept" in written({"pictures": script}, tmp_path)[0]["RESULTS.md"].decode()
    assert not given
    first = min(record["id"] for record in made)
    (tmp_path / "arrays").mkdir()
    np.savez(tmp_path / "arrays" / f"{first}.npz", a=np.arange(3))
    text = written({"pictures": script}, tmp_path)[0]["RESULTS.md"].decode()
    assert "![Pictures](figures/pictures-quick.png)" in text
    assert "1 pictures" in text
    assert list(given[0]) == [first]
    assert given[0][first]["a"].tolist() == [0, 1, 2]


def test_runs_on_fixed_or_joint_factors_depart_as_figure_5_does(tmp_path):
    rows = made_up.rows(PRESETS["quick"].runs([{"method": "beta_vae"}], "pose"))
    assert {circumstances.part(line) for line in rows} == {"pose"}
    facts = circumstances.facts(rows, [], 2, PRESETS["quick"])
    where = "Departs from the paper on figure 5's 231 images"
    assert facts[-1].startswith(f"{where}: images that are a rendered stand-in; width 64")


def test_the_committed_tables_and_figures_are_those_of_the_committed_records_without_tensorflow(tmp_path):
    home = methods.RESULTS
    if not (home / "records.csv").exists():
        pytest.skip("no records are committed yet")
    for path in home.glob("*.csv"):
        shutil.copy(path, tmp_path)
    shutil.copytree(home / "arrays", tmp_path / "arrays")
    code = (
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('tensorflow', 'keras', 'tf_keras', 'tensorflow_probability'):\n"
        "            raise ImportError('blocked: ' + name)\n"
        "sys.meta_path.insert(0, Blocked())\n"
        "from reproduce.__main__ import main\n"
        "sys.exit(main(['all', '--draw', '--out', sys.argv[1]]))\n"
    )
    found = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert "(preset cpu)" in found.stdout
    for name in ("RESULTS.md", "BENCHMARK.md"):
        assert (tmp_path / name).read_text() == (home / name).read_text(), name
    drawn = {path.name: path for path in (tmp_path / "figures").iterdir()}
    assert set(drawn) == {path.name for path in (home / "figures").iterdir()}
    vectors = {name for name in drawn if name.endswith(".svg")}
    for name in vectors:
        assert drawn[name].read_text() == (home / "figures" / name).read_text(), name
    images = {name for name in drawn if name.replace(".png", ".svg") not in vectors}
    assert images
    for name in images:
        ours, committed = (np.asarray(Image.open(path / "figures" / name).convert("RGB")) for path in (tmp_path, home))
        assert np.array_equal(ours, committed), name


def test_published_values_carry_mark_and_source():
    assert {line["mark"] for line in PAPER} <= {"S", "D", "M"}
    assert all(line["source"] for line in PAPER)


def test_draw_alone_trains_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(reproduce.sweep, "execute_all", None)
    assert reproduce.main(["fig3", "--draw", f"--out={tmp_path}"]) == 1
    assert "nothing in" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_where_results_cannot_be_written_nothing_is_trained(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("not a directory")
    monkeypatch.setattr(reproduce.sweep, "execute_all", None)
    assert reproduce.main(["fig3", f"--root={tmp_path}", f"--out={tmp_path / 'file'}"]) == 1
    assert f"cannot write in {tmp_path / 'file'}" in capsys.readouterr().err


def test_smoke_numbers_stay_away_from_results(tmp_path, monkeypatch):
    asked = []
    made = {record["id"]: record for record in records("smoke")}

    def execute_all(runs, root, executor, resources, measure_every, on_record):
        asked.append((len(runs), root))
        for run in runs:
            on_record(run, made[run.id])

    monkeypatch.setattr(reproduce.sweep, "execute_all", execute_all)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reproduce.datasets, "load", lambda name: tc.datasets.from_arrays(np.eye(2)[:, None], [0, 1]))
    assert reproduce.main(["fig3", "--preset=smoke", "--root=r"]) == 0
    assert len(asked) == 1
    assert (tmp_path / "r" / "smoke-results" / "RESULTS.md").exists()
    assert not (tmp_path / "results").exists()


class NoImages(list):
    source = "none"


@pytest.fixture
def asked(monkeypatch):
    """The runs that are given to the executor, which does nothing; nothing is drawn."""
    found = []
    monkeypatch.setattr(reproduce.sweep, "execute_all", lambda runs, *_: found.extend(runs))
    monkeypatch.setattr(reproduce.datasets, "load", lambda name: NoImages())
    monkeypatch.setattr(reproduce, "_draw", lambda out: 0)
    return found


def test_what_results_hold_is_not_trained_again_where_the_runs_are_lost(tmp_path, asked):
    made = fig3.runs(PRESETS["quick"])
    results.merge(tmp_path / "records.csv", made_up.records(made[2:]))
    results.merge(tmp_path / "records.csv", made_up.records(made[1:2], recipe=made[1].recipe - 1))
    given = ["fig3", f"--out={tmp_path}", f"--root={tmp_path / 'runs'}"]
    assert reproduce.main([*given, "--recorded"]) == 0
    assert asked == made[:2]
    asked.clear()
    assert reproduce.main(given) == 0
    assert asked == made


def test_a_recorded_run_whose_pictures_are_lost_is_trained_again_when_a_figure_shows_it(tmp_path, asked):
    made = reproduce.traversals.runs(PRESETS["quick"])
    results.merge(tmp_path / "records.csv", made_up.records(made))
    shown = keep.shown([reproduce.traversals], tmp_path)
    assert 0 < len(shown) < len(made)
    spared = min(shown, key=lambda run: run.id)
    (tmp_path / "arrays").mkdir()
    shutil.copyfile(next((methods.RESULTS / "arrays").glob("*.npz")), tmp_path / "arrays" / f"{spared.id}.npz")
    assert keep.without_arrays([reproduce.traversals], made, tmp_path) == sorted(
        shown - {spared}, key=lambda run: run.id
    )
    reproduce.main(["traversals", f"--out={tmp_path}", f"--root={tmp_path / 'runs'}", "--recorded"])
    assert set(asked) == shown - {spared}


@pytest.mark.parametrize(("here", "kept"), [(None, 300), (200, 300), (400, 400), ("unmeasured", 300)])
def test_a_curve_gives_way_to_none_that_is_shorter(tmp_path, asked, here, kept):
    """Whatever the directory of runs holds of it: nothing, less, more, or a history without measures."""
    script = reproduce.factor_vae_trial
    run = script.runs(PRESETS["cpu"])[0]

    def curve(steps):
        lines = [{"step": str(step), "data_mig": f"{step / 1000}"} for step in range(100, steps + 1, 100)]
        results.write_rows(tmp_path / run.id / "history.csv", lines)
        return script.collect([run], tmp_path)

    (tmp_path / run.id).mkdir()
    results.write_rows(tmp_path / "out" / script.FILE, curve(300))
    (tmp_path / run.id / "history.csv").unlink()
    if here == "unmeasured":
        results.write_rows(tmp_path / run.id / "history.csv", [{"step": "500"}])
    elif here:
        curve(here)
    reproduce._follow(
        script, reproduce._parser().parse_args(["factor-vae", f"--root={tmp_path}", f"--out={tmp_path}/out"])
    )
    assert len(asked) == 4
    assert results.read_rows(tmp_path / "out" / script.FILE)[-1]["step"] == str(kept)


def test_a_run_that_was_trained_without_measuring_is_named(tmp_path, asked, capsys):
    script = reproduce.learning_curves
    run = script.runs(PRESETS["quick"])[0]
    (tmp_path / run.id).mkdir()
    results.write_rows(tmp_path / run.id / "history.csv", [{"step": str(plan.steps(run))}])
    options = reproduce._parser().parse_args(["curves", f"--root={tmp_path}", f"--out={tmp_path / 'out'}"])
    reproduce._done, before = lambda runs, root: [one for one in runs if one == run], reproduce._done
    try:
        (tmp_path / run.id / "record.json").write_text('{"data": {"source": "generated"}}')
        assert reproduce._follow(script, options) == 1
    finally:
        reproduce._done = before
    assert f"{run.id} was trained without measuring; delete {tmp_path / run.id}" in capsys.readouterr().err


def test_a_curve_is_recorded_when_it_goes_to_the_last_step(tmp_path, asked):
    script = reproduce.learning_curves
    first, second, *others = script.runs(PRESETS["quick"])
    ends = {first: plan.steps(first), second: plan.steps(second) - 1}
    kept = [line for line in results.read_rows(methods.RESULTS / script.FILE) if line["id"] in (first.id, second.id)]
    kept = [line for line in kept if int(line["step"]) <= ends[first if line["id"] == first.id else second]]
    results.write_rows(tmp_path / script.FILE, kept)
    reproduce.main(["curves", f"--out={tmp_path}", f"--root={tmp_path / 'runs'}", "--recorded"])
    assert asked == [second, *others]
    assert results.read_rows(tmp_path / script.FILE) == kept  # nothing came that goes further
