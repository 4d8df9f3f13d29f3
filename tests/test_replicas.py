"""Several replicas compute what one device computes on the same global batch: losses, gradients, noise, metrics.

TensorFlow makes its devices once in a process: this file is also the program of the processes that have several.
"""

import json
import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import shallow
import tensorflow as tf

import tcvae_tf as tc
from tcvae_tf import distributions, replicas

DATA = tc.datasets.from_arrays(
    np.random.default_rng(0).integers(0, 2, size=(72, 4, 4)).astype(np.uint8), np.arange(72), name="noise"
)
BATCH = 36
TERMS = tc.Objective(0.5, 6.0, 2.0, "mss")


# --- the models, and what is done with them on one device and on two ------------------------------------------------


def vae(objective=TERMS, encoder=None, **families):
    networks = shallow.networks(DATA.image_shape, 3)
    return tc.VAE(encoder or networks[0], networks[1], objective, dataset_size=72, seed=3, **families)


def factor_vae(batches):
    discriminator = tc.networks.discriminator(3, width=16, layers=2, seed=1)
    return tc.FactorVAE(vae(tc.Objective(beta=2.0)), discriminator, 5.0, batches)


def batch_normalised():
    layers = keras.layers
    dense = [layers.Dense(units, kernel_initializer=keras.initializers.GlorotUniform(units)) for units in (16, 6)]
    # So large an epsilon keeps float32's rounding, which 1/sqrt(variance) magnifies, far below what is asserted.
    steps = [layers.Flatten(), dense[0], layers.BatchNormalization(epsilon=1.0), layers.ReLU(), dense[1]]
    return vae(encoder=keras.Sequential([keras.Input(DATA.image_shape), *steps]))


MODELS = {
    "mws": lambda: vae(tc.Objective(0.5, 6.0, 2.0, "mws")),
    "mss": vae,
    "batch norm": batch_normalised,
    "factor 1": lambda: factor_vae(1),
    "factor 2": lambda: factor_vae(2),
}


def descent(model):
    """One step of gradient descent at rate 1: the weights change by the gradient. Eager: tracing takes longer."""
    rates = {"optimizer": keras.optimizers.SGD(1.0)}
    if isinstance(model, tc.FactorVAE):
        rates["discriminator_optimizer"] = keras.optimizers.SGD(1.0)
    model.compile(**rates, run_eagerly=True)
    before = model.get_weights()
    logs = model.fit(DATA.storage[:BATCH], batch_size=BATCH, shuffle=False, verbose=0).history
    return {"logs": logs, "weights": model.get_weights(), "before": before}


def adam(batches, **fit):
    """Two epochs of Adam in Keras' compiled loop."""
    model = vae()
    model.compile(keras.optimizers.Adam(1e-3), jit_compile=False)
    logs = model.fit(batches(), epochs=2, verbose=0, **fit).history
    return {"logs": logs, "weights": model.get_weights(), "step": int(model.step.numpy())}


def ragged():
    """An evaluation whose last batch holds one image: the other replica has none."""
    model = vae(tc.Objective())
    model.compile("adam", jit_compile=False)
    return model.evaluate(DATA.storage[:71], batch_size=35, verbose=0, return_dict=True)


def draws(family):
    """z of a batch, in the order of its rows, and where the replicas say that they stand in it."""
    arrays = np.random.default_rng(1).uniform(0.5, 2, size=(2, 10, 3)).astype(np.float32)
    strategy = tf.distribute.get_strategy()
    size = 10 // strategy.num_replicas_in_sync

    def rows(loc, scale):
        place = replicas.place(loc)
        return place.sample(distributions.posterior(loc, scale, family), tf.constant([1, 2])), place.first

    def share(array):
        of_replica = lambda context: tf.constant(array[context.replica_id_in_sync_group * size :][:size])  # noqa: E731
        return strategy.experimental_distribute_values_from_function(of_replica)

    with strategy.scope():
        z, first = strategy.run(rows, args=tuple(share(array) for array in arrays))
    local = strategy.experimental_local_results
    return np.concatenate([part.numpy() for part in local(z)]), [int(part) for part in local(first)]


def gradient_of_gather(strategy):
    """Replica r asks its gathered rows for (r + 1) times their number: what comes back to each."""

    def gradient():
        me = tf.distribute.get_replica_context().replica_id_in_sync_group
        with tf.GradientTape() as tape:
            own = tf.ones([2, 1])
            tape.watch(own)
            (whole,) = replicas.place(own).gather(own)
            total = tf.reduce_sum(whole[:, 0] * tf.range(1.0, 5.0)) * tf.cast(me + 1, tf.float32)
        return tape.gradient(total, own)

    return np.concatenate([part.numpy()[:, 0] for part in strategy.experimental_local_results(strategy.run(gradient))])


def refusals(strategy):
    outside = keras.optimizers.Adam()
    with strategy.scope():
        model = vae()
    with pytest.raises(ValueError, match=r"make the optimizers within `with strategy.scope\(\):`"):
        model.compile(outside)
    with pytest.raises(ValueError, match="make its size a multiple of 2, not 35"):
        replicas.distribute(DATA, 35, strategy)
    with pytest.warns(UserWarning, match="XLA"):
        model.compile("adam", jit_compile=True)  # made within the scope, of itself
    return model.jit_compile


def mirrored():
    """Everything that two logical devices and one compute, in the same process."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    one = tf.distribute.get_strategy()
    two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

    def on(strategy, function, *args):
        with strategy.scope():
            return function(*args)

    def both(function, *args):
        return on(one, function, *args), on(two, function, *args)

    found = {name: both(lambda make=make: descent(make())) for name, make in MODELS.items()}
    found |= {"adam": both(adam, lambda: DATA.batches(BATCH, seed=0)), "ragged": both(ragged)}
    found |= {f"draws {family}": both(draws, family) for family in ("normal", "laplace")}
    return found | {"gather": gradient_of_gather(two), "xla": refusals(two)}


def worker():
    """One of two processes that train together, as their TF_CONFIG says."""
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    with strategy.scope():
        return adam(lambda: replicas.distribute(DATA, BATCH, strategy), steps_per_epoch=DATA.steps_per_epoch(BATCH))


# --- running them ---------------------------------------------------------------------------------------------------


def start(program, path, **environment):
    command = [sys.executable, __file__, program, str(path)]
    return subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True)


def outcome(process, path):
    try:
        _, errors = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    return pickle.loads(path.read_bytes())


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    path = tmp_path_factory.mktemp("mirrored") / "found.pickle"
    return outcome(start("mirrored", path), path)


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    paths = [tmp_path_factory.mktemp("worker") / "found.pickle" for _ in range(2)]
    tasks = [{"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}} for index in range(2)]
    started = [start("worker", path, TF_CONFIG=json.dumps(task)) for path, task in zip(paths, tasks, strict=True)]
    try:
        return [outcome(process, path) for process, path in zip(started, paths, strict=True)]
    finally:
        for process in started:
            process.kill()


def agree(one, other, tolerance=1e-5):
    """Equal to the tolerance, relative to the largest number, whatever they are nested in."""
    one, other = (np.concatenate([np.ravel(leaf) for leaf in tf.nest.flatten(each)]) for each in (one, other))
    return np.abs(one - other).max() <= tolerance * np.abs(one).max()


# --- the theorems ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_two_replicas_have_the_loss_the_terms_and_the_gradient_of_one_device(found, name):
    one, two = found[name]
    assert one["logs"].keys() == two["logs"].keys()
    for term, value in one["logs"].items():
        assert two["logs"][term] == pytest.approx(value, rel=1e-5, abs=1e-5), term
    gradients = [
        [after - before for after, before in zip(each["weights"], each["before"], strict=True)] for each in (one, two)
    ]
    for gradient, other in zip(*gradients, strict=True):
        assert other == pytest.approx(gradient, rel=1e-5, abs=1e-5)
    assert agree(*gradients)


def test_the_training_of_two_replicas_ends_with_the_weights_of_one_device(found):
    one, two = found["adam"]
    assert one["step"] == two["step"] == 4
    assert max(np.abs(a - b).max() for a, b in zip(one["weights"], two["weights"], strict=True)) < 1e-5
    for name, values in one["logs"].items():
        assert two["logs"][name] == pytest.approx(values, rel=1e-5, abs=1e-5), name


def test_a_ragged_last_batch_counts_by_its_images_and_a_replica_without_any_counts_nothing(found):
    one, two = found["ragged"]
    assert two == pytest.approx(one, rel=1e-5)


@pytest.mark.parametrize("family", ["normal", "laplace"])
def test_the_draws_of_the_replicas_are_together_those_of_one_device(found, family):
    (z, first), (z_two, first_two) = found[f"draws {family}"]
    assert (first, first_two) == ([0], [0, 5])
    assert z_two == pytest.approx(z, rel=1e-6)
    assert len(np.unique(z_two)) == z_two.size


def test_the_gradient_of_gathered_rows_is_the_sum_over_replicas_and_returns_to_their_owner(found):
    assert found["gather"].tolist() == [3.0, 6.0, 9.0, 12.0]  # (1 + 2) times the row's number


def test_what_replicas_cannot_do_is_refused_and_xla_declined(found):
    assert found["xla"] is False


def test_two_workers_train_together_in_fit_and_end_with_the_weights_of_one_device(found, workers):
    one = found["adam"][0]
    for each, other in zip(workers[0]["weights"], workers[1]["weights"], strict=True):
        assert np.array_equal(each, other)
    for name, values in one["logs"].items():
        assert workers[0]["logs"][name] == pytest.approx(values, rel=1e-5, abs=1e-5), name
    assert max(np.abs(a - b).max() for a, b in zip(one["weights"], workers[0]["weights"], strict=True)) < 1e-5
    assert workers[0]["step"] == 4


def test_without_a_strategy_nothing_is_gathered_and_no_layer_changed():
    assert replicas.place(tf.zeros([4, 2])) is replicas.WHOLE
    layer = keras.layers.BatchNormalization()
    replicas.synchronise(keras.Sequential([keras.Input((4,)), layer]))
    assert not layer.synchronized


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(pickle.dumps({"mirrored": mirrored, "worker": worker}[sys.argv[1]]()))
