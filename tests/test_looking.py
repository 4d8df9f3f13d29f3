"""One model at a glance: what is on each picture, from the arrays of a run and the rows of its history."""

import numpy as np
import pytest
from PIL import Image, ImageSequence

import tcvae_tf as tc
from tcvae_tf import plots


@pytest.fixture
def arrays():
    """Of a run with three latents: z2 says most and encodes posX, z0 no factor, z1 nothing."""
    images = np.zeros((3, 5, 8, 8, 1), np.uint8)
    for step in range(5):
        images[:, step, :, step] = np.array([200, 100, 50])[:, None, None]
    values = {f"mean.{name}": np.linspace(-1, 1, 12).reshape(3, 4) for name in ("scale", "posX")}
    return {
        "image_information": np.array([0.5, 0.01, 2.0]),
        "factors": np.array(["shape", "scale", "posX"]),
        "scored": np.array(["scale", "posX"]),
        "mutual_information": np.array([[0.0, 0.01, 0.02], [0.0, 0.0, 0.0], [0.1, 0.2, 1.25]]),
        "entropies": np.array([1.0, 2.0, 2.5]),
        "points": np.linspace(-2, 2, 5),
        "latents": np.array([2, 0, 1]),
        "images": images,
        **values,
        **{name.replace("mean", "deviation"): 0.1 + 0 * value for name, value in values.items()},
    }


LABELS = ["z2: posX, 1.2 nats", "z0: no factor", "z1: nothing"]


def words(axis):
    return [label.get_text() for label in axis]


def test_a_latent_encodes_the_factor_that_it_says_most_of_if_it_says_enough(arrays):
    assert [f"z{j}: {plots.encodes(arrays, j)}" for j in arrays["latents"]] == LABELS


def test_a_traversal_has_a_labelled_row_for_each_latent(arrays):
    (axes,) = plots.traversal(arrays, "β-TCVAE", "a caption").axes
    assert words(axes.get_yticklabels()) == LABELS
    assert words(axes.get_xticklabels()) == ["−2", "−1", "0", "1", "2"]
    assert axes.get_title() == "β-TCVAE"
    sheet = axes.images[0].get_array()
    assert [sheet[9 * row, 9 * 3 + 3] for row in range(3)] == [200, 100, 50]


def test_latents_against_factors_are_those_of_the_arrays(arrays):
    figure = plots.latents(arrays)
    assert len(figure.axes) == 6
    x_of_z2 = figure.axes[1]
    assert x_of_z2.get_title() == "posX"
    assert x_of_z2.lines[0].get_ydata() == pytest.approx(arrays["mean.posX"][2])
    assert words(x_of_z2.texts) == ["1.25"]


def test_a_heat_map_of_a_mig_result_and_of_arrays_shows_shares_of_entropy(arrays):
    axes = plots.heat_map(arrays).axes[0]
    assert words(axes.get_yticklabels()) == ["z2", "z0", "z1"]
    assert words(axes.texts)[:3] == ["0.10", "0.10", "0.50"]
    grid = tc.FactorGrid(("a", "b"), (3, 4))
    loc = np.stack([np.zeros(12), grid.values("b")], axis=1)
    gap = tc.mig(tc.Codes(loc=loc, scale=np.full_like(loc, 0.01), grid=grid))
    axes = plots.heat_map(gap).axes[0]
    assert words(axes.get_yticklabels()) == ["z1", "z0"]
    assert words(axes.texts) == ["0.00", "1.00", "0.00", "0.00"]


def test_a_heat_map_of_a_record_says_what_to_give_instead():
    with pytest.raises(ValueError, match=r"heat_map takes what tc\.mig.*pictures\.npz.*got dict"):
        plots.heat_map({"mig": 0.2, "mutual_information": 5.0})


ROWS = [
    {
        "step": "100",
        "reconstruction": "-90",
        "kl": "5",
        "total_correlation": "90",
        "data_mig": "0.1",
        "data_elbo": "-80",
    },
    {"step": "150", "reconstruction": "-85", "kl": "6", "total_correlation": "91"},
    {
        "step": "200",
        "reconstruction": "-80",
        "kl": "7",
        "total_correlation": "92",
        "data_mig": "0.1",
        "data_elbo": "-80",
    },
    {
        "step": "300",
        "reconstruction": "-70",
        "kl": "8",
        "total_correlation": "93",
        "data_mig": "0.3",
        "data_elbo": "-75",
    },
]


def test_training_shows_exact_measures_solid_and_minibatches_broken():
    figure = plots.training(ROWS, "a run", "a caption")
    panels = {axes.get_ylabel(): {line.get_label(): line for line in axes.lines} for axes in figure.axes}
    assert list(panels) == ["ELBO, nats", "parts of the KL, nats", "minibatch estimates, nats", "MIG"]
    exact, batches = panels["ELBO, nats"]["all data"], panels["ELBO, nats"]["minibatches"]
    assert (exact.get_linestyle(), batches.get_linestyle()) == ("-", "--")
    assert list(batches.get_ydata()) == [-95, -91, -87, -78]
    assert list(batches.get_xdata()) == [0.1, 0.15, 0.2, 0.3]
    assert panels["minibatch estimates, nats"]["TC"].get_linestyle() == "--"
    assert exact.get_color() != batches.get_color()


def test_what_only_repeats_the_last_measurement_is_left_out():
    (mig,) = plots.training(ROWS).axes[-1].lines
    assert list(zip(mig.get_xdata(), mig.get_ydata(), strict=True)) == [(0.1, 0.1), (0.3, 0.3)]


def test_a_history_of_a_loss_alone_has_one_panel_and_one_of_nothing_is_refused():
    (axes,) = plots.training([{"step": "1", "loss": "3"}, {"step": "2", "loss": "2"}]).axes
    assert axes.get_ylabel() == "loss"
    with pytest.raises(ValueError, match=r"training takes the rows of a run's history\.csv"):
        plots.training([{"step": "1"}])


def test_a_gif_goes_there_and_back_with_every_latent_in_its_tile(arrays, tmp_path):
    plots.traversal_gif(arrays, tmp_path / "one.gif", seconds=2)
    with Image.open(tmp_path / "one.gif") as film:
        frames = [np.array(frame.convert("L"), int) for frame in ImageSequence.Iterator(film)]
        assert film.info["loop"] == 0
        assert film.info["duration"] == pytest.approx(250, abs=10)
    assert len(frames) == 8
    there, back = frames[1], frames[7]
    assert np.abs(there - back).max() < 3
    assert np.abs(there - frames[2]).max() > 100
    plots.traversal_gif(arrays, tmp_path / "two.gif", seconds=2)
    assert (tmp_path / "one.gif").read_bytes() == (tmp_path / "two.gif").read_bytes()


def test_a_gif_of_coloured_images_is_coloured(arrays, tmp_path):
    red = np.concatenate([arrays["images"], 0 * arrays["images"], 0 * arrays["images"]], axis=-1)
    plots.traversal_gif({**arrays, "images": red}, tmp_path / "red.gif")
    with Image.open(tmp_path / "red.gif") as film:
        colours = np.array(film.convert("RGB"), int).reshape(-1, 3)
    assert ((colours[:, 0] > 150) & (colours[:, 1] < 60)).any()


@pytest.mark.parametrize(("name", "seconds"), [("film.png", 1), ("film.gif", 0)])
def test_a_gif_needs_its_suffix_and_time(arrays, tmp_path, name, seconds):
    with pytest.raises(ValueError, match=r"traversal_gif writes a \.gif"):
        plots.traversal_gif(arrays, tmp_path / name, seconds)
