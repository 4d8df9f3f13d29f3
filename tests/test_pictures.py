"""What is kept of a model for pictures: traversals, and how latents follow factors."""

import dataclasses
import time
import types
import zipfile

import numpy as np
import pytest
import tensorflow as tf

import tcvae_tf as tc
from tcvae_tf import pictures


def make(data, latent_dim=7, **families):
    encoder, decoder = tc.networks.mlp(data.image_shape, latent_dim, width=8, seed=0)
    return tc.VAE(encoder, decoder, dataset_size=len(data), **families)


@pytest.fixture(scope="module")
def greys():
    """15 grey images of 4×4."""
    values = np.stack(np.unravel_index(np.arange(15), (3, 5)), axis=-1)
    images = np.outer(np.arange(15), np.linspace(0, 17, 16)).reshape(15, 4, 4)
    return tc.datasets.from_arrays(images.astype(np.uint8), values, names=("colour", "shade"), name="greys")


def known_codes(grid, rng):
    """Latent 1 is the first factor, latent 0 a blurred second one, latent 2 says nothing."""
    loc = 0.01 * rng.normal(size=(len(grid), 3))
    first = grid.values(grid.names[0])
    loc[:, 1] += first
    loc[:, 0] += 0.5 * grid.values(grid.names[1])
    return tc.Codes(loc=loc, scale=np.tile([0.4, 0.05, 1.0], (len(grid), 1)), grid=grid)


# --- traversals -----------------------------------------------------------------------------------------------------


def test_an_image_of_a_traversal_is_the_decoded_mean_where_one_latent_is_moved(squares):
    vae, loc = make(squares), np.linspace(-1, 1, 7)
    images = pictures.traverse(vae, loc, [-2.0, 0.5])
    assert images.shape == (7, 2, 8, 8, 1) and images.dtype == np.uint8
    moved = loc.copy()
    moved[3] = 0.5
    expected = 255 * vae.decode(moved[None].astype("f4")).mean().numpy()[0]
    assert np.abs(images[3, 1] - expected).max() <= 0.51


def test_moving_a_latent_to_where_it_is_gives_the_same_image_in_every_row(squares):
    images = pictures.traverse(make(squares), np.full(7, 0.25), [0.25])
    assert (images == images[0]).all()


def test_loc_of_another_length_is_refused(squares):
    with pytest.raises(ValueError, match=r"loc must be \[D\] = \[7\].*\(3,\)"):
        pictures.traverse(make(squares), np.zeros(3))


def test_the_anchor_is_the_central_cell_or_the_nearest_that_occurs():
    grid = tc.FactorGrid(("a", "b"), (3, 5))
    assert grid.to_values(pictures.central(grid)).tolist() == [1, 2]
    weights = np.where(np.isin(np.arange(15), [0, 6, 14]), 1 / 3, 0)
    assert pictures.central(dataclasses.replace(grid, weights=weights)) == 6


# --- latents against factors ----------------------------------------------------------------------------------------


def test_a_latent_that_is_a_factor_follows_it_with_no_deviation_and_the_others_stay():
    grid = tc.FactorGrid(("a", "b"), (3, 4))
    loc = np.stack([grid.values("a"), grid.values("b")], axis=1).astype("f4")
    codes = tc.Codes(loc=loc, scale=np.ones_like(loc), grid=grid)
    mean, deviation = pictures.given(codes, "a")
    assert mean == pytest.approx(np.array([[0, 1, 2], [1.5, 1.5, 1.5]]))
    assert deviation == pytest.approx(np.array([[0, 0, 0], np.full(3, np.sqrt(1.25))]))


def test_means_given_a_factor_weigh_images_by_their_probability(rng):
    weights = np.array([0.1, 0.3, 0.0, 0.0, 0.2, 0.4])
    grid = tc.FactorGrid(("a", "b"), (3, 2), weights=weights)
    loc = rng.normal(size=(6, 2))
    loc[2:4] = np.nan  # never seen
    codes = tc.Codes(loc=loc, scale=np.ones_like(loc), grid=grid)
    mean, deviation = pictures.given(codes, "a")
    assert np.isnan(mean[:, 1]).all() and np.isnan(deviation[:, 1]).all()
    for value, (p, rows) in {0: (weights[:2], loc[:2]), 2: (weights[4:], loc[4:])}.items():
        expected = p @ rows / p.sum()
        assert mean[:, value] == pytest.approx(expected)
        assert deviation[:, value] == pytest.approx(np.sqrt(p @ (rows - expected) ** 2 / p.sum()))


def test_information_about_images_is_that_of_the_exact_measures(squares, rng):
    codes = known_codes(squares.grid, rng)
    arrays = pictures.of(make(squares, 3), squares, codes)
    gap, parts = tc.mig(codes), tc.elbo_decomposition(codes, samples=2)
    assert arrays["mutual_information"] == pytest.approx(gap.mutual_information, abs=1e-6)
    conditional = 0.5 * np.log(2 * np.pi * np.e) + np.log([0.4, 0.05, 1.0])
    assert arrays["image_information"] == pytest.approx(parts.latent_entropies - conditional, abs=1e-5)
    assert (arrays["image_information"] >= arrays["mutual_information"].max(axis=1) - 1e-5).all()


def test_traversals_come_in_the_order_of_information(squares, rng):
    codes = known_codes(squares.grid, rng)
    vae = make(squares, 3)
    arrays = pictures.of(vae, squares, codes)
    assert arrays["latents"].tolist() == [1, 0, 2]
    exact = pictures.traverse(vae, codes.loc[arrays["anchor"]])
    assert np.abs(arrays["images"].astype(int) - exact[[1, 0, 2]]).max() <= 255 / 31 / 2 + 0.5
    assert len(np.unique(arrays["images"])) <= pictures.GREYS


def test_factors_that_are_not_scored_have_information_but_no_curve(squares):
    grid = dataclasses.replace(squares.grid, scored=("x", "y"))
    data = tc.Dataset(squares.storage, grid, squares.image_shape)
    vae = make(data)
    arrays = pictures.of(vae, data, tc.encode(vae, data))
    assert arrays["factors"].tolist() == ["size", "x", "y"]
    assert arrays["scored"].tolist() == ["x", "y"]
    assert arrays["mutual_information"].shape == (7, 3)
    assert arrays["mean.x"].shape == arrays["deviation.y"].shape == (7, 6)
    assert "mean.size" not in arrays


# --- the file -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("posterior", ["normal", "laplace"])
@pytest.mark.parametrize("name", ["squares", "greys"])
def test_bits_and_greys_normal_and_laplace_all_have_pictures(name, posterior, request):
    data = request.getfixturevalue(name)
    vae = make(data, posterior=posterior)
    arrays = pictures.of(vae, data, tc.encode(vae, data))
    assert arrays["images"].shape == (pictures.LATENTS, len(pictures.POINTS), *data.image_shape)
    assert arrays["anchor_image"] == pytest.approx(255 * data.images(arrays["anchor"])[0])
    assert all(np.isfinite(value).all() for value in arrays.values() if value.dtype.kind == "f")


def test_a_factor_vae_has_the_pictures_of_the_vae_that_it_owns(greys):
    vae = make(greys)
    owner = tc.FactorVAE(vae, tc.networks.discriminator(7, 4, 2), 10.0)
    codes = tc.encode(owner, greys)
    one, two = pictures.of(owner, greys, codes), pictures.of(vae, greys, codes)
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_a_file_reads_back_and_has_the_same_bytes_whenever_it_is_written(greys, tmp_path, monkeypatch):
    vae = make(greys)
    codes = tc.encode(vae, greys)
    pictures.save(tmp_path / "one.npz", vae, greys, codes)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    pictures.save(tmp_path / "two.npz", vae, greys, codes)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.npz") as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    arrays, read = pictures.of(vae, greys, codes), pictures.load(tmp_path / "one.npz")
    assert arrays.keys() == read.keys()
    assert all(np.array_equal(arrays[name], read[name]) for name in arrays)


def test_means_beyond_black_and_white_are_drawn_as_these():
    """Of a likelihood of one's own: in whole numbers of eight bits they would wrap round."""

    class Decoded:
        def mean(self):
            return tf.constant([-0.1, 0.5, 1.1, 1.0], shape=(4, 1, 1, 1))

    vae = types.SimpleNamespace(latent_dim=1, decode=lambda z: Decoded())
    made = pictures.traverse(vae, np.zeros(1), np.zeros(4))
    assert made.ravel().tolist() == [0, 128, 255, 255]
