"""Rows, medians and tables."""

import numpy as np
import pytest

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
    assert str(results.median([0.25, 0.35])) == "0.300 [0.250, 0.350] (n = 2)"
    assert np.isnan(results.median([0.25]).low)


def test_claims_say_when_they_fail():
    assert [results.Claim("", "", "", holds).verdict for holds in (True, False, None)] == [
        "yes",
        "**NO: failed**",
        "not run",
    ]


def test_a_markdown_table():
    assert results.table(["a", "b"], [[1, "x|y"]]) == "| a | b |\n| --- | --- |\n| 1 | x\\|y |\n"


@pytest.mark.parametrize("n", [2, 3, 40])
def test_the_interval_holds_the_median(rng, n):
    found = results.median(rng.normal(size=n))
    assert found.low <= found.value <= found.high
    assert found.n == n
