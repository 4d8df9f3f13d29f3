"""Where XLA compiles a step: as one program, or in the parts between its matrix products."""

import keras
import numpy as np
import pytest
import shallow
import tensorflow as tf

import tcvae_tf as tc
from tcvae_tf import distributions, provenance, tracing

METHODS = {"vae": tc.Objective(), "beta_tcvae": tc.Objective(beta=6.0), "factor_vae": tc.Objective()}
METHODS |= {"mss": tc.Objective(beta=6.0, estimator="mss", lambda_annealing=9)}


def make(method, data, jit_compile="auto", network=None, families=(), **options):
    """Of one of the package's networks, or of shallow ones, for what does not depend on what lies between layers."""
    shape = data.image_shape
    networks = getattr(tc.networks, network)(shape, 4, 16, seed=0) if network else shallow.networks(shape, 4)
    model = tc.VAE(*networks, METHODS[method], len(data), 3, *families)
    if method == "factor_vae":
        model = tc.FactorVAE(model, tc.networks.discriminator(4, 8, layers=2, seed=0), 5.0)
    model.compile(keras.optimizers.Adam(1e-3), jit_compile=jit_compile, **options)
    return model


def apart(model):
    """Of each shape that the model was trained on, whether its products were outside of XLA."""
    return [parts for _, parts in model.train_function._made.values()]


def would_be_apart(model, images):
    """The same of a batch that it is not trained on."""
    model.make_train_function()
    return model.train_function._apart([tf.constant(images)])


@pytest.fixture
def any_size(monkeypatch):
    """The products of the smallest step are outside of XLA."""
    monkeypatch.setattr(tracing, "LARGE", 1.0)
    monkeypatch.setattr(tracing, "one_dnn", lambda: True)


@pytest.mark.parametrize(
    "method, network, families",
    [("vae", "mlp", ()), ("beta_tcvae", "mlp", ()), ("factor_vae", None, ()), ("mss", None, ("flow", "laplace"))],
)
def test_a_step_in_parts_is_the_step_of_one_graph(squares, method, network, families, any_size, monkeypatch):
    monkeypatch.setattr(distributions, "FLOW_STEPS", 2)  # tracing all 32 takes long
    # Without XLA a step has the same noise and takes less to compile.
    whole, parts = (make(method, squares, jit_compile, network, families) for jit_compile in (False, "auto"))
    histories = [model.fit(squares.batches(36, seed=0), epochs=2, verbose=0).history for model in (whole, parts)]
    assert apart(whole) == [False] and apart(parts) == [True]
    for name, values in histories[0].items():
        assert histories[1][name] == pytest.approx(values, rel=1e-4, abs=1e-4), name
    # Adam's first steps are of equal length whatever the gradient: near 0 its rounding decides their sign.
    for one, other in zip(whole.get_weights(), parts.get_weights(), strict=True):
        assert np.mean(np.abs(one - other) > 1e-4) < 0.01


def test_the_gradient_of_a_step_in_parts_is_that_of_one_graph(squares, any_size):
    moved = []
    for jit_compile in (False, "auto"):
        model = make("beta_tcvae", squares, network="mlp")
        before = [variable.numpy() for variable in model.trainable_variables]
        model.compile(keras.optimizers.SGD(1.0), jit_compile=jit_compile)
        model.train_on_batch(squares.storage[:36])
        moved.append([v.numpy() - old for v, old in zip(model.trainable_variables, before, strict=True)])
    for one, other in zip(*moved, strict=True):
        assert np.linalg.norm(one) > 1e-3
        assert np.linalg.norm(other - one) < 1e-4 * np.linalg.norm(one)


@pytest.mark.parametrize("method", ["beta_tcvae", "factor_vae"])
def test_a_training_in_parts_that_is_saved_and_loaded_ends_with_the_same_bits(squares, method, any_size, tmp_path):
    model = make(method, squares)
    model.fit(squares.batches(36), epochs=1, verbose=0)
    model.save(tmp_path / "half.keras")
    loaded = keras.models.load_model(tmp_path / "half.keras")
    for half in (model, loaded):
        half.fit(squares.batches(36, first_epoch=1), initial_epoch=1, epochs=2, verbose=0)
        assert apart(half) == [True] and int(half.step) == 6
    assert all(np.array_equal(one, other) for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True))


@pytest.mark.skipif(not tracing.one_dnn(), reason="TensorFlow does not use oneDNN on this machine")
def test_products_that_threads_share_have_the_same_bits_again(monkeypatch, rng):
    monkeypatch.setattr(tracing, "LARGE", 1.0)
    images = rng.random((1000, 32, 32, 1)) < 0.5
    vae = tc.VAE(*tc.networks.mlp((32, 32, 1), 4, 600, seed=0), tc.Objective(beta=6.0), 1000, seed=0)
    vae.compile(keras.optimizers.Adam(1e-3), steps_per_execution=2)
    vae.optimizer.build(vae.trainable_variables)
    start, trained = [variable.numpy() for variable in (*vae.variables, *vae.optimizer.variables)], []
    for _ in range(2):
        for variable, value in zip((*vae.variables, *vae.optimizer.variables), start, strict=True):
            variable.assign(value)
        vae.fit(tf.data.Dataset.from_tensors(np.float32(images)).repeat(4), verbose=0)
        assert apart(vae) == [True] and int(vae.step.value) == 4
        trained.append(vae.get_weights())
    assert not np.array_equal(trained[0][0], start[0])
    assert all(np.array_equal(one, other) for one, other in zip(*trained, strict=True))


def test_what_lies_between_the_products_is_xla_s(squares, any_size):
    model = make("beta_tcvae", squares, network="mlp")
    # The program that draws the noise is made once in a process: now, whatever was drawn before.
    model.elbo_sample(tf.constant(squares.images(np.arange(36))), model.noise_seed(0, 0), training=True)
    seen = []
    original = tf.function

    def function(*args, **kwargs):
        seen.append(kwargs.get("jit_compile"))
        return original(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf, "function", function)
        model.train_on_batch(squares.storage[:36])
    # Images, noise, penalty, likelihood and Adam; and Keras' step, which is a graph.
    assert seen.count(True) == 5 and seen.count(False) == 1


@pytest.mark.parametrize(
    "options", [{"jit_compile": True}, {"jit_compile": False}, {"network": "conv_plain"}, {"run_eagerly": True}]
)
def test_a_step_is_left_whole_where_compile_says_so_or_a_kernel_is_no_matrix(options, any_size, rng):
    images = np.float32(rng.random((12, 16, 16, 1)) < 0.5)
    data = tc.datasets.from_arrays(images, np.stack([np.arange(12) // 4, np.arange(12) % 4], axis=1))
    model = make("beta_tcvae", data, **options)
    if "network" in options:
        assert tracing.flop(model, 12) == 0
    else:
        assert not would_be_apart(model, images)
        assert would_be_apart(make("beta_tcvae", data), images)


def test_a_factor_vae_with_an_estimate_of_log_qz_is_left_whole(squares, any_size):
    vae = make("beta_tcvae", squares)
    model = tc.FactorVAE(vae, tc.networks.discriminator(4, 8, layers=2, seed=0))
    model.compile()
    model.train_on_batch(squares.storage[:36])
    assert apart(model) == [False]
    assert would_be_apart(make("factor_vae", squares), squares.storage[:36])


class Own(tc.VAE):
    """With a step of its own, which may take any gradients."""

    def train_step(self, data):
        with tf.GradientTape(persistent=True) as tape:
            loss, terms = self._loss(data, self.noise_seed(0, self.step.value), True)
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        return terms


def test_a_subclass_s_own_step_is_left_whole(squares, any_size):
    model = Own(*tc.networks.mlp(squares.image_shape, 4, 16, seed=0), tc.Objective(beta=6.0), len(squares))
    model.compile()
    assert model.jit_compile and not would_be_apart(model, squares.storage[:36])


def test_half_precision_and_convolutions_are_left_whole(squares):
    vae = make("beta_tcvae", squares)
    assert tracing.flop(vae, 36) > 0
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = make("beta_tcvae", squares)
    finally:
        keras.config.set_dtype_policy("float32")
    assert tracing.flop(half, 36) == 0
    frozen = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(1, 3, trainable=False)])
    frozen = keras.Sequential([frozen, keras.layers.Flatten(), keras.layers.Dense(8)])
    assert tracing.flop(tc.VAE(frozen, vae.decoder), 36) == 0


def test_a_step_made_eager_after_compile_is_left_whole(squares, any_size):
    model = make("beta_tcvae", squares)
    assert would_be_apart(model, squares.storage[:36])
    model.run_eagerly = True
    assert not would_be_apart(model, squares.storage[:36])


def test_small_steps_and_steps_without_onednn_are_whole(squares, monkeypatch):
    model = make("beta_tcvae", squares, network="mlp")
    weights = 64 * 16 + 16 * 16 + 16 * 8 + 4 * 16 + 2 * 16 * 16 + 16 * 64
    assert tracing.flop(model, 36) == 6 * 36 * weights < tracing.LARGE
    assert tracing.flop(model, None) == 0
    monkeypatch.setattr(tracing, "one_dnn", lambda: False)
    monkeypatch.setattr(tracing, "LARGE", 1.0)
    assert not would_be_apart(model, squares.storage[:36])


def test_onednn_is_not_for_gpus(monkeypatch):
    from tensorflow.python.util import _pywrap_util_port

    monkeypatch.setattr(_pywrap_util_port, "IsMklEnabled", lambda: True)
    assert tracing.one_dnn() is True
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [kind])
    assert tracing.one_dnn() is False


def test_a_record_s_device_says_where_onednn_is_not_used(squares, monkeypatch):
    found = []
    for used in (True, False):
        monkeypatch.setattr(tracing, "one_dnn", lambda used=used: used)
        found.append(provenance.of(squares)["device"])
    assert found[1] == f"{found[0]}, without oneDNN"


def test_outside_of_a_step_a_part_is_the_function_itself():
    assert tracing.compiled(len) is len
    with tracing.parts():
        assert tracing.compiled(len) is not len
        with tracing.parts(False):
            assert tracing.compiled(len) is len
    assert tracing.compiled(len) is len
