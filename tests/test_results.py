"""Rows, medians and tables."""

import itertools

import numpy as np
import pytest
from scipy import stats

from tcvae_tf import results

RECORD = {
    "id": "a",
    "run": {"method": "vae", "seed": 2},
    "mig": 0.12345678901,
    "dimension_kl": [1.0, 2.0],
    "total_correlation": None,
    "steps": 10,
}


def test_a_row_is_flat_text():
    assert results.row(RECORD) == {
        "id": "a",
        "run.method": "vae",
        "run.seed": "2",
        "mig": "0.1234568",
        "dimension_kl.0": "1",
        "dimension_kl.1": "2",
        "total_correlation": "",
        "steps": "10",
    }


def test_merging_replaces_rows_of_the_same_id_and_keeps_the_others(tmp_path):
    path = tmp_path / "records.csv"
    results.merge(path, [{**RECORD, "id": "b"}, RECORD])
    results.merge(path, [{**RECORD, "mig": 0.5, "new": "x"}])
    rows = results.read_rows(path)
    assert [(row["id"], row["mig"], row["new"]) for row in rows] == [("a", "0.5", "x"), ("b", "0.1234568", "")]


def test_merging_the_same_records_again_changes_no_byte(tmp_path):
    path = tmp_path / "records.csv"
    results.merge(path, [RECORD])
    before = path.read_bytes()
    results.merge(path, [RECORD])
    assert path.read_bytes() == before


def test_values_are_chosen_by_column_and_ordered_by_seed():
    rows = [
        {"run.method": method, "run.seed": seed, "mig": mig}
        for method, seed, mig in (("vae", "10", "0.3"), ("vae", "9", "0.2"), ("beta_vae", "1", "0.9"))
    ]
    assert results.values(rows, "mig", run__method="vae").tolist() == [0.2, 0.3]


def test_the_median_s_interval_covers_the_true_median_as_often_as_it_says(rng):
    covered = 0
    for trial in range(300):
        found = results.median(rng.normal(size=25), resamples=400, seed=trial)
        covered += found.low <= 0 <= found.high
    assert 0.84 < covered / 300 < 0.97


def test_one_value_has_no_interval_and_none_no_median():
    assert str(results.median([0.25])) == "0.250 (one seed, no interval)"
    assert str(results.median([])) == "not run"
    assert str(results.median([0.25, 0.35])) == "0.300 [0.250, 0.350] (range, n = 2)"
    assert np.isnan(results.median([0.25]).low)
    five, six = ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0][:n] for n in (5, 6))
    assert str(results.median(five)) == "2.000 [0.000, 4.000] (range, n = 5)"
    assert "(n = 6)" in str(results.mean(six)) and results.mean(six).low > 0


def claim(holds, p=None, doubt=""):
    return results.Claim("text", "paper", "ours", holds, p, doubt)


def test_claims_say_when_they_fail():
    assert [claim(holds).verdict for holds in (True, False, None)] == ["yes", "🔴 **NO: failed**", "not run"]
    assert [claim(holds).certain for holds in (True, False, None)] == [None] * 3


def test_verdicts_say_when_chance_may_have_decided():
    assert (claim(True, 0.01).verdict, claim(True, 0.01).certain) == ("yes", True)
    assert (claim(True, 0.33).verdict, claim(True, 0.33).certain) == ("yes, but p = 0.33", False)
    assert claim(False, 0.01).verdict == "🔴 **NO: failed**"
    assert claim(False, 0.333).verdict == "🔴 **NO: failed**, but p = 0.33"
    assert claim(None, doubt="n = 2 can show nothing").verdict == "not decided: n = 2 can show nothing"


def test_a_claim_of_order_is_tested_in_the_direction_that_was_found():
    up = results.Claim.greater("", "", [3, 4, 5, 6], [0, 1, 2, 3.5])
    down = results.Claim.greater("", "", [0, 1, 2, 3.5], [3, 4, 5, 6])
    assert (up.holds, down.holds) == (True, False)
    assert up.p == down.p == results.compare([3, 4, 5, 6], [0, 1, 2, 3.5]).p
    assert down.ours.endswith("δ = -0.88, p = 0.029 of the opposite")
    assert (
        up.ours
        == "4.500 [3.000, 6.000] (range, n = 4) against 1.500 [0.000, 3.500] (range, n = 4); δ = +0.88, p = 0.029"
    )
    assert results.Claim.greater("", "", [1.0], []).verdict == "not run"
    level = results.Claim.greater("", "", [0, 6], [1, 4])  # its median is higher, but not its ranks
    assert level.holds is False
    assert level.ours.endswith(" +0.00, p = 0.67 of the opposite")


@pytest.mark.parametrize(
    ("sample", "verdict"),
    [
        ([0.19, 0.2, 0.2, 0.2, 0.21], "yes"),
        ([0.19, 0.2, 0.21], "yes, but the range of 3 seeds has the true median in it with a probability of 75%"),
        ([0.19, 0.2, 0.5], "yes, but the interval reaches beyond"),
        ([0.2], "yes, but one seed has no interval"),
        ([0.19, 0.21], "yes, but the range of 2 seeds has the true median in it with a probability of 50%"),
        ([0.19, 0.5], "🔴 **NO: failed**, but the interval reaches into it"),
        (
            [0.5, 0.6],
            "🔴 **NO: failed**, but the range of 2 seeds has the true median in it with a probability of 50%",
        ),
        ([0.25, 0.5, 0.6], "🔴 **NO: failed**, but the interval reaches into it"),
        (
            [0.5, 0.5, 0.6],
            "🔴 **NO: failed**, but the range of 3 seeds has the true median in it with a probability of 75%",
        ),
        ([0.4, 0.5, 0.5, 0.5, 0.6], "🔴 **NO: failed**"),
        ([], "not run"),
    ],
)
def test_a_claim_of_agreement_looks_at_its_interval(sample, verdict):
    assert results.Claim.within("", "", sample, published=0.2, tolerance=0.1).verdict == verdict


@pytest.mark.parametrize(
    ("na", "nb", "ties"), [(2, 3, False), (5, 4, False), (4, 4, True), (3, 6, True), (40, 35, False)]
)
def test_the_rank_test_is_exact(rng, na, nb, ties):
    pooled = rng.integers(4, size=na + nb) if ties else rng.normal(size=na + nb)
    a, b = pooled[:na], pooled[na:]
    method = stats.PermutationMethod(n_resamples=10_000) if ties else "exact"
    found = results.compare(a, b)
    assert found.p == pytest.approx(stats.mannwhitneyu(a, b, alternative="greater", method=method).pvalue)
    assert found.p_less == pytest.approx(stats.mannwhitneyu(a, b, alternative="less", method=method).pvalue)
    assert found.effect == pytest.approx(np.sign(a[:, None] - b).mean())
    assert (found.na, found.nb) == (na, nb)


def test_two_seeds_each_can_show_nothing():
    found = results.compare([2, 3], [0, 1])
    assert (str(found), found.two_sided) == ("δ = +1.00, p = 0.17", pytest.approx(1 / 3))


def test_pairs_of_samples_are_compared_within_each_pair_and_whole_seeds_are_drawn(rng):
    """Three seeds against two at two β, of which one run is missing, under every split of the five."""
    seeds = rng.normal(size=(2, 5)) + np.array([[0], [50]])
    seeds[1, 2] = np.nan
    a, b = [dict(enumerate(seeds[0, :3])), dict(enumerate(seeds[1, :2]))], [dict(enumerate(row[3:])) for row in seeds]
    found = results.compare_within(list(zip(a, b, strict=True)))

    def total(own):
        mask = np.isin(range(5), own)
        return sum(np.nansum(np.sign(row[mask][:, None] - row[~mask])) for row in seeds)

    counts = np.array([total(own) for own in itertools.combinations(range(5), 3)])
    assert found.p == pytest.approx(np.mean(counts >= total([0, 1, 2])))
    assert found.p_less == pytest.approx(np.mean(counts <= total([0, 1, 2])))
    assert (found.effect, found.na, found.nb) == (pytest.approx(total([0, 1, 2]) / (3 * 2 + 2 * 2)), 3, 2)


def test_more_settings_of_the_same_seeds_are_no_more_evidence():
    once = ({0: 2.0, 1: 3.0}, {0: 0.0, 1: 1.0})
    assert results.compare_within([once] * 8) == results.compare_within([once]) == results.compare([2, 3], [0, 1])


def test_nothing_to_compare_gives_none_and_no_nan():
    for found in (results.compare([], [1.0]), results.compare_within([])):
        assert (found.effect, found.p, found.p_less, found.two_sided) == (None,) * 4
        assert str(found) == "not compared"


def test_rank_correlation_is_spearman_s_of_each_seed_and_its_p_is_that_of_every_choice_of_signs():
    x, y = [1, 2, 3, 4, 5, 5, 1, 2, 3, 9, 8, 7, 6], [2, 1, 4, 3, 7, 6, 2, 1, 3, 5, 7, 8, 9]
    seeds = [0] * 6 + [1] * 3 + [2] * 4
    found = results.correlation(x, y, seeds)
    own = [stats.spearmanr(x[of], y[of]).statistic for of in (slice(6), slice(6, 9), slice(9, 13))]
    assert found.rho == pytest.approx(np.mean(own))
    means = np.array([np.mean(np.multiply(own, signs)) for signs in itertools.product((1, -1), repeat=3)])
    assert 0 < found.p == np.mean(means >= found.rho - 1e-9) < 1
    assert found.p_less == np.mean(means <= found.rho + 1e-9)
    assert (found.n, found.seeds, str(found)) == (13, 3, f"{np.mean(own):+.2f} (n = 13, 3 seeds)")


def test_runs_that_all_follow_their_seed_are_no_more_certain_than_there_are_seeds():
    """Two seeds, of which one has the higher values throughout, and within a seed nothing: not eight draws but none."""
    high, low = np.array([1, 2, 3, 4]) + 10, np.array([1, 2, 3, 4])
    found = results.correlation([*high, *low], [12, 11, 14, 13, 3, 4, 1, 2], [1] * 4 + [0] * 4)
    assert abs(found.rho) < 0.5 and found.p >= 0.25
    rising = results.correlation([*high, *low], [*high, *low], [1] * 4 + [0] * 4)
    assert (rising.rho, rising.p, rising.p_less) == (1, 0.25, 1)


def test_a_seed_counts_in_a_rank_correlation_if_it_has_three_runs_that_differ():
    x, y = [1, 2, 3, 5, 4, 1, 1, 1], [2, 3, 4, 1, 2, 1, 2, 3]
    found = results.correlation(x, y, [0, 0, 0, 1, 1, 2, 2, 2])
    assert (found.rho, found.n, found.seeds, found.p) == (1, 3, 1, 0.5)
    for nothing in (([], [], []), ([1, 2], [1, 2], [0, 0]), ([1, 1, 1], [1, 2, 3], [0, 0, 0])):
        found = results.correlation(*nothing)
        assert (found.rho, found.p, found.p_less, found.n, found.seeds) == (None, None, None, len(nothing[0]), 0)


def test_many_seeds_are_given_signs_at_random_and_that_is_repeated_alike(rng):
    x, y, seeds = np.tile(np.arange(4), 30), rng.normal(size=120) + np.tile(np.arange(4), 30), np.repeat(range(30), 4)
    found = results.correlation(x, y, seeds)
    assert 0 < found.p < 0.01 and found == results.correlation(x[::-1], y[::-1], seeds[::-1])


def test_separation_is_one_for_groups_that_do_not_overlap_in_tied_ranks(rng):
    assert results.separation([[1, 1], [2, 2], [3, 3]]).share == pytest.approx(1)
    groups = [rng.normal(size=8), rng.normal(size=8) + 2, rng.normal(size=8) + 1]
    found = results.separation(groups)
    assert found.share == pytest.approx(stats.kruskal(*groups).statistic / 23)
    assert found.p == pytest.approx(stats.kruskal(*groups).pvalue, abs=0.01)
    assert results.separation([[1.0]]).share is None


def test_a_failure_is_a_row_that_replaces_no_success_and_that_a_success_replaces(tmp_path):
    path = tmp_path / "records.csv"
    lost = results.failure(RECORD["run"], "a", "OSError: disk\n full")
    rows = results.merge(path, [lost])
    assert [(row["id"], row["error"], row["run.method"]) for row in rows] == [("a", "OSError: disk full", "vae")]
    assert (results.failed(rows), results.finished(rows)) == (rows, [])
    results.merge(path, [RECORD])
    results.merge(path, [lost, {**RECORD, "id": "b"}])
    rows = results.read_rows(path)
    assert [row["mig"] for row in rows] == ["0.1234568"] * 2
    assert (results.failed(rows), results.finished(rows)) == ([], rows)


def test_a_failure_beside_successes_has_no_measures(tmp_path):
    results.merge(tmp_path / "r.csv", [RECORD, results.failure(RECORD["run"], "b", "E: e")])
    rows = results.read_rows(tmp_path / "r.csv")
    assert results.values(rows, "mig").tolist() == [0.1234568]
    assert rows[1]["mig"] == ""


def test_a_markdown_table():
    assert results.table(["a", "b"], [[1, "x|y"]]) == "| a | b |\n| --- | --- |\n| 1 | x\\|y |\n"


@pytest.mark.parametrize("n", [2, 3, 40])
def test_the_interval_holds_the_median(rng, n):
    found = results.median(rng.normal(size=n))
    assert found.low <= found.value <= found.high
    assert found.n == n


def test_a_damaged_line_is_left_out_with_a_warning_and_what_it_held_is_not_done(tmp_path, caplog):
    path = tmp_path / "records.csv"
    results.write_rows(path, [{"id": name, "mig": "0.1", "error": "x, y"} for name in "abcdef"])
    head, *lines = path.read_text().splitlines()
    cut = lines[3].rpartition('y"')[0]  # the quote of its last cell stays open
    damaged = "\n".join([head, lines[0], lines[1][:3], lines[2] + lines[3], cut, "garbage", lines[5]]) + "\n"
    path.write_text(damaged)
    assert [line["id"] for line in results.read_rows(path)] == ["a", "f"]
    assert caplog.messages[0].endswith("records.csv: damaged and left out: line 3, 4, 5, 6")
    kept = results.merge(path, [{"id": "b", "mig": 0.2}])
    assert [line["id"] for line in kept] == ["a", "b", "f"]
    assert len(path.read_text().splitlines()) == 4
    assert (tmp_path / "records.csv.damaged").read_text() == damaged


def test_no_cell_holds_the_end_of_a_line(tmp_path):
    results.merge(tmp_path / "records.csv", [{"id": "a", "device": "one\ntwo", "mig": 0.1}])
    (line,) = results.read_rows(tmp_path / "records.csv")
    assert line["device"] == "one two"


@pytest.mark.parametrize("na, nb, wins", [(3, 5, 15), (6, 6, 31), (4, 4, 16), (10, 10, 77)])  # as tables of U have it
def test_the_least_effect_that_is_significant(na, nb, wins):
    assert results.least_effect(na, nb, 0.05) == pytest.approx(2 * wins / (na * nb) - 1)
    ranks = np.arange(na + nb)
    apart = results.compare(ranks[nb:], ranks[:nb])
    assert results.least_effect(na, nb, 2 * apart.p) == np.inf  # not even where all of a are above all of b
