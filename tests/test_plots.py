"""Figures: what is on them, and that the same numbers give the same bytes."""

import numpy as np
import pytest

from tcvae_tf import plots

SAMPLES = {"VAE": [0.1, 0.12, 0.11], "β-TCVAE": [0.3, 0.5, 0.2, 0.45], "InfoGAN": []}


@pytest.fixture
def figure():
    published = {"dSprites": {"VAE": 0.1, "InfoGAN": 0.05}}
    return plots.mig_distribution({"dSprites": SAMPLES, "faces": {"VAE": [0.7]}}, published, "a caption")


def test_every_seed_and_every_published_median_is_drawn(figure):
    axes, faces = figure.axes
    assert [panel.get_title() for panel in figure.axes] == ["dSprites", "faces"]
    assert [list(line.get_ydata()) for line in faces.lines] == [[0.7]]
    drawn = np.concatenate([line.get_ydata() for line in axes.lines if line.get_marker() == "o"])
    assert sorted(drawn) == sorted(SAMPLES["VAE"] + SAMPLES["β-TCVAE"])
    diamonds = np.concatenate([line.get_ydata() for line in axes.lines if line.get_marker() == "D"])
    assert sorted(diamonds) == [0.05, 0.1]
    assert "not run" in {text.get_text() for text in axes.texts}
    assert [label.get_text() for label in axes.get_xticklabels()] == list(SAMPLES)


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        plots.save(plots.mig_distribution({"": SAMPLES}, {}), tmp_path / f"{name}.png")
    for suffix in (".png", ".svg"):
        one, two = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("one", "two"))
        assert one == two
        assert len(one) > 2000


def test_curves_are_drawn_in_the_colour_of_their_method_estimates_broken():
    steps = np.array([1000, 2000])
    panels = {"ELBO": {"VAE": (steps, [1, 2])}, "TC": {"VAE": (steps, [3, 4]), "VAE*": (steps, [5, 6])}}
    figure = plots.learning_curves({"dSprites": panels}, "a caption")
    first, second = figure.axes
    assert [list(line.get_ydata()) for line in second.lines] == [[3, 4], [5, 6]]
    assert {line.get_color() for axes in figure.axes for line in axes.lines} == {plots.COLOURS[0]}
    assert [line.get_linestyle() for line in second.lines] == ["-", "--"]
    assert list(first.lines[0].get_xdata()) == [1, 2]
