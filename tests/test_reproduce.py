"""Figure 3's script: what it runs, what it claims, and that redrawing is a function of the records."""

import dataclasses
import shutil

import numpy as np
import pytest

import tcvae_tf as tc
from reproduce import __main__ as reproduce
from reproduce import fig3_mig_distribution as fig3
from reproduce import report
from tcvae_tf import results
from tcvae_tf.sweep import PRESETS

PAPER = results.read_rows(report.PAPER)
MIGS = {"vae": 0.1, "beta_vae": 0.05, "beta_tcvae": 0.4, "factor_vae": 0.2}
FACTORS = {"dsprites": ("scale", "orientation", "posX", "posY"), "faces3d": ("azimuth", "elevation", "lighting")}


def records(preset, migs=MIGS, datasets=("dsprites", "faces3d")):
    """Made-up records of a preset, with the same MIG for every seed."""
    fixed = {"mig_error_bound": 1e-6, "elbo": -100.0, "seconds": 60.0, "commit": "c", "device": "CPU"}
    fixed |= {"mig_histogram": 0.2, "factor_vae_score": 0.5, "mutual_information": 9.0, "total_correlation": 1.5}
    fixed |= {"versions": {"keras": "3"}, "steps": 1}
    made = []
    for run in fig3.runs(PRESETS[preset]):
        source = {"dsprites": "generated", "faces3d": "stand-in"}[run.dataset]
        record = {"id": run.id, "run": dataclasses.asdict(run), "mig": migs[run.method], **fixed}
        record |= {"data": {"source": source, "sha256": "0"}, "mig_gaps": dict.fromkeys(FACTORS[run.dataset], 0.1)}
        if run.method == "factor_vae":
            record["discriminator"] = {"total_correlation": 1.25, "accuracy": 0.625}
        made += [record] if run.dataset in datasets else []
    return made


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
        ("faces3d", 20, 5),
    }


def test_claims_that_hold_and_claims_that_fail():
    claims = fig3.check([results.row(record) for record in records("quick")], PAPER)
    verdicts = {claim.text: claim.holds for claim in claims}
    assert verdicts == {
        "median MIG: β-TCVAE > β-VAE": True,
        "median MIG: β-TCVAE > β-VAE, 3D Faces (rendered stand-in, not the Basel faces)": True,
        "median MIG: β-TCVAE > FactorVAE, 3D Faces (rendered stand-in, not the Basel faces)": True,
        "median MIG: β-TCVAE > VAE, 3D Faces (rendered stand-in, not the Basel faces)": True,
        "median MIG: β-TCVAE > FactorVAE": True,
        "median MIG: β-VAE > FactorVAE": False,
        "median MIG: FactorVAE > VAE": True,
        "median MIG: β-VAE > VAE": False,
        "median MIG: β-TCVAE > VAE": True,
        "median MIG of VAE within ±0.1 of the published one": True,
        "median MIG of β-VAE within ±0.1 of the published one": False,
        "median MIG of FactorVAE within ±0.1 of the published one": True,
        "median MIG of β-TCVAE within ±0.1 of the published one": True,
    }


def test_records_of_the_stand_in_and_of_the_paper_s_faces_are_not_mixed():
    rows = [results.row(record) for record in records("quick")]
    own = [{**line, "data.source": "basel", "mig": "0.9"} for line in rows if line["run.dataset"] == "faces3d"]
    text = fig3.tabulate([*rows, *own], PAPER)
    assert "stand-in" not in text
    assert "0.900 [0.900, 0.900] (n = 2)" in text
    assert "other images" not in "".join(claim.paper for claim in fig3.check([*rows, *own], PAPER))
    assert "other images" in "".join(claim.paper for claim in fig3.check(rows, PAPER))


def test_without_records_no_claim_is_made():
    assert {claim.holds for claim in fig3.check([], PAPER)} == {None}


def test_redrawing_gives_the_same_bytes_and_prints_failures(tmp_path):
    results.merge(tmp_path / "records.csv", records("quick"))
    written = []
    for _ in range(2):
        shown = report.write(reproduce.SCRIPTS, {**reproduce.HISTORIES, **reproduce.COMPUTED}, tmp_path)
        written.append({path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()})
    assert written[0] == written[1]
    assert set(written[0]) == {".records.csv.lock", "records.csv", "RESULTS.md", "fig3-quick.png", "fig3-quick.svg"}
    text = written[0]["RESULTS.md"].decode()
    assert "**NO: failed**" in text
    assert "width 128 instead of 1200" in text
    assert "on faces3d: images that are a rendered stand-in; width 64 instead of 512" in text
    assert "1 steps at width 128 with 2 seeds, the paper 18,000 at width 1200" in text
    assert "InfoGAN | 0.05 (S) | not run here" in text
    assert "InfoGAN | not known to us | not run here" in text
    assert "3D Faces (rendered stand-in, not the Basel faces):" in text
    assert "seed 0: 1.25 against 1.5, accuracy 0.625" in text
    assert len(shown) == 1


def test_presets_stay_apart_and_missing_runs_are_counted(tmp_path):
    results.merge(tmp_path / "records.csv", [*records("quick"), *records("cpu", datasets=["dsprites"])[:4]])
    report.write(reproduce.SCRIPTS, {**reproduce.HISTORIES, **reproduce.COMPUTED}, tmp_path)
    text = (tmp_path / "RESULTS.md").read_text()
    assert text.index("(preset cpu)") < text.index("(preset quick)")
    assert "Runs: 4 of 40" in text


def test_the_committed_tables_and_figures_are_those_of_the_committed_records(tmp_path):
    home = report.PAPER.parent
    if not (home / "records.csv").exists():
        pytest.skip("no records are committed yet")
    for path in home.glob("*.csv"):
        shutil.copy(path, tmp_path)
    report.write(reproduce.SCRIPTS, {**reproduce.HISTORIES, **reproduce.COMPUTED}, tmp_path)
    assert (tmp_path / "RESULTS.md").read_text() == (home / "RESULTS.md").read_text()
    for drawn in (tmp_path / "figures").iterdir():
        committed = home / "figures" / drawn.name
        assert committed.exists(), drawn.name
        if drawn.suffix == ".svg":
            assert drawn.read_text() == committed.read_text(), drawn.name


def test_published_values_carry_mark_and_source():
    assert {line["mark"] for line in PAPER} <= {"S", "D", "M"}
    assert all(line["source"] for line in PAPER)


def test_draw_alone_trains_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(reproduce.sweep, "execute_all", None)
    assert reproduce.main(["fig3", "--draw", f"--out={tmp_path}"]) == 1
    assert "no records" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_smoke_numbers_stay_away_from_results(tmp_path, monkeypatch):
    asked = []
    made = {record["id"]: record for record in records("smoke")}
    monkeypatch.setattr(reproduce.sweep, "execute_all", lambda runs, root, *rest: asked.append((len(runs), root)))
    monkeypatch.setattr(reproduce.sweep.runs_module, "read_record", lambda run, root: made[run.id])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reproduce.datasets, "load", lambda name: tc.datasets.from_arrays(np.eye(2)[:, None], [0, 1]))
    assert reproduce.main(["fig3", "--preset=smoke", "--root=r"]) == 0
    assert len(asked) == 1
    assert (tmp_path / "r" / "smoke-results" / "RESULTS.md").exists()
    assert not (tmp_path / "results").exists()
