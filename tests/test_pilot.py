"""The pilot: what it runs, and when it says that the methods' order is settled."""

import json

import pytest

from reproduce import __main__ as reproduce
from reproduce import pilot
from tcvae_tf import results
from tcvae_tf.sweep import PRESETS

MIGS = {"vae": (0.1, 0.1), "beta_vae": (0.2, 0.25), "factor_vae": (0.15, 0.16), "beta_tcvae": (0.3, 0.4)}


@pytest.fixture
def rows(tmp_path):
    """Of made-up histories: MIG at a tenth, at half and at the end of each training."""
    made = pilot.runs(PRESETS["cpu"])
    for run in made:
        home = tmp_path / run.id
        home.mkdir()
        (home / "record.json").write_text(json.dumps({"data": {"source": "generated"}}))
        half, whole = MIGS[run.method]
        last = 1000 * (2 if run.method == "factor_vae" else 1)
        points = ((0.1, 0.01), (0.5, half + 0.02 * run.seed), (1, whole))
        lines = [{"step": str(int(part * last)), "data_mig": str(mig)} for part, mig in points]
        results.write_rows(
            home / "history.csv", [{**n, "data_elbo": "-9", "data_total_correlation": "1"} for n in lines]
        )
    return pilot.collect(made, tmp_path)


def test_every_method_has_two_seeds_over_twice_the_preset_s_epochs():
    made, preset = pilot.runs(PRESETS["paper"]), PRESETS["cpu"]
    assert len(made) == len({(run.method, run.seed) for run in made}) == 8
    assert {run.epochs for run in made if run.method != "factor_vae"} == {2 * preset.dsprites["epochs"]}
    assert {run.width for run in made} == {preset.dsprites["width"]}
    assert {run.epochs // pilot.every(run) for run in made} == {2 * preset.dsprites["epochs"]}
    assert {run.steps for run in pilot.runs(PRESETS["smoke"])} == {20, 40}


def test_an_order_that_stays_is_settled_and_one_that_changes_is_a_failed_claim(rows):
    (claim,) = pilot.check(rows, [])
    assert claim.verdict == "yes, but two seeds"
    assert claim.ours.startswith("β-TCVAE, β = 6 > β-VAE, β = 4 > FactorVAE, γ = 10 > VAE; then")
    last = max(int(row["step"]) for row in rows if row["method"] == "beta_vae")
    late = [
        {**row, "data_mig": "0.5"} if row["method"] == "beta_vae" and row["step"] == f"{last}" else row for row in rows
    ]
    assert pilot.check(late, [])[0].holds is False
    own = [{**row, "data_mig": "0.18"} if row["method"] == "vae" and row["seed"] == "1" else row for row in rows]
    assert pilot.check(own, [])[0].verdict == "yes, but of seed 1 alone it ends as another"


def test_the_order_is_settled_from_the_tenth_on_after_which_it_never_changes(rows):
    """All MIG are the same after the first tenth; from then on they grow at the pace that their means say."""
    assert pilot._settled(rows) == 0.2
    assert "From 20% of the training on the means" in pilot.explain(rows) and "that is epoch 2," in pilot.explain(rows)
    slump = {**next(row for row in rows if row["method"] == "beta_tcvae"), "step": "800", "data_mig": "0.01"}
    place = next(n for n, row in enumerate(rows) if row["id"] == slump["id"] and row["step"] == "1000")
    assert pilot._settled([*rows[:place], slump, *rows[place:]]) == 0.9
    assert pilot._settled([row for row in rows if row["method"] == "vae"]) == 0.1


def test_the_order_is_left_open_and_the_figure_says_so_until_all_have_run(rows):
    last = rows[-1]["id"]
    some = [row for row in rows if row["id"] != last]
    assert pilot.check(some, [])[0].holds is None
    assert pilot.caption(some).endswith("7 of 8 runs so far") and "7 of 8 runs so far" in pilot.explain(some)
    assert "so far" not in pilot.caption(rows) + pilot.explain(rows)


def test_the_table_has_the_mean_of_the_seeds_at_parts_of_each_training(rows):
    table = pilot.tabulate(rows, [])
    assert "| FactorVAE, γ = 10 | 0.010 | 0.048 |" in table
    assert "| β-TCVAE, β = 6 | 0.010 |" in table and "| 0.310 | 0.328 |" in table


def test_the_second_seed_is_drawn_broken(rows):
    figure = pilot.draw(rows)
    looks = {line.get_label(): line.get_linestyle() for axes in figure.axes for line in axes.lines}
    assert (looks["VAE"], looks["VAE*"]) == ("-", "--")


def test_the_legend_of_all_eight_curves_is_within_the_picture(rows):
    figure = pilot.draw(rows)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()][:2] == ["VAE", "VAE*"]
    box, whole = legend.get_window_extent(), figure.bbox
    assert whole.x0 <= box.x0 and box.x1 <= whole.x1 and whole.y0 <= box.y0


def test_all_leaves_the_pilot_out_and_its_name_takes_it():
    def named(name):
        return reproduce._chosen(reproduce._parser().parse_args([name]), reproduce.HISTORIES)

    assert pilot not in named("all")
    assert named("pilot") == [pilot]
