"""Codes: one pass over the data, checked and kept."""

import threading

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tcvae_tf as tc
from tcvae_tf import provenance

GRID = tc.FactorGrid(("a", "b"), (2, 3))


def make(data):
    encoder, decoder = tc.networks.mlp(data.image_shape, latent_dim=3, width=16, seed=0)
    return tc.VAE(encoder, decoder, dataset_size=len(data), seed=0)


def test_encode_gives_the_posterior_of_every_image_in_grid_order(squares):
    vae = make(squares)
    codes = tc.encode(vae, squares, batch_size=25)  # a ragged last batch
    posterior = vae.encode(tf.constant(squares.images(np.arange(108))))
    assert codes.loc == pytest.approx(posterior.loc.numpy(), abs=1e-6)
    assert codes.scale == pytest.approx(posterior.scale.numpy(), rel=1e-5)
    assert codes.grid is squares.grid


def test_log_px_is_that_of_one_sample_an_image(squares):
    """Its mean over repeated encodings with other seeds is the expectation over z, within the error of the mean."""
    vae = make(squares)
    samples = []
    for seed in range(12):
        vae.seed = seed
        samples.append(tc.encode(vae, squares).log_px)
    posterior = vae.encode(tf.constant(squares.images(np.arange(108))))
    z = posterior.sample(400, seed=[1, 2])
    images = np.tile(squares.images(np.arange(108)), (400, 1, 1, 1))
    expected = vae.decode(tf.reshape(z, (-1, 3))).log_prob(images).numpy().reshape(400, 108).mean(axis=0)
    error = np.std(samples, axis=0) / np.sqrt(12)
    assert np.abs(np.mean(samples, axis=0) - expected).mean() < 2 * error.mean()
    assert np.std(samples, axis=0).mean() > 0


@pytest.mark.parametrize("at_a_time", [1, 2])
def test_the_same_call_gives_the_same_bits_however_many_batches_are_encoded_at_a_time(squares, at_a_time, monkeypatch):
    vae = make(squares)
    expected = tc.encode(vae, squares, batch_size=10)
    monkeypatch.setattr(provenance, "threads", lambda: at_a_time)
    codes = tc.encode(vae, squares, batch_size=10)
    assert all(np.array_equal(getattr(codes, name), getattr(expected, name)) for name in ("loc", "scale", "log_px"))


def test_a_model_of_one_s_own_encodes_in_the_thread_that_asks(squares):
    """What is set for a thread, as torch.no_grad or a device, holds for it."""

    threads = set()

    class Own:
        def encode(self, images):
            threads.add(threading.get_ident())
            return tfp.distributions.Normal(tf.zeros([len(images), 2]), 1.0)

    tc.encode(Own(), squares, batch_size=10)
    assert threads == {threading.get_ident()}


def test_save_and_load(tmp_path, rng):
    weights = np.array([0, 0.1, 0.2, 0.3, 0.3, 0.1])
    grid = tc.FactorGrid(("a", "b"), (2, 3), ("b",), weights)
    codes = tc.Codes(loc=rng.normal(size=(6, 4)), scale=np.ones((6, 4)), grid=grid, log_px=rng.normal(size=6))
    codes.save(tmp_path / "codes.npz")
    loaded = tc.Codes.load(tmp_path / "codes.npz")
    assert loaded.grid == grid
    for name in ("loc", "scale", "log_px"):
        assert np.array_equal(getattr(loaded, name), getattr(codes, name))
    assert loaded.prior_cross_entropy is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loc": np.zeros((5, 4))}, r"loc must be \[N, D\] with N = 6"),
        ({"loc": np.zeros((4, 6)), "scale": np.ones((4, 6))}, "transpose it"),
        ({"scale": np.ones((6, 3))}, "scale must have the shape of loc"),
        ({"scale": np.zeros((6, 4))}, "scale must be positive; it is σ, not log σ"),
        ({"loc": np.full((6, 4), np.nan)}, "loc has values that are not finite"),
        ({"log_px": np.zeros(5)}, r"log_px must be \[N\]"),
        ({"prior_cross_entropy": np.zeros(5)}, r"prior_cross_entropy must be \[D\]"),
    ],
)
def test_bad_codes_are_refused_in_one_line(changes, message):
    arguments = {"loc": np.zeros((6, 4)), "scale": np.ones((6, 4)), "grid": GRID, **changes}
    with pytest.raises(ValueError, match=message) as error:
        tc.Codes(**arguments)
    assert "\n" not in str(error.value)


def test_encode_refuses_data_of_another_shape(squares):
    other = tc.datasets.from_arrays(np.zeros((4, 5, 5)), np.arange(4))
    with pytest.raises(ValueError, match=r"the model takes images \(8, 8, 1\)"):
        tc.encode(make(squares), other)


@pytest.mark.parametrize(("posterior", "variance"), [("normal", 1), ("laplace", 2)])
def test_samples_are_of_the_mixture_over_images(posterior, variance):
    grid = tc.FactorGrid(("a",), (2,), weights=[0.25, 0.75])
    codes = tc.Codes(loc=np.array([[-4.0], [4.0]]), scale=np.full((2, 1), 0.5), grid=grid, posterior=posterior)
    z = codes.sample(40_000, seed=1)
    right = z[z > 0]
    assert len(right) / len(z) == pytest.approx(0.75, abs=0.02)
    assert (right.mean(), right.var()) == (pytest.approx(4, abs=0.03), pytest.approx(variance / 4, rel=0.06))
    assert np.array_equal(z, codes.sample(40_000, seed=1))
    with pytest.raises(ValueError, match="these codes are 'gamma'"):
        tc.Codes(codes.loc, codes.scale, grid, posterior="gamma").sample(1)


def test_codes_are_found_under_the_name_that_they_were_saved_by(rng, tmp_path):
    codes = tc.Codes(rng.normal(size=(6, 2)), np.ones((6, 2)), GRID)
    codes.save(tmp_path / "codes")
    for name in ("codes", "codes.npz"):
        assert np.array_equal(tc.Codes.load(tmp_path / name).loc, codes.loc)


def test_what_cannot_be_encoded_or_is_no_grid_is_told(squares):
    parts = tc.networks.mlp(squares.image_shape, 2, 8, seed=0)
    vae = tc.VAE(*parts, seed=0)
    for size in (0, -1):
        with pytest.raises(ValueError, match=f"encode: batch_size must be 1 or more; got {size}"):
            tc.encode(vae, squares, batch_size=size)
    with pytest.raises(TypeError, match=r"encode takes a Dataset, see .*; got ndarray"):
        tc.encode(vae, squares.images(range(8)))
    with pytest.raises(TypeError, match=r"grid must be a tc\.FactorGrid; got NoneType"):
        tc.Codes(np.zeros((4, 2)), np.ones((4, 2)), None)
    for wrong in (np.full((6, 2), "a"), np.full((6, 2), 1j)):
        with pytest.raises(TypeError, match="Codes: loc must hold real numbers; got"):
            tc.Codes(wrong, np.ones((6, 2)), GRID)


def test_integers_and_truths_are_measured_as_the_floats_that_they_are():
    """Differences of unsigned integers would wrap, sums of small ones too."""
    loc = np.array([[3, 0], [200, 1], [5, 0], [7, 1], [250, 0], [1, 1]])
    for kind in (np.uint8, np.int64, np.float16):
        made = tc.Codes(loc=loc.astype(kind), scale=np.ones((6, 2), kind), grid=GRID)
        assert made.loc.dtype == (np.float64 if kind != np.float16 else kind) and np.array_equal(made.loc, loc)
    assert tc.Codes(loc=loc > 4, scale=np.ones((6, 2)), grid=GRID).loc.dtype == np.float64
