"""The scripts of figures and tables: what they run, choose, claim and tell, on made-up records."""

import math

import made_up
import numpy as np
import pytest

from reproduce import ablations, fig2_beta_sweep, fig3_mig_distribution, fig4_mig_vs_tc, methods, table_metrics
from tcvae_tf import results
from tcvae_tf.runs import Run
from tcvae_tf.sweep import PRESETS

SCRIPTS = [fig2_beta_sweep, fig3_mig_distribution, fig4_mig_vs_tc, table_metrics, ablations]
QUICK, CPU = PRESETS["quick"], PRESETS["cpu"]


def lines(figure):
    return [line for axes in figure.axes for line in axes.lines]


def claim(script, rows, start):
    return next(claim for claim in script.check(rows, []) if claim.text.startswith(start))


@pytest.mark.parametrize("script", SCRIPTS)
def test_without_rows_no_claim_is_made(script):
    assert {claim.verdict for claim in script.check([], [])} == {"not run"}


@pytest.mark.parametrize("script", SCRIPTS)
def test_any_part_of_the_runs_can_be_drawn_and_told(script):
    runs = script.runs(PRESETS["smoke"])
    for part in (runs[:1], runs[1:2], runs[-1:], runs[: len(runs) // 2], runs):
        rows = made_up.rows(part)
        assert script.draw(rows, [], "a caption").axes
        texts = [script.tabulate(rows, []), script.explain(rows), *(c.ours + c.verdict for c in script.check(rows, []))]
        assert not any("nan" in text for text in texts)


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_order_of_rows_changes_no_text(script):
    rows = made_up.rows(script.runs(QUICK), spread=0.04)
    for order in (rows[::-1], sorted(rows, key=lambda line: line["id"])):
        assert script.tabulate(order, []) == script.tabulate(rows, [])
        assert script.check(order, []) == script.check(rows, [])
        assert script.explain(order) == script.explain(rows)


def test_figure_2_says_how_much_information_mws_can_see_and_how_much_there_is():
    rows = made_up.rows([run for run in fig2_beta_sweep.runs(QUICK) if run.dataset == "dsprites"])
    for line in rows:
        weight = float(line["run.beta"]) / (1 if line["run.method"] == "beta_tcvae" else 2)
        line["mutual_information"] = str(9 - weight + float(line["run.seed"]) / 5)
    told = fig2_beta_sweep.explain(rows)
    beside = [f"{9.1 - beta:.1f} against {9.1 - beta / 2:.1f} (β = {beta:g})" for beta in QUICK.betas if beta > 1]
    assert f"on dSprites (log B = {np.log(QUICK.dsprites['batch_size']):.1f}): {', '.join(beside)}." in told
    assert "log B" not in fig2_beta_sweep.explain([line for line in rows if line["run.method"] != "beta_vae"])


def test_figures_share_their_runs():
    two, three, four, table, ablated = ({run.id for run in script.runs(QUICK)} for script in SCRIPTS)
    assert four == two
    assert table == two | three
    shared = [run for run in fig3_mig_distribution.runs(QUICK) if run.id in two]
    assert {run.method for run in shared} == {"vae", "beta_vae", "beta_tcvae"}
    assert len(ablated & three) == len(QUICK.fewer_seeds)


def test_the_vae_is_trained_once_and_shown_as_both_methods_at_beta_1():
    runs = fig2_beta_sweep.runs(QUICK)
    assert len(runs) == len(set(runs)) == 2 * len(QUICK.seeds) * (1 + 2 * (len(QUICK.betas) - 1))
    assert {run.beta for run in runs if run.method != "vae"} == set(QUICK.betas) - {1}
    figure = fig2_beta_sweep.draw(made_up.rows(runs), [], "")
    curves = [line for line in lines(figure) if line.get_linestyle() == "-" and len(line.get_xdata()) > 1]
    assert [list(line.get_xdata()) for line in curves] == [list(QUICK.betas)] * 8
    migs = [line.get_ydata() for line in curves[2:4]]
    assert [values[0] for values in migs] == [made_up.MIGS["vae"]] * 2


def test_the_trade_off_is_judged_within_each_beta():
    rows = made_up.rows(fig2_beta_sweep.runs(CPU), spread=0.04)
    for line in rows:  # β-VAE reconstructs less the more β weighs; the ELBO of the other falls half as much
        slope = 1 if line["run.method"] == "beta_vae" else 0.5
        line["elbo"] = str(-100 - slope * float(line["run.beta"]))
    mig, elbo = (claim(fig2_beta_sweep, rows, f"{name} at the same β: ") for name in ("MIG", "ELBO"))
    assert (mig.verdict, elbo.verdict) == ("yes", "yes")
    assert mig.ours == "median higher at 4 of 4 β; δ = +1.00, p = 0.004; n = 5 and 5 seeds"
    worse = [{**line, "elbo": str(2 * float(line["elbo"]))} if "tcvae" in line["id"] else line for line in rows]
    assert claim(fig2_beta_sweep, worse, "ELBO at the same β").verdict == "🔴 **NO: failed**"
    # A seed that lacks a β is not exchangeable with one that has them all.
    uneven = [
        line for line in rows if (line["run.seed"], line["run.beta"], line["run.method"]) != ("3", "4", "beta_vae")
    ]
    assert claim(fig2_beta_sweep, uneven, "MIG at the same β").ours.endswith("; n = 5 and 4 seeds")
    none = [
        line
        for line in rows
        if line["run.beta"] in ("2", "4") and (line["run.seed"] == "0") == (line["run.beta"] == "2")
    ]
    assert claim(fig2_beta_sweep, none, "MIG at the same β").verdict == "not decided: no seeds have every β"


def test_runs_of_a_single_latent_are_told():
    rows = made_up.rows(fig2_beta_sweep.runs(CPU))
    assert methods.one_latent(rows) == ""
    alone = [{**line, "active_units": "1"} if float(line["run.beta"]) == 10 else line for line in rows]
    told = methods.one_latent(alone)
    assert "the only one in 5 of 5 runs of β-VAE (β = 10) on dSprites, MIG 0.050; 5 of 5 runs of β-TCVAE" in told
    assert told in fig2_beta_sweep.explain(alone) and told in fig4_mig_vs_tc.explain(alone)
    assert "| 5 | 1 |" not in fig2_beta_sweep.tabulate(alone, []) and "| 1 | 1 |" in fig2_beta_sweep.tabulate(alone, [])


def test_elbo_and_objective_are_told_by_the_number_of_latents_where_seeds_differ_in_it():
    rows = made_up.rows(fig2_beta_sweep.runs(CPU))
    assert methods.by_latents({"all": rows}) == "" and "how many latents" not in fig2_beta_sweep.explain(rows)
    (first, *others) = methods.of(rows, "dsprites", "beta_tcvae", 4)
    for line in (first, *others):
        line["elbo"], line["mutual_information"] = "-110.04", "1"
    first["active_units"], first["elbo"] = "6", "-99.96"
    table = fig2_beta_sweep.tabulate(rows, [])  # TC is 2.0 - 0.4
    assert "| β-TCVAE (β = 4) on dSprites | 5 | 4 | -110.0 | 114.8 | 0.400 |" in table
    assert "| β-TCVAE (β = 4) on dSprites | 6 | 1 | -100.0 | 104.8 | 0.400 |" in table
    assert "a run with the most latents in 1 of 1 such settings" in fig2_beta_sweep.explain(rows)
    told = "the one with the lower objective has the higher MIG in {} of 4 pairs"
    seen = "the lowest is of a run with the most latents in {} of 1."
    assert told.format(0) in fig2_beta_sweep.explain(rows)  # as high
    first["mig"] = "0.9"
    assert told.format(4) in fig2_beta_sweep.explain(rows) and "MWS adds" not in fig2_beta_sweep.explain(rows)
    first["mutual_information"] = str(math.log(512) + 4)  # by so many nats, times 3, MWS has it 2 nats above the others
    assert seen.format(0) in fig2_beta_sweep.explain(rows)
    first["mutual_information"] = str(math.log(512) + 3)
    assert seen.format(1) in fig2_beta_sweep.explain(rows)
    first["active_units"] = "4"
    assert "a run with the most latents in 0 of 1 such settings" in fig2_beta_sweep.explain(rows)


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ("vae", 100.0),
        ("beta_vae", 100.0 + 3 * 20.0),
        ("beta_tcvae", 100.0 + 3 * 1.6),
        ("no information", 100.0 - 9.0 + 3 * 1.6),
        ("factor_vae", 100.0 + 5 * 1.6),
    ],
)
def test_the_exact_objective_weights_the_terms_of_the_kl(method, told):
    settings = {"method": method, "beta": 4.0 if method.startswith("beta") else 1.0}
    settings |= {"tc_weight": 5.0} if method == "factor_vae" else {}
    if method == "no information":
        settings |= {"method": "beta_tcvae", "beta": 4.0, "alpha": 0.0}
    (row,) = made_up.rows([Run(**settings)], mig=0.4, elbo=-100.0)
    assert methods.objective(row) == pytest.approx(told)


@pytest.mark.parametrize(
    ("settings", "beyond", "told"),
    [
        ({}, 2.0, 3 * 2.0),
        ({}, -1.0, 0.0),
        ({"alpha": 0.0}, 2.0, 4 * 2.0),
        ({"estimator": "mss"}, 2.0, 0.0),
        ({"method": "beta_vae"}, 2.0, 0.0),
    ],
)
def test_information_beyond_log_b_weighs_beta_in_place_of_alpha_with_mws(settings, beyond, told):
    run = Run(**{"method": "beta_tcvae", "beta": 4.0, "batch_size": 512, **settings})
    (row,) = made_up.rows([run], mutual_information=math.log(512) + beyond)
    assert methods.mws_bias(row) == pytest.approx(told)


def test_figure_2_tells_where_the_extra_weight_falls_and_elbo_at_the_weights_of_figure_3():
    rows = made_up.rows([run for run in fig2_beta_sweep.runs(CPU) if run.dataset == "dsprites"])
    for line in rows:
        line["mutual_information"], line["total_correlation"] = str(math.log(512) + 1.5), "0.1"
        line["elbo"] = {"beta_tcvae": "-117.5", "beta_vae": "-115.9"}.get(line["run.method"], "-90")
    told = fig2_beta_sweep.explain(rows)
    assert "at the weight of figure 3: 7.5 and 0.5 nats on dSprites (β = 6)" in told
    assert "on dSprites (β = 6 and 4) -117.5 against -115.9, δ = -1.00, p = 0.004 of the opposite" in told


def test_figure_4_tells_the_correlation_without_the_betas_that_leave_one_latent():
    rows = made_up.rows([run for run in fig4_mig_vs_tc.runs(CPU) if run.dataset == "dsprites"])
    for line in rows:  # MIG rises with TC but for β = 10
        beta = float(line["run.beta"])
        line["total_correlation"], line["mig"] = str(1 / beta), str(0.9 if beta == 10 else 0.1 / beta)
    assert "of a fall" not in fig4_mig_vs_tc.explain(rows)
    for line in rows:
        if (line["run.method"], float(line["run.beta"])) == ("beta_vae", 10.0):
            line["active_units"] = "1"
    told = fig4_mig_vs_tc.explain(rows)
    assert "active latent: β-VAE on dSprites, without β = 10: ρ = +1.00 (n = 20, 5 seeds), of a fall p = 1." in told
    assert "β-TCVAE on dSprites, without" not in told


def test_mig_beside_the_objective_is_of_runs_with_as_many_latents():
    rows = methods.of(made_up.rows(fig2_beta_sweep.runs(CPU)), "dsprites", "beta_tcvae", 6)
    for place, line in enumerate(rows):  # MIG falls with the objective, but for the last run, of a latent more
        line["elbo"], line["mig"] = str(-100 - place), str(0.5 - place / 10)
    rows[-1] |= {"active_units": "6", "elbo": "-90", "mig": "0.0"}
    told = methods.optima({"all": rows}, "J", "Unasked")
    assert "ρ of -1.00, the mean over sets of three runs or more, n = 1; it is below 0 in 1. Unasked, and" in told
    assert "Spearman" not in methods.optima({"all": rows[:2]}, "J", "Unasked")


def test_where_mig_is_highest_is_compared_across_betas():
    rows = made_up.rows(fig2_beta_sweep.runs(CPU))
    best = {("beta_vae", 2.0): "0.3", ("beta_tcvae", 6.0): "0.45"}
    for line in rows:
        line["mig"] = best.get((line["run.method"], float(line["run.beta"])), line["mig"])
    found = claim(fig2_beta_sweep, rows, "highest median MIG")
    assert "(β = 6 against β = 2)" in found.text
    assert found.ours.startswith("0.450 [0.450, 0.450] (range, n = 5) against 0.300")
    assert found.verdict == "yes"


def test_a_weight_of_factor_vae_with_fewer_seeds_is_not_chosen_yet():
    rows = made_up.rows([run for run in fig3_mig_distribution.runs(CPU) if run.dataset == "dsprites"])
    best = methods.of(rows, "dsprites", "factor_vae", tc_weight=40.0)
    for line in best:
        line["mig"] = "0.9"
    assert methods.tuned(rows, "dsprites", "factor_vae") == best
    rest = [line for line in rows if line not in best[1:]]
    chosen = methods.tuned(rest, "dsprites", "factor_vae")
    assert {line["run.tc_weight"] for line in chosen} == {"10"} and len(chosen) == 5
    assert methods.tried(rows) == "FactorVAE with the best median MIG of γ = 10, 40"
    assert methods.tried(rest) == "FactorVAE with γ = 10, the only one of γ = 10, 40 with 5 seeds"
    assert methods.tried(best) == "FactorVAE with the only weight tried, γ = 40"
    other = [{**line, "run.dataset": "faces3d"} for line in best]
    told = (
        "FactorVAE with the best median MIG of γ = 10, 40 on dSprites, with the only weight tried, γ = 40 on 3D Faces"
    )
    assert methods.tried([*rows, *other]) == told


def test_factor_vae_is_shown_with_its_best_weight_and_every_weight_is_listed():
    rows = made_up.rows(fig3_mig_distribution.runs(CPU))
    for line in methods.of(rows, "dsprites", "factor_vae", tc_weight=40.0):
        line["mig"] = "0.3"
    text = fig3_mig_distribution.tabulate(rows, [])
    assert "| FactorVAE, γ = 10 |  | 0.200" in text
    assert "| FactorVAE, γ = 40 (shown) | not known to us | 0.300" in text
    assert "γ = 40 (shown)" in text.split("3D Faces")[0]
    figure = fig3_mig_distribution.draw(rows, [], "preset cpu")
    assert "FactorVAE\nγ = 40\nn = 5" in [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert figure.get_supxlabel() == "preset cpu; FactorVAE with the best median MIG of γ = 10, 40"
    assert "with the best median MIG of γ = 10, 40" in fig3_mig_distribution.explain(rows)
    assert claim(fig3_mig_distribution, rows, "median MIG: β-TCVAE > FactorVAE, ").ours.count("0.200") == 3


def test_of_few_betas_none_is_called_the_best():
    rows = made_up.rows(fig2_beta_sweep.runs(QUICK), spread=0.04)
    best = [claim for claim in fig2_beta_sweep.check(rows, []) if "highest" in claim.text]
    assert len(best) == 4 and all(claim.holds is not None for claim in best)
    two = [line for line in rows if line["run.beta"] in ("1", "4", "6")]
    best = [claim for claim in fig2_beta_sweep.check(two, []) if "highest" in claim.text]
    assert {(claim.ours, claim.verdict) for claim in best} == {
        ("2 and 2 β above 1", "not decided: a highest one takes a sweep")
    }


def test_a_line_over_beta_is_broken_where_only_the_other_method_was_run_and_one_seed_is_hollow():
    rows = made_up.rows([run for run in fig2_beta_sweep.runs(CPU) if run.dataset == "dsprites"])
    rows = [line for line in rows if (line["run.method"], line["run.beta"]) != ("beta_tcvae", "4")]
    rows = [
        line
        for line in rows
        if (line["run.method"], line["run.beta"], line["run.seed"] == "0") != ("beta_vae", "4", False)
    ]
    figure = fig2_beta_sweep.draw(rows, [], "")
    ours = [line for line in figure.axes[1].lines if line.get_linewidth() == 1.2]
    assert sum(np.isnan(line.get_ydata()).sum() for line in ours) == 1
    hollow = [line for line in figure.axes[1].lines if line.get_markerfacecolor() == "white"]
    assert [list(line.get_xdata()) for line in hollow] == [[4]]
    assert figure.legends[0].get_texts()[-1].get_text() == "one seed"


def test_the_better_half_of_the_seeds_is_told_apart_from_the_other():
    rows = made_up.rows([run for run in fig3_mig_distribution.runs(CPU) if run.dataset == "dsprites"])
    for line in methods.of(rows, "dsprites", "beta_tcvae"):
        good = line["run.seed"] in ("0", "2", "4")
        line["mig"], line["total_correlation"] = ("0.38", "0.08") if good else ("0.11", "0.2")
    told = (
        "5 seeds on dSprites the best 3 have a median MIG of 0.380 and a TC of 0.080 nats, the others 0.110 and 0.200."
    )
    assert told in fig3_mig_distribution.explain(rows)
    assert "0.110, 0.110, 0.380, 0.380, 0.380" in fig3_mig_distribution.tabulate(rows, [])
    assert "γ was chosen by the median MIG of these runs themselves" in fig3_mig_distribution.explain(rows)
    few = [line for line in rows if line["run.seed"] != "4"]
    assert "best half" not in fig3_mig_distribution.explain(few)


def test_measures_are_correlated_over_settings_that_every_seed_has():
    rows = made_up.rows([run for run in fig3_mig_distribution.runs(QUICK) if run.dataset == "dsprites"])
    assert methods.common(rows) == rows
    rest = [line for line in rows if (line["run.method"], line["run.seed"]) != ("vae", "0")]
    assert {line["run.method"] for line in methods.common(rest)} == {"beta_vae", "factor_vae", "beta_tcvae"}
    assert len(methods.common(rest)) == 6 and methods.common([]) == []
    begun = {**rows[0], "run.seed": "2", "id": "the first of another seed"}
    assert methods.common([*rows, begun]) == rows
    had = {"0": "abc", "1": "de", "2": "de", "3": "def"}
    uneven = [{"id": f"{m}{seed}", "run.seed": seed, "run.method": m} for seed, each in had.items() for m in each]
    assert [line["id"] for line in methods.common(uneven)] == ["d1", "e1", "d2", "e2", "d3", "e3"]


def test_mig_against_tc_shows_means_and_judges_by_ranks():
    rows = made_up.rows(fig4_mig_vs_tc.runs(CPU), spread=0.04)
    found = claim(fig4_mig_vs_tc, rows, "MIG falls with TC: β-TCVAE")
    assert (found.ours, found.verdict) == ("ρ = -1.00 (n = 25, 5 seeds)", "yes")
    rising = [{**line, "total_correlation": line["mig"]} for line in rows]
    found = claim(fig4_mig_vs_tc, rising, "MIG falls with TC: β-TCVAE")
    assert (found.ours, found.verdict) == ("ρ = +1.00 (n = 25, 5 seeds)", "🔴 **NO: failed**")
    two = [line for line in rows if line["run.method"] == "beta_tcvae" and line["run.beta"] in ("2", "6")]
    found = claim(fig4_mig_vs_tc, two, "MIG falls with TC: β-TCVAE")
    assert found.verdict == "not decided: no seed has three runs that differ"
    mean = results.mean(results.values(methods.of(rows, "dsprites", "beta_vae", 4.0), "mig"))
    assert "| β-VAE | 4 | " in fig4_mig_vs_tc.tabulate(rows, [])
    assert str(mean) in fig4_mig_vs_tc.tabulate(rows, [])


def test_the_measures_by_which_beta_tcvae_is_ahead_at_the_same_beta_are_told_by_how_sure_they_are():
    rows = made_up.rows([run for run in table_metrics.runs(CPU) if run.dataset == "dsprites"])
    for line in rows:
        ours, seed = line["run.method"] == "beta_tcvae", int(line["run.seed"])
        line["mig"] = str(0.3 + seed / 100 + 0.2 * ours)
        line["mig_histogram"] = str(0.3 + seed / 100 + (0.005 if seed < 3 else -0.005) * ours)
        line["beta_vae_score"], line["factor_vae_score"] = str(0.3 - 0.2 * ours), "0.5"
    told = table_metrics.explain(rows)
    ahead = (
        "On dSprites β-TCVAE is above β-VAE at the same β by MIG (exact) (δ = +1.00, p = 0.004) and, without certainty"
    )
    assert f"{ahead}, by MIG (histogram) (δ = +0.04, p = 0." in told
    assert "β-VAE score" not in told.partition(" is above ")[2]


def test_the_measure_that_separates_the_methods_is_named():
    rows = made_up.rows(table_metrics.runs(CPU), spread=0.02)
    noise = np.random.default_rng(0)
    for line in rows:
        line["factor_vae_score"] = f"{noise.uniform():.3f}"
    told = table_metrics.explain(rows)
    assert "On dSprites methods are told apart most by MIG" in told
    one = made_up.rows([run for run in table_metrics.runs(CPU) if run.seed == 0 and run.dataset == "dsprites"])
    assert "On dSprites a method has a single seed, which tells nothing apart." in table_metrics.explain(one)
    assert "β-VAE score" not in told  # the same for all: nothing to compare
    found = claim(table_metrics, rows, "models with a higher MIG have a higher β-VAE score")
    assert found.verdict == "not decided: no seed has three runs that differ"
    empty = [{**line, "beta_vae_score": ""} for line in rows]
    assert claim(table_metrics, empty, "models with a higher MIG have a higher β-VAE score").verdict == "not run"
    assert "| β-VAE score | not run | not run |" in table_metrics.tabulate(empty, [])


def test_each_ablation_changes_one_thing_of_the_base():
    (base, *others) = [run for run in ablations.runs(CPU) if run.seed == 0]
    fields = ("alpha", "estimator", "prior", "batch_size")
    changed = [[name for name in fields if getattr(run, name) != getattr(base, name)] for run in others]
    assert changed == [["alpha"], ["estimator"], ["estimator"], ["prior"], *[["batch_size"]] * len(CPU.batch_sizes)]
    assert {run.beta for run in others} == {6.0}
    table = ablations.tabulate(made_up.rows(ablations.runs(CPU)), [])
    labels = [line.split(" | ")[0].strip("| ") for line in table.splitlines()[4:]]
    assert labels == ["base", "α = 0", "MSS", "MSS as released", "flow prior", "B = 256", "B = 1024", "B = 2048"]
    assert table.startswith("Base: α = 1, β = 6, MWS, prior = normal, B = 512.")
    told = ablations.explain(made_up.rows(ablations.runs(CPU)))
    assert "log B is 5.5 (B = 256), 6.9 (B = 1024), 7.6 (B = 2048) and 6.2 nats (base)." in told
    rows = made_up.rows(ablations.runs(CPU))
    next(line for line in rows if line["run.batch_size"] == "1024")["active_units"] = "4"
    assert "| B = 1024 | 4 | 1 | " in ablations.tabulate(rows, []) and "1 such settings" in ablations.explain(rows)
    alone = ablations.tabulate(made_up.rows([base]), [])
    assert alone.startswith("Base: ") and "| base | " in alone


def _is_base(line):
    return line["id"] in ablations._bases()


def test_what_sets_every_run_of_an_estimator_apart_from_the_base_is_told():
    rows = made_up.rows(ablations.runs(CPU))
    for line in rows:
        if line["run.estimator"] == "mss":
            line["mutual_information"], line["elbo"] = "11", str(-200 + int(line["run.seed"]))
    assert "all of MWS: MSS: I (above), ELBO (below); MSS as released: none." in ablations.explain(rows)
    next(line for line in rows if line["run.estimator"] == "mss")["mutual_information"] = "1"
    assert "all of MWS: MSS: ELBO (below); MSS as released: none." in ablations.explain(rows)


def test_the_base_of_the_ablations_has_every_seed_of_figure_3():
    ours = {run.id for run in fig3_mig_distribution.runs(CPU) if run.method == "beta_tcvae"} & ablations._bases()
    chosen = [run for run in ablations.runs(CPU) if run.id in ablations._bases()]
    assert {run.id for run in chosen} == ours and [run.seed for run in chosen] == list(CPU.seeds)
    assert {run.seed for run in ablations.runs(CPU) if run not in chosen} == set(CPU.seeds[: len(CPU.fewer_seeds)])


def test_no_significant_difference_needs_seeds_that_could_show_one():
    runs = [run for run in ablations.runs(PRESETS["paper"]) if run.seed < 6]
    few = made_up.rows([run for run in runs if run.seed < 2], spread=0.04)
    (found,) = ablations.check(few, [])
    assert found.verdict == "not decided: with n = 2 and 2, p cannot be below 0.33"
    rows = made_up.rows(runs, spread=0.04)
    assert ablations.check(rows, [])[0].verdict == "yes, but no δ nearer to 0 than ±0.72 would have been significant"
    other = [{**line, "mig": "0.9"} if float(line["run.alpha"]) == 0 else line for line in rows]
    assert ablations.check(other, [])[0].verdict == "🔴 **NO: failed**"
    told = ablations.explain(other)
    base = np.median([float(line["mig"]) for line in methods.of(rows, "dsprites", "beta_tcvae") if _is_base(line)])
    assert f"α = 0: MIG {0.9 - base:+.3f} (p" in told and "nothing is decided" not in told
    assert told.index("MSS as released: MIG 0.") < told.index("α = 0")
    assert "log B nats of I, here 7.6, and counts" in told  # B = 2048
    assert "it cannot be below 0.33: nothing is decided." in ablations.explain(few)


def test_the_latents_of_factor_vae_are_told_in_figure_3():
    rows = made_up.rows([run for run in fig3_mig_distribution.runs(CPU) if run.dataset == "dsprites"])
    assert "how many latents are active" not in fig3_mig_distribution.explain(rows)
    first = methods.of(rows, "dsprites", "factor_vae", tc_weight=40.0)[0]
    first |= {"active_units": "6", "elbo": "-90"}
    assert "| FactorVAE (γ = 40) on dSprites | 6 | 1 | -90.0 | 162.0 |" in fig3_mig_distribution.tabulate(rows, [])
    told = fig3_mig_distribution.explain(rows)
    assert "the objective, of FactorVAE −ELBO + γ TC. The lowest is of a run with the most latents in 1 of 1" in told
