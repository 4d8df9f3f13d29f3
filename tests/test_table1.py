"""Table 1's script: its synthetic codes do what they say, and its words are computed from the scores."""

import numpy as np
import pytest

import tcvae_tf as tc
from reproduce import methods, report
from reproduce import table1_measures as table1
from tcvae_tf import results

PAPER = methods.PUBLISHED


def test_no_change_is_a_perfect_code():
    assert tc.mig(table1.codes(0)).score > 0.95
    assert tc.factor_vae_score(table1.codes(0), train=500, evaluate=500).score == 1


def test_rotation_turns_pairs_and_keeps_what_is_told_of_the_image():
    plain, turned = table1.codes(0), table1.codes(0, rotation=1.0)
    assert turned.loc.T @ turned.loc == pytest.approx(plain.loc.T @ plain.loc, abs=0.05 * len(plain.loc))
    parts = [tc.elbo_decomposition(codes, samples=1000) for codes in (plain, turned)]
    assert parts[0].mutual_information == pytest.approx(parts[1].mutual_information, abs=0.02)
    found = tc.mig(turned)
    assert found.score < 0.01
    assert found.winners[0].tolist() in ([0, 1], [1, 0])


def test_duplication_ends_in_equal_latents():
    copied = table1.codes(0, duplication=1.0)
    assert np.array_equal(copied.loc[:, :4], copied.loc[:, 4:])
    half = table1.codes(0, duplication=0.5).loc
    assert np.corrcoef(half[:, 0], half[:, 4])[0, 1] == pytest.approx(0.5, abs=0.05)
    assert tc.mig(table1.codes(0, duplication=0.0)).score == pytest.approx(tc.mig(table1.codes(0)).score, abs=0.02)


def test_noise_leaves_the_means_and_drowns_the_information():
    quiet, loud = table1.codes(0), table1.codes(0, noise=1.0)
    assert np.array_equal(quiet.loc, loud.loc)
    assert loud.scale.max() == pytest.approx(3)
    assert tc.mig(loud).score < 0.05


def test_shuffling_keeps_the_information():
    plain, shuffled = table1.codes(0), table1.codes(0, shuffling=1.0)
    assert tc.mig(shuffled).score == pytest.approx(tc.mig(plain).score, abs=1e-3)
    correlation = [np.corrcoef(shuffled.loc[:, k], plain.loc[:, k])[0, 1] for k in range(4)]
    assert min(correlation) < 0.5


def test_two_factors_in_one_latent_are_not_punished_by_mig_and_are_by_others():
    merged = table1.merged_codes(0)
    found = tc.mig(merged)
    assert found.score > 0.95 and [winner[0] for winner in found.winners] == [0, 0, 2, 2]
    assert tc.factor_vae_score(merged, train=500, evaluate=500).score < 0.7
    assert tc.active_units(merged).score == 2


@pytest.fixture
def few(monkeypatch):
    """Quick measures alone."""
    kept = {name: table1.MEASURES[name] for name in ("mig", "mig_histogram", "factor_vae", "beta_vae")}
    monkeypatch.setattr(table1, "MEASURES", kept)


def test_the_script_from_end_to_end(few, tmp_path):
    rows = table1.compute((0.0, 0.5, 1.0), (0,))
    results.write_rows(tmp_path / table1.FILE, rows)
    assert results.read_rows(tmp_path / table1.FILE) == rows
    shown = report.write({}, {"table1": table1}, tmp_path)
    text = (tmp_path / "RESULTS.md").read_text()
    assert len(shown) == 1 and (tmp_path / "figures" / "table1.png").exists()
    assert "| MIG (exact) | 0.9" in text
    exact = table1.properties(rows, "mig")
    assert exact == {"axis": True, "unbiased": True, "general": True}
    assert table1.properties(rows, "factor_vae")["general"] is False  # it looks at means alone


def test_a_cell_that_is_not_as_the_paper_says_is_a_failed_claim(few):
    rows = []
    ends = {"none": 1.0, "random": 0.2, "rotation": 0.95, "noise": 0.3, "shuffling": 0.99}
    for name, (_, _, _, others) in table1.MEASURES.items():
        for change, score in ends.items():
            level = 0.0 if change == "none" else 1.0
            rows.append({"change": change, "level": f"{level:g}", "measure": name, "setting": "", "score": str(score)})
        for place, setting in enumerate([{}, *others]):
            line = {"change": "settings", "level": "0.5", "measure": name, "setting": table1._words(setting)}
            rows.append({**line, "score": str(0.5 + 0.0001 * place)})
    claims = {claim.text: claim for claim in table1.check(rows, PAPER)}
    assert len(claims) == 9
    assert claims["MIG (exact): axis"].holds is False  # rotation takes a sixteenth of the way to chance
    assert claims["MIG (exact): unbiased"].holds and claims["MIG (exact): general"].holds
    assert claims["β-VAE score: axis"].holds and not claims["β-VAE score: unbiased"].holds
    assert "M, as we recall it" in claims["MIG (exact): axis"].paper
