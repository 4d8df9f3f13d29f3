"""Figures: what is on them, and that the same numbers give the same bytes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from tcvae_tf import plots
from tcvae_tf.plots import style
from tcvae_tf.plots.style import COLUMN, PAGE

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
    named = [f"{name}\nn = {len(values)}" if len(values) else name for name, values in SAMPLES.items()]
    assert [label.get_text() for label in axes.get_xticklabels()] == named


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        plots.save(plots.mig_distribution({"": SAMPLES}, {}), tmp_path / f"{name}.png")
    for suffix in (".png", ".svg"):
        one, two = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("one", "two"))
        assert one == two
        assert len(one) > 2000


def test_a_figure_of_images_can_be_saved_without_an_svg(tmp_path):
    sheet = plots.contact_sheet({"a": np.zeros((2, 8, 8), np.uint8)})
    assert plots.shows_images(sheet)
    assert not plots.shows_images(plots.mig_distribution({"": SAMPLES}, {}))
    plots.save(sheet, tmp_path / "sheet.png", vector=False)
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


def test_a_png_is_no_larger_than_its_colours_ask_and_an_image_keeps_every_one(tmp_path):
    grey = plots.contact_sheet({"a": np.random.default_rng(0).integers(256, size=(3, 8, 8), dtype=np.uint8)})
    coloured = plots.contact_sheet({"a": np.random.default_rng(0).integers(256, size=(3, 8, 8, 3), dtype=np.uint8)})
    lines = plots.mig_distribution({"": SAMPLES}, {})
    for mode, far, figure in (("L", 0, grey), ("RGB", 0, coloured), ("P", 64, lines)):
        plots.save(figure, tmp_path / "saved.png")
        figure.savefig(tmp_path / "whole.png", dpi=style.STYLE["savefig.dpi"])
        saved, whole = (Image.open(tmp_path / f"{name}.png") for name in ("saved", "whole"))
        assert (saved.mode, saved.info["dpi"]) == (mode, whole.info["dpi"])
        difference = np.asarray(saved.convert("RGB")).astype(int) - np.asarray(whole.convert("RGB"))
        assert abs(difference).max() <= far
        assert (tmp_path / "saved.png").stat().st_size < (tmp_path / "whole.png").stat().st_size


def test_curves_are_drawn_in_the_colour_of_their_method_estimates_broken():
    steps = np.array([1000, 2000])
    panels = {"ELBO": {"VAE": (steps, [1, 2])}, "TC": {"VAE": (steps, [3, 4]), "VAE*": (steps, [5, 6])}}
    figure = plots.learning_curves({"dSprites": panels}, "a caption")
    first, second = figure.axes
    assert [list(line.get_ydata()) for line in second.lines] == [[3, 4], [5, 6]]
    assert {line.get_color() for axes in figure.axes for line in axes.lines} == {plots.COLOURS[0]}
    assert [line.get_linestyle() for line in second.lines] == ["-", "--"]
    assert list(first.lines[0].get_xdata()) == [1, 2]


def dots(axes):
    """Heights of all marks of seeds, which are drawn without a line."""
    drawn = [line for line in axes.lines if line.get_marker() == "o" and line.get_linestyle() == "None"]
    return sorted(np.concatenate([np.empty(0), *(line.get_ydata() for line in drawn)]))


def sample(*values, known=True):
    middle = np.median(values)
    return plots.Sample(np.array(values), middle, *((middle - 0.1, middle + 0.1) if known else (np.nan, np.nan)))


def words(axes):
    return [text.get_text() for text in axes.texts]


def ticks(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


THREE, FORTY = np.array([0.1, 0.3, 0.2]), np.linspace(0, 1, 40)
QUANTITIES = {
    "MIG (exact)": {"VAE": THREE, "β-VAE\nβ = 4": FORTY, "InfoGAN": np.empty(0)},
    "TC (nats)": {"VAE": THREE[:1], "β-VAE\nβ = 4": THREE[:2]},
}
CURVES = {
    "dSprites": {
        "ELBO (nats)": {"β-VAE": {1.0: sample(1, 2), 4.0: sample(2, 3, 4)}, "VAE": {1.0: sample(1, 5)}},
        "MIG (exact)": {"β-TCVAE": {4.0: sample(0.5, known=False), 1.0: sample(0.2, known=False)}},
    },
    "3D Faces": {"ELBO (nats)": {"β-TCVAE": {1.0: sample(1, 2), 4.0: sample(3, known=False)}}},
}
CLOUDS = {
    "dSprites": {
        "β-VAE": [plots.Cloud(beta, sample(1 / beta, 2 / beta), sample(0.1, 0.2)) for beta in (1.0, 4.0, 6.0, 10.0)],
        "β-TCVAE": [plots.Cloud(4.0, sample(0.5, known=False), sample(0.6, known=False))],
    }
}
TABLES = {"A uniform": np.full((2, 3), 1 / 6), "B diagonal": np.eye(2, 3) / 2}
GROUPS = {"MIG (exact)": {"VAE": {"A uniform": THREE, "B diagonal": THREE[:1]}, "β-TCVAE": {"A uniform": FORTY}}}
IMAGES = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4)
GRIDS = {"VAE": plots.Traversal(IMAGES, ["z7  posX 2.1 nats", "z0  scale 0.3 nats"], np.array([-1.5, 0, 1.5]))}
RISING, FLAT = plots.Relation(np.arange(4) - 2.0, np.full(4, 0.1), 1.25), plots.Relation(np.zeros(2), np.ones(2), 0.0)
RELATIONS = {"VAE": [[RISING, FLAT], [None, FLAT]], "β-TCVAE": [[FLAT, RISING]]}
COLOURS = {"VAE": plots.Traversal(np.stack([IMAGES] * 3, axis=-1), *GRIDS["VAE"][1:])}
LATENTS, FACTORS = {"VAE": ["z3", "z1"], "β-TCVAE": ["z0"]}, {"VAE": ["posX", "shape"], "β-TCVAE": ["posX", "shape"]}
NUMBERS = {"VAE": (np.array([[0.9, 0.1], [np.nan, 0.25]]), ["z0", "z1"], ["posX", "shape"])}
CAPTION = "a caption that is too long for one line of a figure, whatever its width is, and so has to be broken " * 2
DRAWINGS = {
    "boxes": lambda: plots.boxes(QUANTITIES, caption=CAPTION),
    "against_beta": lambda: plots.against_beta(CURVES, CAPTION),
    "against_tc": lambda: plots.against_tc(CLOUDS, CAPTION),
    "joints": lambda: plots.joints(TABLES, GROUPS, CAPTION),
    "traversals": lambda: plots.traversals(GRIDS, CAPTION),
    "traversals in colour": lambda: plots.traversals(COLOURS, CAPTION),
    "latent_vs_factor": lambda: plots.latent_vs_factor(RELATIONS, LATENTS, FACTORS, CAPTION),
    "information": lambda: plots.information(NUMBERS, CAPTION),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_every_figure_fits_a_page_wraps_its_caption_and_gives_the_same_bytes_twice(name, tmp_path):
    for place in ("one", "two"):
        figure = DRAWINGS[name]()
        plots.save(figure, tmp_path / f"{place}.png")
    assert COLUMN <= figure.get_figwidth() <= PAGE
    caption = figure.get_supxlabel()
    assert caption.replace("\n", " ") == CAPTION.strip()
    assert "\n" in caption
    for suffix in (".png", ".svg"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()


def test_nothing_sticks_out_of_a_figure():
    for draw in DRAWINGS.values():
        figure = draw()
        figure.draw_without_rendering()
        reach = figure.get_tightbbox()
        assert min(reach.x0, reach.y0) > -0.02
        assert reach.x1 < figure.get_figwidth() + 0.02
        assert reach.y1 < figure.get_figheight() + 0.02


def test_boxes_show_every_seed_a_box_from_three_on_and_what_was_not_run():
    figure = plots.boxes(QUANTITIES, columns=1)
    mig, tc = figure.axes
    assert [axes.get_ylabel() for axes in figure.axes] == list(QUANTITIES)
    assert dots(mig) == sorted([*THREE, *FORTY])
    assert dots(tc) == sorted([*THREE[:1], *THREE[:2]])
    assert (len(mig.patches), len(tc.patches)) == (2, 0)
    assert words(mig) == ["not run"]
    assert ticks(mig.xaxis) == list(QUANTITIES["MIG (exact)"])


def test_boxes_take_colours_and_limits_from_their_caller_and_at_most_so_many_panels_a_row():
    panels = {f"q{place} (nats)": {"VAE": THREE, "other": THREE} for place in range(4)}
    figure = plots.boxes(panels, colours={"VAE": 3}, limits={"q1 (nats)": (-2, 5)})
    assert len(figure.axes) == 4
    assert figure.axes[0].get_subplotspec().get_gridspec().get_geometry() == (2, 3)
    assert figure.axes[1].get_ylim() == (-2, 5)
    assert {line.get_color() for line in figure.axes[0].lines} == {plots.COLOURS[3], "0.5"}


def test_values_that_are_not_finite_are_not_drawn():
    (axes,) = plots.boxes({"MIG (exact)": {"VAE": np.array([0.1, np.nan]), "β-VAE": np.array([np.nan])}}).axes
    assert dots(axes) == [0.1]
    assert words(axes) == ["not run"]


def test_curves_over_beta_run_upwards_and_show_every_seed():
    elbo, mig, faces = plots.against_beta(CURVES).axes
    assert [axes.get_title(loc="left") for axes in (elbo, mig, faces)] == ["dSprites", "", "3D Faces"]
    assert [axes.get_ylabel() for axes in (elbo, mig, faces)] == ["ELBO (nats)", "MIG (exact)", "ELBO (nats)"]
    assert dots(elbo) == [1, 1, 2, 2, 3, 4, 5]
    assert list(mig.lines[0].get_xdata()) == [1, 4]
    assert list(mig.lines[0].get_ydata()) == [0.2, 0.5]
    assert list(mig.get_xticks()) == [1, 4]
    assert mig.lines[0].get_color() == faces.lines[0].get_color() != elbo.lines[0].get_color()


def test_an_interval_is_a_band_a_line_where_it_is_alone_and_nothing_where_it_is_unknown():
    elbo, mig, faces = plots.against_beta(CURVES).axes
    assert [type(drawn).__name__ for drawn in elbo.collections] == ["FillBetweenPolyCollection", "LineCollection"]
    assert np.ptp(elbo.collections[0].get_paths()[0].vertices[:, 0]) == 3
    assert not mig.collections
    (alone,) = faces.collections
    np.testing.assert_allclose(alone.get_segments(), [[[1, 1.4], [1, 1.6]]])


def test_circles_grow_with_beta_and_stand_at_the_middles():
    (axes,) = plots.against_tc(CLOUDS).axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("TC (nats)", "MIG (exact)")
    places = np.array([circle.get_offsets()[0] for circle in axes.collections])
    np.testing.assert_allclose(places, [[1.5 / beta, 0.15] for beta in (1, 4, 6, 10)] + [[0.5, 0.6]])
    areas = [circle.get_sizes()[0] for circle in axes.collections]
    assert areas[:4] == sorted(set(areas[:4]))
    assert areas[4] == areas[1]
    assert len(dots(axes)) == 4 * 2 + 1
    assert sum(line.get_linestyle() == "-" for line in axes.lines) == 4 * 2  # none for the seed that is alone


def test_the_key_of_the_clouds_names_methods_and_a_few_sizes():
    (key,) = plots.against_tc(CLOUDS).legends
    assert [text.get_text() for text in key.get_texts()] == ["β-VAE", "β-TCVAE", "β = 1", "β = 6", "β = 10"]
    sizes = [line.get_markersize() for line in key.get_lines()[2:]]
    assert sizes == sorted(set(sizes))


def test_joint_distributions_share_one_scale_and_group_the_columns_below():
    figure = plots.joints(TABLES, GROUPS, axes_names=("up", "right"))
    first, second, *_ = figure.axes
    mig = next(axes for axes in figure.axes if axes.get_ylabel() == "MIG (exact)")
    assert [axes.get_title() for axes in (first, second)] == list(TABLES)
    assert (first.get_ylabel(), first.get_xlabel()) == ("up", "right")
    assert first.images[0].get_clim() == second.images[0].get_clim() == (0, 0.5)
    assert second.get_ylim()[0] < second.get_ylim()[1]
    assert ticks(mig.xaxis) == ["A", "B"]
    assert dots(mig) == sorted([*THREE, *THREE[:1], *FORTY])
    assert words(mig) == ["not run"]
    where = {line.get_color(): np.mean(line.get_xdata()) for line in mig.lines if len(line.get_xdata()) in (3, 40)}
    assert -0.5 < where[plots.COLOURS[0]] < 0 < where[plots.COLOURS[3]] < 0.5


def test_a_joint_distribution_without_a_table_is_refused():
    with pytest.raises(ValueError, match="no table for E; there are tables for A uniform, B diagonal"):
        plots.joints(TABLES, {"MIG (exact)": {"VAE": {"E": THREE}}})


def test_traversals_keep_the_order_of_rows_and_every_pixel():
    (axes,) = plots.traversals(GRIDS).axes
    sheet = np.asarray(axes.images[0].get_array())
    assert sheet.shape == (2 * 4 + 1, 3 * 4 + 2)
    for row, column in np.ndindex(2, 3):
        np.testing.assert_array_equal(sheet[5 * row : 5 * row + 4, 5 * column : 5 * column + 4], IMAGES[row, column])
    assert set(sheet[4]) == set(sheet[:, 4]) == {230}
    assert axes.get_title() == "VAE"
    assert ticks(axes.yaxis) == GRIDS["VAE"].labels
    assert ticks(axes.xaxis) == ["−1.5", "0", "1.5"]
    assert axes.get_yticks()[0] < axes.get_yticks()[1] < axes.get_ylim()[0]  # the first row is the upper one


def test_relations_have_a_line_a_band_and_the_information():
    figure = plots.latent_vs_factor(RELATIONS, LATENTS, FACTORS)
    assert [text.get_text() for text in figure.texts] == list(RELATIONS)
    rising, flat, empty, *_ = figure.axes
    assert len(figure.axes) == 6
    assert [words(axes) for axes in (rising, flat, empty)] == [["1.25"], ["0.00"], []]
    assert list(rising.lines[0].get_ydata()) == list(RISING.mean)
    band = rising.collections[0].get_paths()[0].vertices[:, 1]
    np.testing.assert_allclose([band.min(), band.max()], [-2.1, 1.1])
    assert not empty.lines
    assert (rising.get_ylabel(), empty.get_ylabel()) == ("z3", "z1")
    assert (rising.get_title(), flat.get_title()) == ("posX", "shape")


def test_the_colour_of_a_relation_shows_its_information_and_all_share_one_axis():
    rising, flat, *_ = axes = plots.latent_vs_factor(RELATIONS, LATENTS, FACTORS).axes
    np.testing.assert_allclose(to_rgb(rising.lines[0].get_color()), to_rgb(plots.COLOURS[0]))
    np.testing.assert_allclose(to_rgb(flat.lines[0].get_color()), [0.75] * 3)
    assert len({panel.get_ylim() for panel in axes}) == 1
    assert rising.get_ylim()[1] == pytest.approx(3.15)
    far = {"VAE": [[RISING._replace(mean=np.array([0, 5.0, 0, 0]))]]}
    assert plots.latent_vs_factor(far, {"VAE": ["z0"]}, {"VAE": ["posX"]}).axes[0].get_ylim()[1] > 5.1


def test_every_cell_of_information_carries_its_number():
    axes, scale = plots.information(NUMBERS, label="I(z_j; v_k) in nats").axes
    assert words(axes) == ["0.90", "0.10", "–", "0.25"]
    assert (ticks(axes.yaxis), ticks(axes.xaxis)) == (["z0", "z1"], ["posX", "shape"])
    assert axes.images[0].get_clim() == (0, 1)
    assert scale.get_ylabel() == "I($z_j$; $v_k$) in nats"
    assert axes.texts[0].get_color() == "white" != axes.texts[1].get_color()


def test_drawing_elsewhere_gives_the_same_bytes(tmp_path):
    """Names inside an SVG must not depend on the process."""
    code = (
        "import sys, tests.test_plots as t\nfor n, d in t.DRAWINGS.items(): t.plots.save(d(), f'{sys.argv[1]}/{n}.png')"
    )
    root = Path(__file__).resolve().parents[1]
    subprocess.run(
        [sys.executable, "-c", code, tmp_path], cwd=root, env=os.environ | {"PYTHONHASHSEED": "7"}, check=True
    )
    for name, draw in DRAWINGS.items():
        plots.save(draw(), tmp_path / "here.png")
        assert (tmp_path / "here.svg").read_bytes() == (tmp_path / f"{name}.svg").read_bytes()


def test_only_the_public_names_are_exported():
    assert {name for name in plots.__all__ if not hasattr(plots, name)} == set()
    assert plots.__all__ == sorted(plots.__all__)


def test_a_method_has_one_colour_in_all_figures_and_no_other_label_takes_it():
    every = style.places(["VAE", "β-VAE\nβ = 4", "FactorVAE, γ = 10", "β-TCVAE", "mine"])
    assert list(every.values()) == [0, 1, 2, 3, 4]
    assert style.places(["mine", "β-TCVAE"]) == {"mine": 4, "β-TCVAE": 3}
    assert style.places(["a", "b"]) == {"a": 0, "b": 1}


def test_a_sheet_keeps_three_colours_and_takes_the_mean_of_other_channels():
    images = np.random.default_rng(0).integers(256, size=(2, 5, 4, 6, 3), dtype=np.uint8)
    assert plots.shown(images) is images
    assert np.array_equal(plots.shown(images[..., :1]), images[..., 0])
    assert np.array_equal(plots.shown(images[..., :2]), np.rint(images[..., :2].mean(axis=-1)))
    (drawn,) = plots.contact_sheet({"first": images[0], "second": images[1, :2]}).axes[0].images
    sheet = np.asarray(drawn.get_array())
    assert sheet.shape == (4 + 1 + 4, 5 * 7 - 1, 3)
    assert np.array_equal(sheet[5:, 7:13], images[1, 1]) and (sheet[5:, 13:] == 230).all()
    (drawn,) = plots.traversals({"": plots.Traversal(images, ["z0", "z1"], np.arange(5))}).axes[0].images
    sheet = np.asarray(drawn.get_array())
    assert np.array_equal(sheet[:4, 7:13], images[0, 1]) and (sheet[4, :] == 230).all()
