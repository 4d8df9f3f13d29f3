"""What Keras offers for a model holds for VAE and FactorVAE, beyond what test_models and test_factor_vae show."""

import csv

import keras
import numpy as np
import pytest
import shallow
import tensorflow as tf

import tcvae_tf as tc

#: Some of what a step of each reports.
TERMS = {"vae": ("loss", "reconstruction", "total_correlation"), "factor_vae": ("loss", "kl", "discriminator_tc")}


def make(kind, optimizer=None, discriminator_optimizer=None, **compiled):
    """A compiled model of few variables; eager, since tracing takes longer than these trainings."""
    objective = tc.Objective(beta=2.0) if kind == "vae" else tc.Objective()
    model = tc.VAE(*shallow.networks((8, 8, 1), 2), objective, dataset_size=108, seed=0)
    optimizers = {"optimizer": optimizer or keras.optimizers.Adam(1e-2)}
    if kind == "factor_vae":
        model = tc.FactorVAE(model, shallow.discriminator(2), 5.0)
        optimizers["discriminator_optimizer"] = discriminator_optimizer or keras.optimizers.Adam(1e-3)
    model.compile(**optimizers, **{"run_eagerly": True, **compiled})
    return model


def train(model, squares, **options):
    """Two steps an epoch."""
    return model.fit(squares.storage, batch_size=54, shuffle=False, verbose=0, **options).history


def optimizers(model):
    return [model.optimizer, *([model.discriminator_optimizer] if isinstance(model, tc.FactorVAE) else [])]


def networks(model):
    """Of each optimizer the variables that it moves."""
    vae = getattr(model, "vae", model)
    return [vae.trainable_variables, *([model.discriminator.trainable_variables] if vae is not model else [])]


def values(variables):
    return np.concatenate([variable.numpy().ravel() for variable in variables])


def state(model):
    """All that a further step depends on."""
    states = [value for optimizer in optimizers(model) for value in optimizer.variables]
    return np.concatenate([values(model.weights), values(states).astype(np.float64)])


@pytest.fixture(params=["vae", "factor_vae"])
def kind(request):
    return request.param


# --- compile --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "compiled",
    [
        {"run_eagerly": True},
        {"jit_compile": False, "steps_per_execution": 3},
        {"jit_compile": True},
        {"jit_compile": "auto"},
    ],
    ids=["eager", "graph", "xla", "auto"],
)
def test_a_loaded_model_is_compiled_as_the_saved_one(kind, tmp_path, compiled):
    given = keras.optimizers.Adamax(3e-3), keras.optimizers.SGD(2e-3, momentum=0.5)
    model = make(kind, *given, **{"run_eagerly": False, **compiled})
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for name in ("jit_compile", "asked_to_compile", "steps_per_execution", "run_eagerly"):
        assert getattr(loaded, name) == getattr(model, name), name
    assert all(loaded.get_compile_config()[name] == value for name, value in compiled.items())
    for one, other in zip(optimizers(model), optimizers(loaded), strict=True):
        assert type(one) is type(other)
        assert one.get_config() == other.get_config()


def test_a_model_that_was_not_compiled_is_saved_too(kind, tmp_path):
    model = make(kind)
    fresh = type(model).from_config(model.get_config())
    fresh.save(tmp_path / "fresh.keras")
    assert not keras.models.load_model(tmp_path / "fresh.keras").compiled


def test_several_steps_in_one_execution_are_the_same_steps(kind, squares):
    one, two = make(kind), make(kind, run_eagerly=False, jit_compile=False, steps_per_execution=2)
    for model in (one, two):
        train(model, squares)
    assert state(two) == pytest.approx(state(one), abs=1e-5)
    assert int(two.step.numpy()) == 2


# --- data -----------------------------------------------------------------------------------------------------------


def test_evaluate_and_predict_agree_on_floats_bytes_bits_and_tf_data(kind, squares):
    images = squares.images(np.arange(108))
    model = make(kind)
    arrays = (images, np.uint8(255 * images), squares.storage)
    forms = [(array, {"batch_size": 54}) for array in arrays]
    forms += [(tf.data.Dataset.from_tensor_slices(array).batch(54, drop_remainder=True), {}) for array in arrays]
    found = [model.evaluate(form, verbose=0, return_dict=True, **options) for form, options in forms]
    assert all(one == found[0] for one in found)
    predicted = [model.predict(form, verbose=0, **options) for form, options in forms]
    assert predicted[0].shape == images.shape
    assert all(np.array_equal(one, predicted[0]) for one in predicted)


def test_one_compiled_model_predicts_bits_bytes_and_batches_of_any_size(kind, squares):
    images = squares.images(np.arange(108))
    model = make(kind, run_eagerly=False, jit_compile=False)
    first = model.predict(squares.storage, batch_size=54, verbose=0)
    for form in (np.uint8(255 * images), images):
        assert np.array_equal(model.predict(form, batch_size=54, verbose=0), first)
    assert model.predict(squares.storage, batch_size=100, verbose=0) == pytest.approx(first, abs=1e-6)  # then 8 more
    assert model.predict_on_batch(images[:3]) == pytest.approx(first[:3], abs=1e-6)


def test_validation_data_are_evaluated_after_each_epoch(kind, squares):
    part = squares.storage[:54]
    stream = tf.data.Dataset.from_tensor_slices(part).batch(54, drop_remainder=True)
    history = train(make(kind), squares, epochs=2, validation_data=part)
    assert train(make(kind), squares, epochs=1, validation_data=stream)["val_loss"] == history["val_loss"][:1]
    model = make(kind)
    for epoch in range(2):
        train(model, squares)
        for name, value in model.evaluate(part, batch_size=54, verbose=0, return_dict=True).items():
            assert history[f"val_{name}"][epoch] == value


def test_a_part_of_an_array_is_kept_for_validation(kind, squares):
    history = train(make(kind), squares, validation_split=1 / 3)
    assert np.isfinite(history["val_loss"][0])
    assert history["val_loss"] != history["loss"]


# --- callbacks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "weights"])
def test_training_goes_on_with_the_same_bits_from_a_model_checkpoint(kind, squares, tmp_path, whole):
    path = str(tmp_path / ("{epoch}.keras" if whole else "{epoch}.weights.h5"))
    unbroken = make(kind)
    train(unbroken, squares, epochs=2, callbacks=[keras.callbacks.ModelCheckpoint(path, save_weights_only=not whole)])
    path = path.format(epoch=1)
    resumed = keras.models.load_model(path) if whole else make(kind)
    if not whole:
        resumed.load_weights(path)
    train(resumed, squares, epochs=2, initial_epoch=1)
    assert np.array_equal(state(resumed), state(unbroken))


def test_the_best_checkpoint_is_chosen_by_a_validation_term(kind, squares, tmp_path):
    path = tmp_path / "best.keras"
    best = keras.callbacks.ModelCheckpoint(str(path), monitor="val_reconstruction", mode="max", save_best_only=True)
    history = train(make(kind), squares, epochs=2, validation_data=squares.storage[:54], callbacks=[best])
    found = keras.models.load_model(path).evaluate(squares.storage[:54], batch_size=54, verbose=0, return_dict=True)
    assert found["reconstruction"] == pytest.approx(max(history["val_reconstruction"]), rel=1e-6)


def test_backup_and_restore_goes_on_with_the_same_bits(kind, squares, tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    def backup():
        return keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))

    unbroken, stopped, resumed = make(kind), make(kind), make(kind)
    train(unbroken, squares, epochs=2)
    with pytest.raises(KeyboardInterrupt):
        train(stopped, squares, epochs=2, callbacks=[backup(), Stop()])
    history = train(resumed, squares, epochs=2, callbacks=[backup()])
    assert len(history["loss"]) == 1
    assert np.array_equal(state(resumed), state(unbroken))


def test_csv_logger_writes_the_history(kind, squares, tmp_path):
    history = train(make(kind), squares, epochs=2, callbacks=[keras.callbacks.CSVLogger(str(tmp_path / "log.csv"))])
    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert set(TERMS[kind]) <= set(history)
    for name, values_of in history.items():
        assert [float(row[name]) for row in rows] == pytest.approx(values_of), name


def test_tensorboard_is_written_every_term(kind, squares, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(make(kind), squares, callbacks=[keras.callbacks.TensorBoard(str(tmp_path), write_graph=False)])
    events = EventAccumulator(str(tmp_path / "train"))
    events.Reload()
    assert {f"epoch_{name}" for name in TERMS[kind]} <= set(events.Tags()["tensors"])


# --- optimizers -----------------------------------------------------------------------------------------------------


def test_a_list_of_callbacks_of_keras_own_stops_at_a_loss_that_is_not_finite_too(kind, squares):
    model = make(kind)
    getattr(model, "vae", model).decoder.layers[0].bias.assign(np.full(64, np.nan))
    callbacks = keras.callbacks.CallbackList([], add_history=True, model=model, epochs=1, verbose=0, steps=2)
    with pytest.raises(FloatingPointError, match="step 0"):
        model.fit(squares.storage, batch_size=54, verbose=0, callbacks=callbacks)


def test_a_schedule_of_the_learning_rate_is_followed_and_kept(kind, squares, tmp_path):
    schedule = keras.optimizers.schedules.ExponentialDecay(1e-2, decay_steps=2, decay_rate=0.1)
    model = make(kind, keras.optimizers.Adam(schedule))
    train(model, squares, epochs=2)
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-4)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for one in (model, loaded):
        train(one, squares)
        assert float(one.optimizer.learning_rate) == pytest.approx(1e-5)
    assert np.array_equal(state(model), state(loaded))


def test_a_callback_sets_the_learning_rate(kind, squares):
    model = make(kind)
    halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    train(model, squares, epochs=2, callbacks=[halve])
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-2 / 4)


def test_gradients_of_two_steps_accumulate_to_their_mean(kind, squares):
    """Two batches, each with the noise of its step, at the same weights: one step down the mean of the gradients."""
    rate = 0.05
    descent = lambda **options: [keras.optimizers.SGD(rate, **options) for _ in range(2)]  # noqa: E731
    accumulating = make(kind, *descent(gradient_accumulation_steps=2))
    start, moved = [values(part) for part in networks(accumulating)], []
    for step in range(2):
        model = make(kind, *descent())
        model.step.assign(step)
        model.fit(squares.storage[step * 54 : (step + 1) * 54], batch_size=54, shuffle=False, verbose=0)
        moved.append([values(part) for part in networks(model)])
    accumulating.fit(squares.storage[:54], batch_size=54, shuffle=False, verbose=0)
    assert all(np.array_equal(values(part), before) for part, before in zip(networks(accumulating), start, strict=True))
    accumulating.fit(squares.storage[54:], batch_size=54, shuffle=False, verbose=0)
    assert int(accumulating.step.numpy()) == 2
    for part, first, second in zip(networks(accumulating), *moved, strict=True):
        assert values(part) == pytest.approx((first + second) / 2, abs=1e-6)


def test_averages_of_the_weights_take_their_place_when_training_ends(kind, squares):
    """Polyak averaging, m = 0.5: a ← m a + (1 − m) w after each step, beginning with the weights of the first."""
    averaged = make(kind, *(keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.5) for _ in range(2)))
    plain, averages = make(kind, *(keras.optimizers.Adam(1e-2) for _ in range(2))), []
    for step in range(2):
        plain.fit(squares.storage[step * 54 : (step + 1) * 54], batch_size=54, shuffle=False, verbose=0)
        now = [values(part) for part in networks(plain)]
        averages = [0.5 * a + 0.5 * w for a, w in zip(averages, now, strict=True)] if averages else now
    train(averaged, squares)
    for part, average in zip(networks(averaged), averages, strict=True):
        assert values(part) == pytest.approx(average, abs=1e-6)


# --- mixed precision ------------------------------------------------------------------------------------------------


@pytest.fixture
def mixed_float16():
    keras.mixed_precision.set_global_policy("mixed_float16")
    yield
    keras.mixed_precision.set_global_policy("float32")


def test_in_mixed_precision_both_losses_are_scaled_and_densities_stay_float32(kind, squares, mixed_float16, tmp_path):
    model = make(kind)
    assert {type(optimizer) for optimizer in optimizers(model)} == {keras.optimizers.LossScaleOptimizer}
    vae = getattr(model, "vae", model)
    images = tf.constant(squares.images(np.arange(4)))
    assert vae.encoder(images).dtype == vae.decoder(tf.zeros((4, 2))).dtype == tf.float16
    parts = vae.elbo_sample(images, vae.noise_seed(0, 0))
    penalty, terms = vae.penalty(*(parts[index] for index in (2, 0, 1)))
    assert {part.dtype for part in (*parts, penalty, *terms.values())} == {tf.float32}
    before = [values(part) for part in networks(model)]
    history = train(model, squares, epochs=3)
    assert history["loss"][-1] < history["loss"][0]
    for part, old in zip(networks(model), before, strict=True):
        assert not np.array_equal(values(part), old)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for one in (model, loaded):
        train(one, squares)
    assert np.array_equal(state(model), state(loaded))


def test_mixed_precision_computes_what_full_precision_does(kind, squares, mixed_float16):
    mixed = train(make(kind), squares)["loss"]
    keras.mixed_precision.set_global_policy("float32")
    assert mixed == pytest.approx(train(make(kind), squares)["loss"], rel=0.01)


# --- a user's own networks ------------------------------------------------------------------------------------------

SHAPE = (8, 12, 3)  # neither square nor of one channel


def sequential():
    layers = keras.layers
    encoder = [layers.Conv2D(4, 3, strides=2, activation="relu"), layers.Flatten(), layers.Dense(4)]
    decoder = [
        layers.Dense(4 * 6 * 2),
        layers.Reshape((4, 6, 2)),
        layers.Conv2DTranspose(3, 4, strides=2, padding="same"),
    ]
    return keras.Sequential([keras.Input(SHAPE), *encoder]), keras.Sequential([keras.Input((2,)), *decoder])


def functional():
    """Two heads for loc and log σ, and a skip connection."""
    images, z = keras.Input(SHAPE), keras.Input((2,))
    hidden = keras.layers.Dense(8, activation="gelu")(keras.layers.Flatten()(images))
    hidden = keras.layers.Add()([hidden, keras.layers.Dense(8)(hidden)])
    heads = keras.layers.Concatenate()([keras.layers.Dense(2)(hidden), keras.layers.Dense(2)(hidden)])
    logits = keras.layers.Reshape(SHAPE)(keras.layers.Dense(8 * 12 * 3)(z))
    return keras.Model(images, heads), keras.Model(z, logits)


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    """Dense layers of any shape to any shape."""

    def __init__(self, shape, **kwargs):
        super().__init__(**kwargs)
        self.shape = tuple(shape)
        self.parts = [keras.layers.Flatten(), keras.layers.Dense(int(np.prod(shape))), keras.layers.Reshape(shape)]

    def call(self, inputs):
        for part in self.parts:
            inputs = part(inputs)
        return inputs

    def get_config(self):
        return {**super().get_config(), "shape": self.shape}


def subclassed():
    return (
        keras.Sequential([keras.Input(SHAPE), Subclassed((4,))]),
        keras.Sequential([keras.Input((2,)), Subclassed(SHAPE)]),
    )


@pytest.mark.parametrize(
    ("networks_of", "kind"), [(sequential, "vae"), (functional, "factor_vae"), (subclassed, "vae")]
)
def test_networks_of_any_architecture_train_save_and_encode(networks_of, kind, rng, tmp_path):
    keras.utils.set_random_seed(0)  # of networks that have no seed of their own
    data = tc.datasets.from_arrays(rng.integers(0, 40, size=(24, *SHAPE)).astype(np.uint8), np.arange(24))
    model = tc.VAE(*networks_of(), tc.Objective(beta=2.0), dataset_size=24, seed=0)
    if kind == "factor_vae":
        own = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(2)])
        model = tc.FactorVAE(model, own)
    model.compile(keras.optimizers.Adam(1e-2), run_eagerly=True)
    history = model.fit(data.batches(12, seed=0), epochs=3, verbose=0).history
    assert history["reconstruction"][-1] > history["reconstruction"][0]
    assert tc.encode(model, data).loc.shape == (24, 2)
    assert model.predict(data.images(np.arange(3)), verbose=0).shape == (3, *SHAPE)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for one in (model, loaded):
        one.fit(data.batches(12, seed=0, first_epoch=3), verbose=0)
    assert np.array_equal(state(model), state(loaded))


def test_a_network_whose_shapes_are_not_known_is_told_what_to_do():
    with pytest.raises(ValueError, match=r"keras.Sequential\(\[keras.Input\(shape\), network\]\)"):
        tc.VAE(Subclassed((4,)), subclassed()[1])
    with pytest.raises(ValueError, match=r"keras.Sequential\(\[keras.Input\(shape\), network\]\)"):
        tc.FactorVAE(tc.VAE(*functional()), Subclassed((2,)))


# --- batches of several shapes ----------------------------------------------------------------------------------------


def test_batches_of_any_fixed_shapes_train_and_are_evaluated_by_one_model(squares):
    bits = squares.images(range(108))
    shades = tc.datasets.from_arrays((200 * bits).astype(np.uint8), squares.grid.to_values(np.arange(108)))
    model, other = (make("vae", run_eagerly=False, jit_compile=False) for _ in range(2))
    model.evaluate(squares.batches(18), verbose=0)
    found = model.evaluate(squares.batches(27), verbose=0, return_dict=True)
    assert found == other.evaluate(squares.batches(27), verbose=0, return_dict=True)
    for data, size in ((squares, 18), (squares, 27), (shades, 27), (squares, 18)):
        model.fit(data.batches(size), verbose=0)
    assert int(model.step) == 6 + 4 + 4 + 6


def test_a_batch_of_another_size_can_be_given_by_hand(squares, kind):
    model = make(kind, run_eagerly=False, jit_compile=False)
    images = squares.images(range(108))
    for size in (16, 24, 16):
        model.train_on_batch(images[:size])
        model.test_on_batch(images[:size])
    assert int(model.step) == 3
    if kind == "factor_vae":
        with pytest.raises(ValueError, match="two batches: give an even number of images, not 15"):
            model.train_on_batch(images[:15])
