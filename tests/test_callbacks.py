"""Measures during training. The checkpoint and the progress file are tested with the runs that they serve."""

import csv
import dataclasses

import keras
import numpy as np
import pytest
import shallow
import tensorflow as tf
from tensorflow_probability import distributions as tfd

import tcvae_tf as tc


def make(data):
    vae = tc.VAE(*shallow.networks(data.image_shape, 3), tc.Objective(beta=2.0), dataset_size=len(data), seed=0)
    vae.compile(keras.optimizers.Adam(1e-2), jit_compile=False)  # compiling would take most of the time
    return vae


def fit(vae, data, *callbacks, epochs=3):
    return vae.fit(data.batches(36, seed=0), epochs=epochs, verbose=0, callbacks=list(callbacks)).history


def test_the_last_measures_are_those_of_the_trained_model(squares):
    vae = make(squares)
    history = fit(vae, squares, tc.callbacks.Measures(squares, samples=500))
    codes = tc.encode(vae, squares)
    parts = tc.elbo_decomposition(codes, samples=500)
    assert history["data_mig"][-1] == tc.mig(codes).score
    assert history["data_elbo"][-1] == parts.elbo
    assert history["data_total_correlation"][-1] == parts.total_correlation
    assert history["data_dimension_kl"][-1] == pytest.approx(parts.dimension_kl.sum())
    assert history["data_active_units"][-1] == tc.active_units(codes).score
    assert history["data_elbo"][-1] > history["data_elbo"][0]
    terms = ("mutual_information", "total_correlation", "dimension_kl")
    whole = history["data_reconstruction"][0] - sum(history[f"data_{term}"][0] for term in terms)
    assert history["data_elbo"][0] == pytest.approx(whole)


def test_measuring_does_not_disturb_training(squares):
    measured, plain = make(squares), make(squares)
    history = fit(measured, squares, tc.callbacks.Measures(squares, samples=10))
    assert history["loss"] == fit(plain, squares)["loss"]
    for a, b in zip(measured.get_weights(), plain.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_the_first_every_third_and_the_last_epoch_are_measured(squares):
    history = fit(make(squares), squares, tc.callbacks.Measures(squares, every=3, samples=10), epochs=5)
    values = history["data_elbo"]
    assert values[0] == values[1] != values[2] == values[3] != values[4]
    stop = keras.callbacks.EarlyStopping(monitor="data_elbo", mode="max", patience=3)
    history = fit(make(squares), squares, tc.callbacks.Measures(squares, every=3, samples=10), stop, epochs=7)
    assert len(history["data_elbo"]) == 7  # it rose all the time


def test_a_part_without_a_factor_to_score_is_refused(squares):
    with pytest.raises(ValueError, match="no scored factor"):
        tc.callbacks.Measures(squares.select({"size": [0], "x": [1], "y": [2]}))


def test_a_part_of_the_grid_can_be_measured(squares):
    vae = make(squares)
    part = squares.select({"size": [0, 2], "x": range(0, 6, 2)})
    assert part.grid.sizes == (2, 3, 6)
    assert np.array_equal(part.images([0, 35]), squares.images([0, 2 * 36 + 4 * 6 + 5]))
    history = fit(vae, squares, tc.callbacks.Measures(part, samples=10), epochs=1)
    assert history["data_mig"][-1] == tc.mig(tc.encode(vae, part)).score


def test_later_callbacks_see_the_measures(squares, tmp_path):
    stop = keras.callbacks.EarlyStopping(monitor="data_mig", mode="max", patience=1, min_delta=2.0)
    log = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    history = fit(make(squares), squares, tc.callbacks.Measures(squares, samples=10), log, stop, epochs=9)
    assert len(history["loss"]) == 2  # no MIG ever grows by 2
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [float(row["data_mig"]) for row in rows] == history["data_mig"]


def test_tensorboard_shows_the_measures(squares, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    board = keras.callbacks.TensorBoard(tmp_path, write_graph=False)
    history = fit(make(squares), squares, tc.callbacks.Measures(squares, samples=10), board)
    events = accumulator.EventAccumulator(str(tmp_path / "train"), {"tensors": 0})
    events.Reload()
    found = [float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors("epoch_data_mig")]
    assert found == pytest.approx(history["data_mig"], rel=1e-6)


def test_numbers_out_of_range_are_refused(squares):
    with pytest.raises(ValueError, match="every must be 1 or more"):
        tc.callbacks.Measures(squares, every=0)


def test_a_model_that_does_not_decode_cannot_be_measured_and_says_so(squares, monkeypatch):
    vae = make(squares)
    encoded = tc.encode(vae, squares)
    monkeypatch.setattr(
        tc.callbacks.codes, "encode", lambda *rest, **options: dataclasses.replace(encoded, log_px=None)
    )
    with pytest.raises(ValueError, match=r"Measures: to be measured during training the model needs decode\(z\)"):
        fit(vae, squares, tc.callbacks.Measures(squares, samples=10), epochs=1)


def test_traversals_are_drawn_as_epochs_end_and_do_not_disturb_training(squares, tmp_path):
    drawn, plain = make(squares), make(squares)
    seen = {}
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.update({epoch + 1: sorted(path.name for path in tmp_path.glob("*.png"))})
    )
    history = fit(drawn, squares, tc.callbacks.Traversals(squares, tmp_path, every=3), note, epochs=4)
    names = [f"epoch-000{epoch}.png" for epoch in (1, 3, 4)]
    assert seen == {1: names[:1], 2: names[:1], 3: names[:2], 4: names}
    assert history["loss"] == fit(plain, squares, epochs=4)["loss"]
    for a, b in zip(drawn.get_weights(), plain.get_weights(), strict=True):
        assert np.array_equal(a, b)
    arrays = tc.pictures.of(drawn, squares, tc.encode(drawn, squares))
    tc.plots.save(tc.plots.traversal(arrays, title="squares, epoch 4"), tmp_path / "again.png")
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / names[-1]).read_bytes()


def test_a_training_that_stops_ends_with_a_picture(squares, tmp_path):
    vae = make(squares)
    stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(vae, "stop_training", epoch == 2))
    fit(vae, squares, stop, tc.callbacks.Traversals(squares, tmp_path, every=9), epochs=8)
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["epoch-0001.png", "epoch-0003.png"]


class Own(keras.Model):
    """With an encode and, if asked for, a decode of its own."""

    def __init__(self, decodes):
        super().__init__()
        self.scale = self.add_weight(shape=(), initializer="ones")
        if decodes:
            self.decode = lambda z: tfd.Independent(
                tfd.Bernoulli(tf.zeros((len(z), 8, 8, 1)) + z[:, :1, None, None]), 3
            )

    def encode(self, images):
        return tfd.Normal(tf.reduce_mean(images, (1, 2)) * tf.ones(2), self.scale)

    def train_step(self, images):
        return {"loss": tf.constant(0.0)}


def test_a_model_of_one_s_own_is_traversed_where_it_decodes(squares, tmp_path):
    with pytest.raises(ValueError, match="every must be 1 or more"):
        tc.callbacks.Traversals(squares, tmp_path, every=0)
    for model, words in ((Own(decodes=False), r"needs decode\(z\)"), (keras.Model(), "has no encode")):
        callback = tc.callbacks.Traversals(squares, tmp_path)
        callback.set_model(model)
        with pytest.raises(ValueError, match=words):
            callback.on_train_begin()
    own = Own(decodes=True)
    own.compile(keras.optimizers.SGD(), run_eagerly=True)
    own.fit(squares.batches(36, seed=0), verbose=0, callbacks=[tc.callbacks.Traversals(squares, tmp_path)])
    assert (tmp_path / "epoch-0001.png").exists()
