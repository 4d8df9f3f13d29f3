"""Figures: what is on them, and that the same numbers give the same bytes."""

import numpy as np
import pytest

from tcvae_tf import plots

SAMPLES = {"VAE": [0.1, 0.12, 0.11], "β-TCVAE": [0.3, 0.5, 0.2, 0.45], "InfoGAN": []}


@pytest.fixture
def figure():
    return plots.mig_distribution(SAMPLES, {"VAE": 0.1, "InfoGAN": 0.05}, "a caption")


def test_every_seed_and_every_published_median_is_drawn(figure):
    (axes,) = figure.axes
    drawn = np.concatenate([line.get_ydata() for line in axes.lines if line.get_marker() == "o"])
    assert sorted(drawn) == sorted(SAMPLES["VAE"] + SAMPLES["β-TCVAE"])
    diamonds = np.concatenate([line.get_ydata() for line in axes.lines if line.get_marker() == "D"])
    assert sorted(diamonds) == [0.05, 0.1]
    assert "not run" in {text.get_text() for text in axes.texts}
    assert [label.get_text() for label in axes.get_xticklabels()] == list(SAMPLES)


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        plots.save(plots.mig_distribution(SAMPLES, {}), tmp_path / f"{name}.png")
    for suffix in (".png", ".svg"):
        one, two = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("one", "two"))
        assert one == two
        assert len(one) > 2000
