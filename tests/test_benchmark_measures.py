"""The benchmark of the measures, on codes small enough for a test."""

import pytest

from reproduce import benchmark, benchmark_measures
from tcvae_tf import results


def test_a_line_is_measured_in_a_process_of_its_own(monkeypatch):
    part = {"shape": [0], "scale": [0, 1], "orientation": [0], "posX": range(6), "posY": range(8)}
    monkeypatch.setitem(benchmark_measures.GRIDS, 96, part)
    row = benchmark_measures.measure(
        benchmark_measures.Line("elbo_decomposition", 96, latents=3, samples=100, repeats=2)
    )
    assert float(row["seconds"]) > 0 and float(row["gigabytes"]) >= 0 and float(row["error"]) > 0
    assert (row["measure"], row["images"], row["latents"], row["samples"]) == ("elbo_decomposition", "96", "3", "100")


def test_synthetic_codes_have_live_and_dead_latents():
    grid, _ = benchmark_measures.dsprites.GRID.select(benchmark_measures.GRIDS[30_720])
    codes = benchmark_measures.synthetic_codes(grid, 4)
    assert codes.loc.std(axis=0) == pytest.approx([1.7, 0.1, 1.7, 0.1], rel=0.05)
    assert codes.scale[:, 0].min() < 0.03 and codes.scale[:, 0].max() > 0.25


def made_up(line, seconds):
    row = {
        "measure": line.measure,
        "images": line.images,
        "latents": line.latents,
        "samples": line.samples,
        "scales": line.scales,
    }
    numbers = {"repeats": 1, "seconds": seconds, "gigabytes": 0.5, "error": "1e-06", "machine": "a machine"}
    return {name: str(value) for name, value in (row | numbers).items()}


def test_the_report_names_targets_that_are_missed_and_fits_the_growth(tmp_path):
    seconds = {"mig": 2e-6, "elbo_decomposition": 4e-5, "mig_monte_carlo": 1.0}
    rows = [
        made_up(line, seconds.get(line.measure, 1) * line.images * line.latents / 10)
        for line in benchmark_measures.LINES
    ]
    results.write_rows(tmp_path / "benchmark.csv", rows)
    text = benchmark.write(tmp_path)
    assert text == (tmp_path / "BENCHMARK.md").read_text()
    targets = text[text.index("### Targets") : text.index("### All lines")]
    assert "| mig |  | 1.5 s, 1 GB, error 0.0001 | 1.47 s | 0.5 GB | 1e-06 | yes |" in targets
    assert "| elbo_decomposition | 10000 | 40 s, 1.5 GB | 29.49 s" in targets
    growth = text[text.index("### How the cost of measures grows") :]
    assert "| mig | N | 30,720 … 737,280 | 0.0614 … 1.47 | 1.00 |" in growth
    assert "| elbo_decomposition | S | 500 … 10,000" in growth
    rows[0]["seconds"] = "1.6"
    results.write_rows(tmp_path / "benchmark.csv", rows)
    assert "| 1.60 s | 0.5 GB | 1e-06 | **NO: failed** |" in benchmark.write(tmp_path)


def test_without_measurements_there_is_no_report(tmp_path):
    assert benchmark.write(tmp_path) == ""
    assert not list(tmp_path.iterdir())
