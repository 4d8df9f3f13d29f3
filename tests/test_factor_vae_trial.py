"""FactorVAE with two weights and two rates of its discriminator: what is run, what is said of made-up histories."""

import json

import pytest

from reproduce import __main__ as reproduce
from reproduce import factor_vae_trial as script
from tcvae_tf import results
from tcvae_tf.sweep import PRESETS

RUNS = script.runs(PRESETS["quick"])


def lines(run):
    """MIG rises with the rate at the lower weight, and with the weight at the lower rate."""
    fast = run.discriminator_learning_rate == 1e-3
    mig = {(10.0, False): 0.01, (10.0, True): 0.11, (40.0, False): 0.041, (40.0, True): 0.04}[run.tc_weight, fast]
    end = {"data_mig": mig, "data_elbo": -90, "data_total_correlation": 2}
    end |= {"discriminator_tc": 0.2, "discriminator_accuracy": 0.6}
    return [{name: str(value) for name, value in {"step": step, **end}.items()} for step in (1440, 14_400)]


@pytest.fixture
def rows(tmp_path):
    for run in RUNS:
        home = tmp_path / run.id
        home.mkdir()
        (home / "record.json").write_text(json.dumps({"data": {"source": "generated"}}))
        first, last = lines(run)
        results.write_rows(home / "history.csv", [{**first, "data_mig": "0.005"}, last])
    return script.collect(RUNS, tmp_path)


def test_each_weight_of_the_preset_has_both_rates():
    settings = {(run.tc_weight, run.discriminator_learning_rate) for run in RUNS}
    assert settings == {(10.0, 1e-4), (10.0, 1e-3), (40.0, 1e-4), (40.0, 1e-3)}
    assert len(RUNS) == 4
    cpu = PRESETS["cpu"]
    wanted = {run for run in cpu.runs(cpu.variants()) if run.method == "factor_vae" and run.seed == 0}
    assert wanted < set(RUNS)  # the runs of the preset itself are among them
    assert {run.steps for run in script.runs(PRESETS["smoke"])} == {40}


def test_a_claim_for_each_weight_and_what_failed_is_failed(rows):
    verdicts = [(claim.holds, claim.ours) for claim in script.check(rows, [])]
    assert verdicts == [
        (True, "0.110 against 0.010"),
        (False, "0.040 against 0.041"),
        (True, "0.041 against 0.010"),
        (False, "0.040 against 0.110"),
    ]


def test_what_is_not_at_its_end_decides_nothing(rows):
    """Two are compared as far as both have come."""
    fast = [row for row in rows if row["rate"] == "0.001"]
    assert [claim.verdict for claim in script.check(fast, [])][:3] == ["not run"] * 3
    assert script.check(fast, [])[3].holds is False  # these two are at their end
    assert "2 of 4 runs not begun" in script.caption(fast)
    cut = [row for row in rows if row["step"] == "1440" or row["tc_weight"] == "10"]
    claims = script.check(cut, [])
    so_far = "not decided: 1,440 of 14,400 steps so far"
    assert [claim.verdict for claim in claims] == ["yes, but one seed", so_far, so_far, so_far]
    assert [claim.ours for claim in claims][2] == "0.005 against 0.005"
    assert "| γ = 10, rate 0.0001 | 0.005 | 14,400 |" in script.tabulate(cut, [])
    assert "| FactorVAE | MIG after 1,440 steps |" in script.tabulate(cut, [])
    told = "; ".join(f"γ = 40, rate {rate}: 1,440 of 14,400 steps so far" for rate in ("0.0001", "0.001"))
    assert told in script.caption(cut) and told in script.explain(cut)
    assert "so far" not in script.caption(rows) + script.explain(rows)


def test_table_and_figure_show_the_discriminator_beside_the_exact_value(rows):
    line = "| γ = 10, rate 0.001 | 0.110 | 14,400 | 0.110 | 2.000 | 0.200 | 0.600 | -90.0 |"
    assert line in script.tabulate(rows, [])
    figure = script.draw(rows)
    labels = [line.get_label() for line in figure.axes[2].lines]
    assert {"γ = 10, rate 0.001", "γ = 10, rate 0.001*"} < set(labels) and len(labels) == 8


def test_all_leaves_it_out():
    assert script not in reproduce._chosen(reproduce._parser().parse_args(["all"]), reproduce.HISTORIES)
