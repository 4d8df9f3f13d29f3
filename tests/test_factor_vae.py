"""FactorVAE: its density ratio, its permutation, whose gradients go where, and that it saves and resumes."""

import json

import keras
import numpy as np
import pytest
import shallow
import tensorflow as tf

import tcvae_tf as tc
from tcvae_tf import distributions
from tcvae_tf.factor_vae import FactorVAE, permute_latents
from tcvae_tf.models import TRAIN


def make(data, tc_weight=5.0, batches=2, jit_compile=False, **optimizers):
    vae = tc.VAE(*shallow.networks(data.image_shape, 3), dataset_size=len(data), seed=0)
    model = FactorVAE(vae, tc.networks.discriminator(3, width=16, layers=2, seed=1), tc_weight, batches)
    options = {"optimizer": keras.optimizers.Adam(1e-3), **optimizers}
    model.compile(**options, jit_compile=jit_compile)
    return model


def flat(model):
    return np.concatenate([weight.ravel() for weight in model.get_weights()])


def test_permutation_keeps_the_marginals_and_breaks_the_dependence():
    rng = np.random.default_rng(0)
    first = rng.normal(size=(4000, 1))
    z = np.concatenate([first, first + 0.1 * rng.normal(size=(4000, 1)), rng.normal(size=(4000, 1))], axis=1)
    permuted = permute_latents(tf.constant(z), tf.constant([1, 2])).numpy()
    assert np.array_equal(np.sort(permuted, axis=0), np.sort(z, axis=0))
    assert np.abs(np.corrcoef(permuted.T) - np.eye(3)).max() < 0.06
    other = permute_latents(tf.constant(z), tf.constant([1, 3])).numpy()
    assert not np.array_equal(other, permuted)


def test_a_trained_discriminator_estimates_the_closed_form_total_correlation_of_a_gaussian():
    rho, epochs = 0.8, 6
    rng = np.random.default_rng(0)
    z = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], size=60_000).astype(np.float32)
    joint, new = z[:40_000], z[40_000:]
    product = permute_latents(tf.constant(joint), tf.constant([1, 2])).numpy()
    order = rng.permutation(80_000)  # not Keras' own, which has no seed
    x, y = np.concatenate([joint, product])[order], np.repeat([0, 1], 40_000)[order]
    net = tc.networks.discriminator(2, width=64, layers=2, seed=0)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, epochs * 160)
    net.compile(keras.optimizers.Adam(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    net.fit(x, y, batch_size=500, epochs=epochs, shuffle=False, verbose=0)
    logits = net.predict(new, verbose=0)
    assert np.mean(logits[:, 0] - logits[:, 1]) == pytest.approx(-0.5 * np.log(1 - rho**2), abs=0.05)


@pytest.mark.parametrize("batches", [1, 2])
def test_both_gradients_are_taken_at_the_same_weights_each_of_its_own_network(squares, batches):
    """A step of plain gradient descent equals the two gradients of the two losses, written out."""
    rate = 0.05
    descent = {"optimizer": keras.optimizers.SGD(rate), "discriminator_optimizer": keras.optimizers.SGD(rate)}
    model, twin = make(squares, batches=batches, **descent), make(squares, batches=batches)
    images = tf.constant(squares.images(np.arange(40)))
    seed = twin.vae.noise_seed(TRAIN, 0)
    seeds = [distributions.fold_in(seed, draw) for draw in range(3)]
    first, second = (images[:20], images[20:]) if batches == 2 else (images, images)
    vae, net = twin.vae, twin.discriminator
    with tf.GradientTape() as tape:
        loc, scale, z, log_px = vae.elbo_sample(first, seeds[0], True)
        penalty = sum(tc.objective.kl_terms(z, loc, scale, 108).values())
        logits = net(z)
        loss = tf.reduce_mean(penalty - log_px) + 5.0 * tf.reduce_mean(logits[:, 0] - logits[:, 1])
    of_vae = tape.gradient(loss, [v.value for v in vae.trainable_variables])
    z2 = vae.encode(second).sample(seed=seeds[1]) if batches == 2 else z
    inputs = tf.concat([z, permute_latents(z2, seeds[2])], axis=0)
    labels = np.repeat([0, 1], len(z))
    with tf.GradientTape() as tape:
        entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, net(tf.stop_gradient(inputs)))
    of_net = tape.gradient(entropy, [v.value for v in net.trainable_variables])
    logs = model.train_step(images)
    assert float(logs["loss"]) == pytest.approx(float(loss), rel=1e-5)
    assert float(logs["discriminator_loss"]) == pytest.approx(float(entropy), rel=1e-5)
    for part, old, gradients in ((model.vae, vae, of_vae), (model.discriminator, net, of_net)):
        for new, before, gradient in zip(part.trainable_variables, old.trainable_variables, gradients, strict=True):
            assert new.numpy() == pytest.approx(before.numpy() - rate * gradient.numpy(), abs=1e-6)


def test_neither_gradient_reaches_the_other_network(squares):
    """With a rate of zero for one optimizer its network stays, and the other moves."""
    for still, moving in (("vae", "discriminator"), ("discriminator", "vae")):
        rates = {"vae": 0.1, "discriminator": 0.1, still: 0.0}
        optimizers = {"optimizer": keras.optimizers.SGD(rates["vae"])}
        optimizers["discriminator_optimizer"] = keras.optimizers.SGD(rates["discriminator"])
        model = make(squares, **optimizers)
        before = {name: trainable(getattr(model, name)) for name in (still, moving)}
        model.train_step(tf.constant(squares.images(np.arange(40))))
        assert np.array_equal(trainable(getattr(model, still)), before[still])
        assert not np.array_equal(trainable(getattr(model, moving)), before[moving])


def trainable(model):
    return np.concatenate([variable.numpy().ravel() for variable in model.trainable_variables])


def test_it_is_judged_on_samples_of_the_whole_data_set(squares):
    model = make(squares)
    rng = np.random.default_rng(0)
    z = rng.multivariate_normal([0, 0, 0], [[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]], size=4000)
    assert abs(model.judge(z)["total_correlation"]) < 0.2  # it knows nothing yet
    net = model.discriminator
    order = rng.permutation(8000)  # one of its own: Keras' shuffling has no seed here
    x = np.concatenate([z, rng.permuted(z, axis=0)]).astype(np.float32)[order]
    rate = keras.optimizers.schedules.CosineDecay(1e-2, decay_steps=160)
    net.compile(keras.optimizers.Adam(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    net.fit(x, np.repeat([0, 1], 4000)[order], batch_size=500, epochs=10, shuffle=False, verbose=0)
    judged = model.judge(z)
    assert judged["total_correlation"] == pytest.approx(-0.5 * np.log(1 - 0.81), abs=0.2)
    assert 0.6 < judged["accuracy"] < 0.9


def test_it_trains_with_and_without_xla(squares):
    losses = []
    for jit_compile in (True, False):
        model = make(squares, jit_compile=jit_compile)
        history = model.fit(squares.batches(36, seed=0), epochs=10, verbose=0).history
        assert history["loss"][-1] < history["loss"][0]
        assert 0 <= history["discriminator_accuracy"][-1] <= 1
        assert int(model.step.value) == 30
        assert tc.encode(model, squares).loc.shape == (108, 3)
        losses.append(history["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)  # the same noise: rounding alone sets them apart


def test_weight_zero_trains_the_vae_as_if_it_were_alone(squares):
    model = make(squares, tc_weight=0.0, batches=1)
    before = flat(model.vae)
    model.fit(squares.batches(36, seed=0), epochs=1, verbose=0)
    assert not np.array_equal(flat(model.vae), before)
    other = make(squares, tc_weight=0.0, batches=1)
    other.discriminator.set_weights([2 * weight for weight in other.discriminator.get_weights()])
    other.fit(squares.batches(36, seed=0), epochs=1, verbose=0)
    assert flat(other.vae) == pytest.approx(flat(model.vae), abs=1e-6)  # another discriminator changes nothing


def test_save_and_load_resume_both_optimizers_bit_by_bit(squares, tmp_path):
    model = make(squares)
    # Of unknown length: Keras asks for one batch more, which must not be counted.
    model.fit(squares.batches(36, seed=0).filter(lambda images: True), epochs=2, verbose=0)
    model.tc_weight.assign(7.0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert (int(loaded.step.value), float(loaded.tc_weight), loaded.batches) == (6, 7.0, 2)
    assert int(loaded.discriminator_optimizer.iterations) == 6
    assert json.dumps(loaded.get_config(), sort_keys=True) == json.dumps(model.get_config(), sort_keys=True)
    for one in (model, loaded):
        one.fit(squares.batches(36, seed=0, first_epoch=2), verbose=0)
    assert np.array_equal(flat(model), flat(loaded))


def test_evaluate_takes_no_step(squares):
    model = make(squares)
    before = flat(model)
    found = model.evaluate(squares.batches(36, seed=0), verbose=0, return_dict=True)
    assert {"loss", "reconstruction", "discriminator_tc", "discriminator_accuracy"} <= set(found)
    assert np.array_equal(flat(model), before)


def test_parts_that_do_not_fit_are_refused(squares):
    vae = make(squares).vae
    with pytest.raises(ValueError, match="takes 3 latents and gives two logits"):
        FactorVAE(vae, tc.networks.discriminator(4, width=4))
    with pytest.raises(ValueError, match="two batches: give an even number of images, not 5"):
        make(squares).train_step(tf.zeros((5, 8, 8, 1)))
    with pytest.raises(ValueError, match="batches 1 or 2"):
        FactorVAE(vae, tc.networks.discriminator(3, width=4), batches=3)
