"""The VAE: what a step computes, where its noise comes from, and that it saves, stops and counts."""

import json

import keras
import numpy as np
import pytest
import shallow
import tensorflow as tf

import tcvae_tf as tc
from tcvae_tf import distributions, models
from tcvae_tf.models import EVALUATE, TRAIN


def make(data, objective=None, seed=0, optimizer=None, jit_compile=False, networks=None, **families):
    """A small compiled VAE; without XLA, whose compilation takes longer than these trainings."""
    encoder, decoder = networks or shallow.networks(data.image_shape, 3, seed)
    objective = objective or tc.Objective(beta=6.0)
    vae = tc.VAE(encoder, decoder, objective, dataset_size=len(data), seed=seed, **families)
    vae.compile(optimizer or keras.optimizers.Adam(1e-2), jit_compile=jit_compile)
    return vae


def flat(model):
    return np.concatenate([weight.ravel() for weight in model.get_weights()])


def test_a_step_reports_the_objective_of_its_batch(squares):
    objective = tc.Objective(0.5, 6.0, 2.0, "mss")
    vae = make(squares, objective)
    for weight in vae.encoder.trainable_weights:
        weight.assign(4 * weight)  # posteriors that differ, so that the total correlation is more than rounding
    images = squares.images(np.arange(20))
    posterior = vae.encode(tf.constant(images))
    z = posterior.sample(seed=vae.noise_seed(TRAIN, 0))
    log_px = distributions.likelihood(vae.decoder(z)).log_prob(images)
    terms = tc.objective.kl_terms(z, posterior.loc, posterior.scale, 108, "mss")
    weights = {"mutual_information": 0.5, "total_correlation": 6.0, "dimension_kl": 2.0}
    loss = sum(weights[name] * terms[name] for name in weights) - log_px
    logs = vae.train_step(tf.constant(images))
    assert float(logs["loss"]) == pytest.approx(float(tf.reduce_mean(loss)), rel=1e-5)
    assert float(logs["reconstruction"]) == pytest.approx(float(tf.reduce_mean(log_px)), rel=1e-5)
    for name, term in terms.items():
        assert abs(float(logs[name])) > 0.01
        assert float(logs[name]) == pytest.approx(float(tf.reduce_mean(term)), rel=1e-4), name


def test_the_step_goes_down_the_gradient_of_that_loss(squares):
    vae, twin = make(squares, optimizer=keras.optimizers.SGD(0.1)), make(squares)
    images = squares.images(np.arange(20))
    with tf.GradientTape() as tape:
        loc, scale, z, log_px = twin.elbo_sample(tf.constant(images), twin.noise_seed(TRAIN, 0), training=True)
        terms = tc.objective.kl_terms(z, loc, scale, 108, twin.objective.estimator)
        penalty = sum(weight * term for weight, term in zip(twin.objective.weights(), terms.values(), strict=True))
        loss = tf.reduce_mean(penalty - log_px)
    variables = [variable.value for variable in twin.trainable_variables]
    gradients = tape.gradient(loss, variables)
    vae.train_step(tf.constant(images))
    for variable, old, gradient in zip(vae.trainable_variables, variables, gradients, strict=True):
        assert variable.numpy() == pytest.approx(old.numpy() - 0.1 * gradient.numpy(), abs=1e-6)


def test_bits_floats_and_bytes_train_alike_with_and_without_xla(squares):
    losses = {True: [], False: []}
    for jit_compile, found in losses.items():
        for batch in (squares.storage, squares.images(np.arange(108)), np.uint8(255 * squares.images(np.arange(108)))):
            vae = make(squares, jit_compile=jit_compile)
            found.append(vae.fit(batch, batch_size=108, epochs=2, shuffle=False, verbose=0).history["loss"])
        assert found[0] == found[1] == found[2]
    assert losses[True][0] == pytest.approx(losses[False][0], rel=1e-6)


def test_xla_is_chosen_unless_declined(squares):
    assert make(squares, jit_compile="auto").jit_compile is True
    assert make(squares, jit_compile=False).jit_compile is False


def test_training_lowers_the_loss(squares):
    history = make(squares).fit(squares.batches(36, seed=0), epochs=30, verbose=0).history
    assert history["loss"][-1] < history["loss"][0] - 5
    assert history["reconstruction"][-1] > history["reconstruction"][0]


def test_data_of_unknown_length_that_run_out_count_no_step(squares):
    """Keras then asks for one batch more, and without XLA the counters would not wait for it."""
    spec = tf.TensorSpec((20, *squares.storage.shape[1:]), tf.uint8)
    stream = tf.data.Dataset.from_generator(lambda: iter([squares.storage[:20]] * 3), output_signature=spec)
    vae = make(squares)
    vae.fit(stream, epochs=2, verbose=0)
    assert int(vae.step.value) == int(vae.optimizer.iterations.value) == 6


# --- noise ----------------------------------------------------------------------------------------------------------


def test_noise_is_a_function_of_seed_stream_and_step(squares):
    vae = make(squares)
    posterior = vae.encode(tf.zeros((4, 8, 8, 1)))

    def draw(model, stream, step):
        return posterior.sample(seed=model.noise_seed(stream, step)).numpy().tobytes()

    other = make(squares, seed=1)
    draws = [draw(m, stream, step) for m in (vae, other) for stream in (TRAIN, EVALUATE) for step in (0, 1)]
    assert len(set(draws)) == 8
    assert draws[0] == draw(vae, TRAIN, 0)


def test_the_same_seed_trains_the_same_bits_and_another_does_not(squares):
    def trained(seed):
        vae = make(squares, seed=seed)
        vae.fit(squares.batches(36, seed=seed), epochs=3, verbose=0)
        return flat(vae)

    assert np.array_equal(trained(1), trained(1))
    assert not np.array_equal(trained(1), trained(2))


def test_evaluation_is_repeatable_and_trains_nothing(squares):
    vae = make(squares)
    before = flat(vae)
    found = [vae.evaluate(squares.batches(27), verbose=0, return_dict=True) for _ in range(2)]
    images = squares.images(squares.order(0, 0))
    assert found[0] == found[1]
    again = [vae.evaluate(images, batch_size=27, verbose=0, return_dict=True) for _ in range(2)]
    assert again[0] == again[1]
    assert again[0] == pytest.approx(found[0], rel=1e-5)
    assert np.array_equal(before, flat(vae))


def test_an_evaluation_is_a_mean_over_images_whatever_the_batches(squares):
    vae = make(squares, tc.Objective())
    vae.encoder.layers[-1].bias.assign([0.0] * 3 + [-12.0] * 3)  # noise that is too small to be seen
    vae.encoder.layers[-1].kernel.assign(0 * vae.encoder.layers[-1].kernel)
    vae.decoder.layers[-2].bias.assign(np.ones(64))  # white pixels are likelier
    images = np.concatenate([np.zeros((8, 8, 8, 1), "f4"), np.ones((1, 8, 8, 1), "f4")])
    first, last = (vae.evaluate(part, verbose=0, return_dict=True) for part in (images[:8], images[8:]))
    whole = vae.evaluate(images, batch_size=8, verbose=0, return_dict=True)
    assert abs(first["reconstruction"] - last["reconstruction"]) > 0.2
    mean = (8 * first["reconstruction"] + last["reconstruction"]) / 9
    assert whole["reconstruction"] == pytest.approx(mean, rel=1e-4)


def test_weights_of_single_images_are_refused(squares):
    weighted = tf.data.Dataset.from_tensors((squares.images(np.arange(8)), np.zeros(8), np.ones(8)))
    vae = make(squares, tc.Objective())
    for method in (vae.fit, vae.evaluate):
        with pytest.raises(ValueError, match="weights of single images have no place in the objective"):
            method(weighted, verbose=0)


def test_a_train_step_of_one_s_own_may_log_what_it_likes(squares):
    class Quiet(tc.VAE):
        def train_step(self, data):
            return {"mine": super().train_step(data)["kl"]}

    vae = Quiet(*tc.networks.mlp(squares.image_shape, 3, 8, seed=0))
    vae.compile(jit_compile=False)
    vae.fit(squares.batches(36), verbose=0)
    assert int(vae.step.value) == 3


# --- beta -----------------------------------------------------------------------------------------------------------


def test_a_model_that_owns_a_vae_may_give_its_own_step_to_a_warm_up(squares):
    vae = make(squares, tc.Objective(beta=6.0, beta_warmup=10))
    z = tf.random.stateless_normal([8, 3], [0, 1])
    parts = z, 0.5 * z, tf.ones([8, 3])
    of_step = [float(vae.penalty(*parts, step=tf.constant(step))[0]) for step in (0, 10)]
    assert of_step[0] == float(vae.penalty(*parts)[0])
    assert of_step[1] == pytest.approx(float(make(squares, tc.Objective(beta=6.0)).penalty(*parts)[0]))
    assert of_step[0] != pytest.approx(of_step[1], rel=0.1)


def test_beta_is_a_variable_that_a_compiled_step_reads(squares):
    changed, fresh = make(squares, tc.Objective(beta=6.0)), make(squares, tc.Objective(beta=2.0))
    changed.fit(squares.storage, batch_size=108, verbose=0)
    changed.beta.assign(2.0)
    fresh.set_weights(changed.get_weights())
    one, two = (vae.evaluate(squares.storage, batch_size=108, verbose=0) for vae in (changed, fresh))
    assert one == two
    changed.beta.assign(6.0)
    assert changed.evaluate(squares.storage, batch_size=108, verbose=0)[0] != one[0]


def test_with_equal_weights_the_pairwise_terms_are_neither_computed_nor_logged(squares):
    history = make(squares, tc.Objective(4.0, 4.0, 4.0)).fit(squares.batches(54), verbose=0).history
    assert set(history) == {"loss", "reconstruction", "kl"}
    assert history["loss"][0] == pytest.approx(4 * history["kl"][0] - history["reconstruction"][0], rel=1e-5)


# --- stopping -------------------------------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_stops_training_and_names_step_and_term(squares):
    images = squares.images(np.arange(108))
    images[72:] = np.nan
    vae = make(squares)
    with pytest.raises(FloatingPointError, match=r"step 2: .*reconstruction = nan.*lower the learning rate"):
        vae.fit(images, batch_size=36, shuffle=False, verbose=0)


def test_only_the_bad_terms_are_named(squares):
    vae = make(squares)
    last = vae.decoder.layers[-2]
    kernel, bias = last.get_weights()
    last.set_weights([kernel, np.full_like(bias, np.inf)])
    with pytest.raises(FloatingPointError) as error:
        vae.fit(squares.batches(36), verbose=0, callbacks=keras.callbacks.History())
    assert "step 0: loss = " in str(error.value)
    assert "reconstruction" in str(error.value)
    assert "total_correlation" not in str(error.value)


# --- memory ---------------------------------------------------------------------------------------------------------


def test_memory_is_kept_from_the_end_of_the_first_step_on(squares, monkeypatch):
    """What compiling took is given back before it is: steps that are yet to come need it."""
    kept = []
    vae = make(squares)
    monkeypatch.setattr(models.memory, "keep", lambda: kept.append(int(vae.step.numpy())))
    vae.fit(squares.batches(36), verbose=0)
    assert kept == [1, 2, 3]


# --- saving ---------------------------------------------------------------------------------------------------------


def test_keras_save_and_load_keep_outputs_optimizer_step_and_beta(squares, tmp_path):
    vae = make(squares)
    vae.fit(squares.batches(36, seed=0), epochs=2, verbose=0)
    vae.beta.assign(3.5)
    vae.save(tmp_path / "vae.keras")
    loaded = keras.models.load_model(tmp_path / "vae.keras")
    images = squares.images(np.arange(10))
    assert np.array_equal(vae.predict(images, verbose=0), loaded.predict(images, verbose=0))
    assert (int(loaded.step), float(loaded.beta), int(loaded.optimizer.iterations)) == (6, 3.5, 6)
    assert json.dumps(loaded.get_config(), sort_keys=True) == json.dumps(vae.get_config(), sort_keys=True)
    assert loaded.objective == vae.objective
    for model in (vae, loaded):
        model.fit(squares.batches(36, seed=0, first_epoch=2), verbose=0)
    assert np.array_equal(flat(vae), flat(loaded))


def test_mixed_precision_keeps_the_objective_in_float32(squares):
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        vae = make(squares)
        assert type(vae.optimizer).__name__ == "LossScaleOptimizer"
        posterior = vae.encode(tf.constant(squares.images(np.arange(4))))
        assert posterior.loc.dtype == tf.float32
        history = vae.fit(squares.batches(36), epochs=20, verbose=0).history
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert history["loss"][-1] < history["loss"][0] - 5
    plain = make(squares).fit(squares.batches(36), epochs=20, verbose=0).history
    assert history["loss"][0] == pytest.approx(plain["loss"][0], rel=0.01)


# --- options of the released code -----------------------------------------------------------------------------------


def test_families_schedules_and_a_free_alpha_train_under_xla(squares, monkeypatch):
    monkeypatch.setattr(distributions, "FLOW_STEPS", 2)
    objective = tc.Objective(0.0, 6.0, 0.5, "mss", beta_warmup=5, lambda_annealing=5)
    vae = make(squares, objective, jit_compile=True, prior="flow", posterior="laplace")
    before = vae._flow.numpy()
    history = vae.fit(squares.batches(36, seed=0), epochs=20, verbose=0).history
    assert history["reconstruction"][-1] > history["reconstruction"][0] + 5
    assert not np.any(vae._flow.numpy() == before)
    codes = tc.encode(vae, squares)
    assert codes.posterior == "laplace"
    loc, scale = (tf.constant(value) for value in (codes.loc, codes.scale))
    expected = distributions.prior_cross_entropy(loc, scale, "laplace", vae.prior).numpy().mean(axis=0)
    assert codes.prior_cross_entropy == pytest.approx(expected, rel=1e-5)


def test_a_warming_beta_is_that_of_the_step(squares):
    vae = make(squares, tc.Objective(4.0, 4.0, 4.0, beta_warmup=3))
    images = tf.constant(squares.images(np.arange(20)))
    for beta in (4 / 3, 8 / 3, 4, 4):
        logs = vae.train_step(images)
        found = (float(logs["loss"]) + float(logs["reconstruction"])) / float(logs["kl"])
        assert found == pytest.approx(beta, rel=1e-4)
        vae.reset_metrics()


def test_a_laplace_flow_model_is_saved_and_loaded_whole(squares, tmp_path, monkeypatch):
    monkeypatch.setattr(distributions, "FLOW_STEPS", 4)
    vae = make(squares, prior="flow", posterior="laplace")
    vae.fit(squares.batches(54, seed=0), epochs=1, verbose=0)
    vae.save(tmp_path / "vae.keras")
    loaded = keras.models.load_model(tmp_path / "vae.keras")
    assert (loaded.prior_family, loaded.posterior_family) == ("flow", "laplace")
    assert np.array_equal(loaded._flow.numpy(), vae._flow.numpy())
    for one in (vae, loaded):
        one.fit(squares.batches(54, seed=0, first_epoch=1), verbose=0)
    assert np.array_equal(flat(vae), flat(loaded))


def test_batch_normalisation_encodes_with_its_moving_statistics(rng):
    images = rng.integers(0, 2, size=(16, 16, 16)).astype(np.uint8)
    data = tc.datasets.from_arrays(images, np.arange(16))
    vae = make(data, networks=tc.networks.conv(data.image_shape, 3, 16, seed=0))
    vae.fit(data.batches(8, seed=0), epochs=2, verbose=0)
    batch = tf.constant(data.images(np.arange(16)))
    whole = vae.encode(batch).loc.numpy()
    assert vae.encode(batch[:3]).loc.numpy() == pytest.approx(whole[:3], abs=1e-5)  # whatever else is in the batch
    assert tc.encode(vae, data).loc == pytest.approx(whole, abs=1e-5)
    assert np.abs(vae.encode(batch, training=True).loc.numpy() - whole).max() > 1e-3
    assert any("moving" in variable.path for variable in vae.non_trainable_variables)


# --- bad input ------------------------------------------------------------------------------------------------------


def test_networks_that_do_not_fit_are_refused():
    encoder, _ = tc.networks.mlp((8, 8, 1), latent_dim=3, width=4)
    _, decoder = tc.networks.mlp((8, 8, 1), latent_dim=4, width=4)
    with pytest.raises(ValueError, match="do not fit"):
        tc.VAE(encoder, decoder)


def test_a_missing_dataset_size_is_named():
    with pytest.raises(ValueError, match=r"pass dataset_size=len\(data\)"):
        tc.VAE(*tc.networks.mlp((8, 8, 1), width=4), tc.Objective(beta=6.0))


def test_images_of_another_shape_are_refused(squares):
    with pytest.raises(ValueError, match="do not fit a model for"):
        make(squares).fit(np.zeros((10, 9, 9, 1), np.float32), verbose=0)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"dataset_size": 0}, ValueError, "dataset_size is N, the number of training images; got 0"),
        ({"objective": "beta_tcvae"}, TypeError, "objective must be a tc.Objective, such as"),
    ],
)
def test_options_that_make_no_model_are_told(squares, options, error, message):
    with pytest.raises(error, match=message):
        tc.VAE(*tc.networks.mlp(squares.image_shape, 2, 8, seed=0), **options)


def test_both_models_are_had_from_one_place():
    from tcvae_tf import models

    assert models.FactorVAE is tc.FactorVAE and models.VAE is tc.VAE
    with pytest.raises(AttributeError, match="no attribute 'GAN'"):
        models.GAN  # noqa: B018
