"""A model of one's own beside the paper's methods: trained, tabulated, drawn, and shown by figure 3 too."""

import json
import re
import sys
from pathlib import Path

import keras
import made_up
import numpy as np
import pytest

import tcvae_tf as tc
from reproduce import __main__ as reproduce
from reproduce import fig3_mig_distribution, methods, report, table_metrics
from tcvae_tf import compare, custom, results, runs, sweep
from tcvae_tf.datasets import named
from tcvae_tf.sweep import PRESETS

EXAMPLES = Path(__file__).resolve().parents[1] / "docs" / "examples"
METHOD = "my_model:make_model"
#: As little as can be.
FIELDS = {"width": 8, "discriminator_width": 8, "latent_dim": 3, "batch_size": 16, "steps": 4, "thin": 8}
SEEDS = (0, 1)


@pytest.fixture(autouse=True)
def own(monkeypatch):
    """The worked example, where Python finds it, and made-up MIGs of it."""
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setitem(made_up.MIGS, METHOD, 0.3)
    yield
    sys.modules.pop("my_model", None)


def baselines(preset="smoke", fields=FIELDS, seeds=SEEDS):
    """The runs that a comparison wants of the paper's methods."""
    chosen, part = compare._settings(preset, "dsprites", fields)
    return chosen.runs(chosen.variants(part), part, seeds)


@pytest.fixture
def recorded(tmp_path):
    """A file of records of all baselines but a VAE."""
    made = made_up.records([run for run in baselines() if (run.method, run.seed) != ("vae", 1)])
    results.merge(tmp_path / "recorded.csv", made)
    return tmp_path / "recorded.csv"


def test_the_worked_example_is_trained_with_the_baseline_that_is_not_recorded(recorded, tmp_path, monkeypatch):
    options = {"preset": "smoke", "root": tmp_path / "runs", "out": tmp_path / "out", "records": recorded}
    options |= {"fields": FIELDS, "seeds": SEEDS, "executor": "serial"}
    text = compare.compare(METHOD, **options)
    trained = sorted(path.parent.name for path in (tmp_path / "runs").glob("*/record.json"))
    assert [name.split("-mlp8")[0] for name in trained] == ["dsprites-my_model.make_model"] * 2 + ["dsprites-vae"]
    rows = results.read_rows(tmp_path / "out" / "records.csv")
    assert len(rows) == 10
    migs = results.values(compare.of(rows, "dsprites", METHOD), "mig")
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {METHOD} |")]
    assert results.median(migs).text() in line and "(range, n = 2)" in line
    assert text in (tmp_path / "out" / "compare.md").read_text()
    told = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert (told["lines"][-1]["method"], told["lines"][-1]["mig"]["value"]) == (METHOD, pytest.approx(np.median(migs)))
    assert all(f"* {note}.\n" in text for note in told["notes"])
    assert f"SHA-256 {named.digest(METHOD)[:12]}" in text and "7 runs were recorded before" in text
    assert "2 seeds a method" in text  # not the preset's one
    svg = (tmp_path / "out" / "compare.svg").read_text()
    assert "make_model" in svg and "FactorVAE" in svg and (tmp_path / "out" / "compare.png").exists()
    monkeypatch.setattr(sweep.executors, "make", None)  # nothing is trained again
    assert compare.compare(METHOD, **options).splitlines()[:7] == text.splitlines()[:7]


def test_the_worked_example_counts_its_steps_and_holds_its_kl_to_the_capacity(squares):
    own = custom.make(tc.Run(method=METHOD, width=8, batch_size=36, latent_dim=2, epochs=4), squares)
    assert own.model.steps == 6  # half of the training
    kept = keras.callbacks.History()
    own.fit(squares.batches(36, seed=0), callbacks=[kept], epochs=4, verbose=0)
    assert int(own.step.numpy()) == int(own.model.vae.step.numpy()) == int(own.model.optimizer.iterations.numpy()) == 12
    assert kept.history["capacity"] == pytest.approx([25 * 2 / 6, 25 * 5 / 6, 25, 25])  # of an epoch's last batch


def test_weights_of_the_objective_are_for_one_s_own_model_alone(tmp_path, monkeypatch):
    asked = []

    def done(todo, *rest):
        asked.extend(todo)
        raise RuntimeError("enough")

    monkeypatch.setattr(compare, "_done", done)
    weights = {"alpha": 0.5, "beta": 3.0, "gamma": 30.0}
    with pytest.raises(RuntimeError, match="enough"):
        compare.compare(METHOD, "smoke", root=tmp_path, fields={**FIELDS, **weights})
    ours = [run for run in asked if run.own]
    assert {(run.alpha, run.beta, run.gamma) for run in ours} == {(0.5, 3.0, 30.0)}
    assert {run.id for run in asked if not run.own} == {run.id for run in baselines(seeds=None)}


def test_the_table_tests_one_s_own_model_against_each_method():
    rows = made_up.rows(baselines("cpu", {}, None))
    chosen, part = compare._settings("cpu", "dsprites", {})
    rows += made_up.rows(chosen.runs([{"method": METHOD}], part), elbo=None, total_correlation=None)
    made = compare._lines(rows, METHOD, "dsprites")
    assert (made[0]["method"], made[0]["mig"].n, made[0]["p"]) == ("vae", 5, pytest.approx(2 / 252))
    assert compare._as_json(made[0])["mig"] == {"value": 0.1, "low": 0.1, "high": 0.1, "n": 5}
    assert (made[-1]["method"], made[-1]["elbo"], made[-1]["effect"], made[-1]["p"]) == (METHOD, None, None, None)
    lines = [line.strip("| ").split(" | ") for line in compare._tabulate(made).splitlines()]
    found = {line[0]: line[1:] for line in lines[2:]}
    assert list(found) == ["VAE", "β-VAE, β = 4", "FactorVAE, γ = 10", "β-TCVAE, β = 6", METHOD]
    assert [line[-2:] for line in found.values()][:4] == [["+1.00", "p = 0.0079"]] * 3 + [["-1.00", "p = 0.0079"]]
    assert found["VAE"][:4] == ["0.100 [0.100, 0.100] (range, n = 5)", "-101.0", "1.9", "0.550"]
    assert found[METHOD] == ["0.300 [0.300, 0.300] (range, n = 5)", "–", "–", "0.650", "–", "–"]
    assert compare._least_p(5, 5) == pytest.approx(2 / 252) and compare._least_p(1, 1) == 1


def test_a_row_counts_where_it_is_of_the_very_run_and_measured_alike(tmp_path):
    wanted = baselines()
    rows = made_up.records(wanted)
    rows[0]["id"] = "dsprites-vae-mlp8-b1-s0-000000"
    rows[1]["measures"] = runs.MEASURES - 1
    rows[2] = results.failure(rows[2]["run"], rows[2]["id"], "out of memory")
    results.merge(tmp_path / "recorded.csv", rows)
    known = compare._known(wanted, tmp_path, tmp_path / "recorded.csv")
    assert list(known) == [run.id for run in wanted[3:]]
    assert compare._known(wanted, tmp_path, None) == {}
    committed = Path(__file__).resolve().parents[1] / "results" / "records.csv"
    quick = baselines("quick", None, None)
    assert list(compare._known(quick, tmp_path, committed)) == [run.id for run in quick]


def test_records_that_were_there_stay_beside_those_of_a_comparison(tmp_path):
    path = tmp_path / "records.csv"
    compare._keep(path, [{"id": "b", "mig": "0.1"}, {"id": "c", "mig": "0.2"}])
    compare._keep(path, [{"id": "a", "mig": "0.3"}, {"id": "c", "mig": "0.4"}])
    assert [(row["id"], row["mig"]) for row in results.read_rows(path)] == [("a", "0.3"), ("b", "0.1"), ("c", "0.4")]


def test_epochs_take_the_place_of_a_preset_s_steps():
    chosen, part = compare._settings("smoke", "dsprites", {"epochs": 2})
    assert {(run.steps, run.epochs) for run in chosen.runs([{"method": "vae"}], part)} == {(0, 2)}


def test_the_methods_compared_are_those_of_figure_3():
    quick = PRESETS["quick"]
    assert baselines("quick", None, None) == [
        run for run in fig3_mig_distribution.runs(quick) if run.dataset == "dsprites"
    ]


def test_other_fields_are_of_the_baselines_too_and_factor_vae_still_takes_twice_the_steps():
    steps = {run.method: run.steps for run in baselines()}
    assert steps == {"vae": 4, "beta_vae": 4, "beta_tcvae": 4, "factor_vae": 8}


def test_workers_find_the_module_where_this_process_does(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    with compare._findable(METHOD):
        assert sweep.executors._python_path() == [str(EXAMPLES), "elsewhere"]
    assert sweep.executors._python_path() == ["elsewhere"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "beta_vae"}, "a method of your own, module:function; 'beta_vae' is among the baselines"),
        ({"method": "my_model"}, "'my_model' names no function"),
        ({"method": "my_model:make_modle"}, "no attribute 'make_modle'"),
        ({"preset": "quik"}, "did you mean 'quick'"),
        ({"dataset": "dsprite"}, "did you mean 'dsprites'"),
        ({"fields": {"witdh": 3}}, "'witdh' is no field to change; did you mean 'width'"),
        ({"fields": {"seed": 3}}, "'seed' is no field to change"),
        ({"records": "nowhere.csv"}, "no such file of records"),
    ],
)
def test_what_cannot_be_compared_is_said_in_one_line(options, words, tmp_path):
    with pytest.raises((ValueError, FileNotFoundError), match=words) as error:
        compare.compare(**{"method": METHOD, "root": tmp_path, **options})
    assert "\n" not in str(error.value)


def test_seeds_that_failed_are_named_and_without_any_there_is_no_comparison(tmp_path, monkeypatch):
    chosen, part = compare._settings("smoke", "dsprites", FIELDS)
    own = chosen.runs([{"method": METHOD}], part, SEEDS)

    def failing(todo, root, executor, resources, on_record):
        """The first of two runs fails, or the only one."""
        for run in todo[1:]:
            on_record(run, made_up.record(run))
        raise sweep.SweepFailed({todo[0]: "step 3: loss = nan"}, tmp_path, len(todo))

    monkeypatch.setattr(sweep, "execute_all", failing)
    rows, failures = compare._done(own, tmp_path, "serial", None, METHOD)
    assert [line["id"] for line in rows] == [own[1].id]
    known = {line["id"]: line for line in made_up.rows(baselines())}
    notes = compare._notes([*known.values(), *rows], METHOD, chosen, part, FIELDS, known, failures)
    assert f"Failed: {own[0].id}: step 3: loss = nan" in "\n".join(notes)
    with pytest.raises(sweep.SweepFailed, match="1 of 1 runs failed"):
        compare._done(own[:1], tmp_path, "serial", None, METHOD)


# --- figure 3 and the table of measures -----------------------------------------------------------------------------


def with_own(preset):
    """Made-up rows of figure 3 and of one's own model, as the preset would run it on dSprites."""
    own = PRESETS[preset].runs([{"method": METHOD}])
    return made_up.rows([*fig3_mig_distribution.runs(PRESETS[preset]), *own])


def test_a_method_of_one_s_own_is_one_more_column_of_figure_3_and_of_the_table_of_measures():
    rows = with_own("quick")
    for script in (fig3_mig_distribution, table_metrics):
        figure = script.draw(rows, [], "a caption")
        ticks = [[tick.get_text() for tick in axes.get_xticklabels()] for axes in figure.axes]
        assert {labels[-1] for labels in ticks} == {"my_model:\nmake_model\nn = 2", "β-TCVAE\nβ = 6\nn = 2"} or {
            labels[-1] for labels in ticks
        } == {"my_model:\nmake_model", "β-TCVAE"}
        assert not any("nan" in text for text in (script.tabulate(rows, []), script.explain(rows)))
    three = fig3_mig_distribution.tabulate(rows, []).split("3D Faces")
    assert f"| {METHOD} | – | 0.300 [0.300, 0.300] (range, n = 2)" in three[0] and METHOD not in three[1]
    assert re.search(rf"^\| measure .* \| β-TCVAE \| {METHOD} \|", table_metrics.tabulate(rows, []), re.MULTILINE)


def test_claims_of_the_paper_are_not_about_one_s_own_model():
    for script in (fig3_mig_distribution,):
        ours = [line for line in with_own("quick") if line["run.method"] != METHOD]
        assert script.check(with_own("quick"), []) == script.check(ours, [])


def test_records_of_one_s_own_are_reported_where_they_are_run_as_the_preset_runs_the_others(tmp_path):
    quick = PRESETS["quick"]
    other = quick.runs([{"method": METHOD, "width": 64}])
    rows = [*with_own("quick"), *made_up.rows(other, mig=0.77)]
    assert methods.own_ids(rows, quick) == {run.id for run in quick.runs([{"method": METHOD}])}
    results.write_rows(tmp_path / "records.csv", [{**line, "versions.keras": "3"} for line in rows])
    report.write({"fig3": fig3_mig_distribution, "fig2": reproduce.SCRIPTS["fig2"]}, {}, tmp_path)
    text = (tmp_path / "RESULTS.md").read_text()
    assert f"| {METHOD} | – | 0.300 [0.300, 0.300] (range, n = 2)" in text and "0.77" not in text
    assert "preset quick: 18 of 18 runs" in (tmp_path / "figures" / "fig3-quick.svg").read_text().replace("\n", " ")


def test_made_up_rows_of_a_method_without_records_change_nothing():
    rows = [line for line in with_own("quick") if line["run.method"] != METHOD]
    assert methods.own(rows, "dsprites") == [] and methods.own_ids(rows, PRESETS["quick"]) == set()
    assert np.all(results.values(methods.tuned(rows, "dsprites", METHOD), "mig") == [])
