"""Methods of one's own: the contract, training, resuming, encoding, and sources that change."""

import dataclasses
import importlib
import re
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from interrupted import cut, same_result
from tensorflow_probability import distributions as tfd

import tcvae_tf as tc
from tcvae_tf import callbacks, custom, datasets, results, runs
from tcvae_tf.datasets import named

#: 108 images of 8×8, nine steps an epoch.
BASE = tc.Run("squares", width=8, latent_dim=3, batch_size=12, epochs=3, thin=1)

SOURCE = '''
import dataclasses
import keras, tensorflow as tf, tcvae_tf as tc
from tensorflow_probability import distributions as tfd

class Denoiser(keras.Model):
    """An autoencoder with noise on the code, trained by Keras' own step; knows no likelihood."""
    def __init__(self, pixels, latents, seed):
        super().__init__()
        self.seed = seed
        self.inner = keras.layers.Dense(latents, kernel_initializer=keras.initializers.GlorotUniform(seed))
        self.outer = keras.layers.Dense(pixels, kernel_initializer=keras.initializers.GlorotUniform(seed))
    def encode(self, images):
        return tfd.Normal(self.inner(tf.reshape(images, [-1, 64])), 0.1)
    def call(self, images):
        step = tf.cast(self.optimizer.iterations, tf.int32)
        z = self.encode(images).sample(seed=tf.stack([self.seed, step]))
        return tf.reshape(self.outer(z), [-1, 8, 8, 1])
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return tf.reduce_mean(tf.square(x - y_pred))

def denoiser(run, data):
    model = Denoiser(64, run.latent_dim, run.seed)
    model.compile(keras.optimizers.Adam(run.learning_rate))
    return model

def diverging(run, data):
    model = denoiser(run, data)
    model.compile(keras.optimizers.SGD(1e30))
    return model

def still(run, data):
    model = denoiser(run, data)
    model.train_step = lambda data: {"loss": tf.constant(0.0)}
    return model

def ours(run, data):
    from tcvae_tf import runs
    return runs.model(dataclasses.replace(run, method="vae"), data, 1)
'''


@pytest.fixture(scope="module")
def home(tmp_path_factory, squares):
    """A directory with own_models.py, in which Python finds it, and the squares as a data set that a run can name."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_models.py").write_text(SOURCE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setattr(datasets, "load", lambda name: {"squares": squares}[name])
        yield folder
    sys.modules.pop("own_models", None)


@pytest.fixture(scope="module")
def done(home):
    """A run that nothing disturbed, of a model that has encode alone."""
    run = dataclasses.replace(BASE, method="own_models:denoiser")
    return run, tc.execute(run, home / "runs", verbose=0)


def test_a_model_with_encode_alone_is_trained_measured_and_recorded(home, done):
    run, record = done
    codes = tc.Codes.load(home / "runs" / run.id / "codes.npz")
    assert record["mig"] == tc.mig(codes).score
    assert record["steps"] == 27 and record["run"]["method"] == "own_models:denoiser"
    assert record["elbo"] is None and record["reconstruction"] is None and record["kl"] > 0
    assert results.row(record)["elbo"] == ""
    assert not (home / "runs" / run.id / "pictures.npz").exists()
    assert record["source"] == {"file": "own_models.py", "sha256": named.digest(run.method)}


def test_the_model_of_a_finished_run_is_made_by_its_function_and_encodes_alike(home, done, squares):
    run, _ = done
    model = runs.from_preset(run.id, home / "runs")
    assert type(model).__name__ == "Denoiser" and int(model.optimizer.iterations) == 27
    again, kept = tc.encode(model, squares), tc.Codes.load(home / "runs" / run.id / "codes.npz")
    assert np.array_equal(again.loc, kept.loc) and np.array_equal(again.scale, kept.scale)


def test_training_that_was_cut_off_ends_with_the_same_bits(home, done, tmp_path, monkeypatch):
    """With noise by step, and a checkpoint that fills a model made anew, its optimizer's state included."""
    run, record = done
    cut(run, tmp_path, monkeypatch, saved=(14,), at=16)
    assert same_result(tc.execute(run, tmp_path, verbose=0), record)
    history = callbacks.read_history(tmp_path / run.id / "history.csv")
    assert "14" in [line["first_step"] for line in history]  # it went on from there
    one, other = (runs.from_preset(run.id, root) for root in (home / "runs", tmp_path))
    pairs = list(
        zip((*one.variables, *one.optimizer.variables), (*other.variables, *other.optimizer.variables), strict=True)
    )
    assert len(pairs) > 8
    assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in pairs)


def test_a_function_that_returns_what_a_method_makes_has_its_result(home):
    own, ours = (dataclasses.replace(BASE, method=method, epochs=1) for method in ("own_models:ours", "vae"))
    found, expected = (tc.execute(run, home / "runs", verbose=0) for run in (own, ours))
    differ = {name for name in found if found[name] != expected.get(name)}
    assert differ <= {"id", "run", "recipe", "seconds", "source"}
    assert found["elbo"] is not None
    assert (home / "runs" / own.id / "pictures.npz").exists()


def test_only_a_model_with_a_likelihood_is_measured_during_training(home, tmp_path):
    run = dataclasses.replace(BASE, method="own_models:denoiser")
    with pytest.raises(ValueError, match=r"to be measured during training its model needs decode\(z\)"):
        tc.execute(run, tmp_path, verbose=0, measure_every=1)


def test_training_that_counts_no_step_is_told_and_not_gone_on_with_for_ever(home, tmp_path):
    run = dataclasses.replace(BASE, method="own_models:still")
    with pytest.raises(ValueError, match="training counted no step"):
        tc.execute(run, tmp_path, verbose=0)


def test_a_loss_that_is_not_finite_stops_the_run(home, tmp_path):
    run = dataclasses.replace(BASE, method="own_models:diverging")
    with pytest.raises(FloatingPointError, match=r"step \d+: loss = (nan|inf); lower the learning rate"):
        tc.execute(run, tmp_path, verbose=0)
    assert not list((tmp_path / run.id / "checkpoint").glob("*"))


# --- sources that change --------------------------------------------------------------------------------------------


@pytest.fixture
def changed(home):
    """Adds a line to own_models.py for one test."""
    path = home / "own_models.py"
    before = path.read_text()
    yield lambda: path.write_text(before + "# changed\n")
    path.write_text(before)


def test_a_record_of_another_source_is_returned_with_a_warning(home, done, changed, caplog):
    run, record = done
    assert tc.execute(run, home / "runs", verbose=0) == record and not caplog.text
    changed()
    assert tc.execute(run, home / "runs", verbose=0) == record
    assert f"{run.id} was trained by another own_models.py than the present one; delete" in caplog.text


def test_training_of_another_source_is_not_gone_on_with(home, done, changed, tmp_path, monkeypatch, caplog):
    run, record = done
    cut(run, tmp_path, monkeypatch, saved=(14,), at=16)
    changed()
    again = tc.execute(run, tmp_path, verbose=0)
    assert "was begun with other data, versions, source or device; starting over" in caplog.text
    assert again["source"] != record["source"]
    assert again["mig"] == record["mig"]


def test_a_changed_module_is_imported_anew(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "changing_model.py").write_text("def make(): return 1\n")
    importlib.invalidate_caches()
    assert custom.function("changing_model:make")() == 1
    (tmp_path / "changing_model.py").write_text("def make(): return 1 + 1\n")
    assert custom.function("changing_model:make")() == 2


# --- the contract ---------------------------------------------------------------------------------------------------


class Given(keras.Model):
    """A model that encodes and decodes as it is told."""

    def __init__(self, encode=None, decode=None, compiled=True):
        super().__init__()
        self.encode, self.decode = encode, decode
        if compiled:
            self.compile("adam")


def posterior(family=tfd.Normal, latents=3, **options):
    """encode that gives the first pixels."""
    return lambda images: family(tf.reshape(images, [tf.shape(images)[0], -1])[:, :latents], 0.5, **options)


def pixels(z):
    """p(x|z), whatever z."""
    return tfd.Independent(tfd.Bernoulli(logits=tf.zeros([tf.shape(z)[0], 8, 8, 1]), dtype=tf.float32), 3)


LACKING = {
    "returned list; return a compiled keras.Model": lambda: [],
    "not compiled; call model.compile": lambda: Given(posterior(), compiled=False),
    "has no encode": lambda: Given(),
    "must give a tfd.Normal or Laplace; got EagerTensor": lambda: Given(lambda images: images),
    "must give a tfd.Normal or Laplace; got Gamma": lambda: Given(posterior(tfd.Gamma)),
    r"must be of batch shape \[B, D\]; got \(2, 8, 8, 1\)": lambda: Given(lambda images: tfd.Normal(images, 1.0)),
    r"must be of batch shape \[B, D\]; got \(3,\)": lambda: Given(lambda images: tfd.Normal(tf.zeros(3), 1.0)),
    r"must be \[B\] = \(2,\), of whole images; got \(2, 8, 8, 1\)": lambda: Given(
        posterior(), lambda z: pixels(z).distribution
    ),
    "of whole images; got EagerTensor": lambda: Given(posterior(), lambda z: z),
}


@pytest.mark.parametrize("words", LACKING)
def test_what_a_model_lacks_is_said_in_one_line(words, squares, monkeypatch):
    monkeypatch.setattr(custom, "function", lambda method: lambda run, data: LACKING[words]())
    with pytest.raises(ValueError, match=words) as error:
        custom.make(tc.Run(method="my_model:make_model"), squares)
    assert "\n" not in str(error.value) and "my_model:make_model" in str(error.value)


def test_a_vae_for_other_images_and_parts_that_are_not_built_are_refused(squares, monkeypatch):
    run = tc.Run(method="my_model:make_model")
    networks = tc.networks.mlp((4, 4, 1), 2, 4)
    other = tc.VAE(*networks)
    other.compile(jit_compile=False)
    unbuilt = Given(posterior())
    unbuilt.judge = keras.layers.Dense(2)
    for model, words in (
        (other, r"takes images \(4, 4, 1\), the data have \(8, 8, 1\)"),
        (unbuilt, "dense.* not built"),
    ):
        monkeypatch.setattr(custom, "function", lambda method, model=model: lambda run, data: model)
        with pytest.raises(ValueError, match=words):
            custom.make(run, squares)


@pytest.mark.parametrize("method", ["no_such_module:make", "own_models:no_such_function"])
def test_a_function_that_is_not_there_is_named(home, method):
    with pytest.raises(ValueError, match=f"method '{re.escape(method)}': .*give module:function"):
        custom.function(method)


def test_families_that_stand_for_normal_and_laplace_posteriors_are_taken_as_such(squares):
    plain = tc.encode(Given(posterior()), squares)
    whole = tc.encode(Given(lambda images: tfd.Independent(posterior()(images), 1)), squares)
    joint = tc.encode(
        Given(
            lambda images: tfd.MultivariateNormalDiag(posterior()(images).loc, tf.fill((tf.shape(images)[0], 3), 0.5))
        ),
        squares,
    )
    laplace = tc.encode(Given(posterior(tfd.Laplace)), squares)
    assert (plain.posterior, laplace.posterior) == ("normal", "laplace")
    for codes in (whole, joint, laplace):
        assert np.array_equal(codes.loc, plain.loc) and np.all(codes.scale == 0.5) and codes.log_px is None
    assert plain.loc.shape == (108, 3)
    assert np.array_equal(plain.loc, squares.images(np.arange(108)).reshape(108, -1)[:, :3])


def test_a_likelihood_gives_the_elbo(squares):
    codes = tc.encode(Given(posterior(), pixels), squares, batch_size=50)
    assert codes.log_px == pytest.approx(np.full(108, 64 * np.log(0.5)), rel=1e-6)
    assert tc.elbo_decomposition(codes, samples=50).elbo is not None
