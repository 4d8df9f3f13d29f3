"""The learning curves' script: what it runs, what it takes from histories, and what it says of them."""

import json

import pytest

from reproduce import learning_curves as curves
from tcvae_tf import results
from tcvae_tf.sweep import PRESETS


@pytest.fixture
def rows(tmp_path):
    """Of made-up histories: each method's MIG falls on dSprites and rises on faces."""
    made = curves.runs(PRESETS["quick"])
    for run in made:
        home = tmp_path / run.id
        home.mkdir()
        source = "stand-in" if run.dataset == "faces3d" else "generated"
        (home / "record.json").write_text(json.dumps({"data": {"source": source}}))
        end = 0.5 if run.dataset == "faces3d" else 0.05
        judge = ("0.9", "0.6") if run.method == "factor_vae" else ("", "")
        lines = [
            {"step": "100", "data_mig": "0.1", "data_elbo": "-9", "data_total_correlation": "1"},
            {"step": "150"},  # the checkpoint within an epoch
            {"step": "200", "data_mig": str(end), "data_elbo": "-8", "data_total_correlation": "2"},
        ]
        for line in lines:
            line |= {"discriminator_tc": judge[0], "discriminator_accuracy": judge[1]}
        results.write_rows(home / "history.csv", lines)
    return curves.collect(made, tmp_path)


def test_every_method_has_one_seed_on_both_data_sets():
    made = curves.runs(PRESETS["quick"])
    assert len(made) == len({(run.dataset, run.method) for run in made}) == 8
    assert {run.seed for run in made} == {0}
    assert {run.steps for run in curves.runs(PRESETS["smoke"])} == {20, 40}


def test_only_measured_lines_are_taken(rows):
    assert len(rows) == 16
    assert [line["step"] for line in rows[:2]] == ["100", "200"]
    assert [line["discriminator_tc"] for line in rows if line["method"] == "factor_vae"] == ["0.9"] * 4


def test_what_does_not_rise_is_a_failed_claim(rows):
    elbo, mig = curves.check(rows, [])
    assert (elbo.verdict, elbo.ours) == ("yes, but one seed each", "8 of 8")
    assert mig.holds is False
    assert mig.ours.startswith("4 of 8; not ") and "VAE, dSprites 0.1 → 0.05" in mig.ours
    assert "3D Faces" not in mig.ours
    assert [claim.ours for claim in curves.check([], [])] == ["not run", "not run"]


def test_figure_and_table_show_the_discriminator_beside_the_exact_value(rows):
    figure = curves.draw(rows)
    labels = {line.get_label() for axes in figure.axes for line in axes.lines}
    assert {"FactorVAE, γ = 10", "FactorVAE, γ = 10*", "VAE"} <= labels
    table = curves.tabulate(rows, [])
    assert "| FactorVAE, γ = 10 | 100 → 200 | -9 → -8 | 0.1 → 0.05 | 1 → 2 | 0.9 (0.600) |" in table
