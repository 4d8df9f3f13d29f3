"""Runs on a part of a data set, under a joint distribution of factors, with another head or Adam."""

import dataclasses

import numpy as np
import pytest

import tcvae_tf as tc
from tcvae_tf import datasets, runs
from tcvae_tf.factors import joint_weights

#: The 6×6 positions of the largest square, larger coordinates likelier.
SMALL = tc.Run(
    "squares",
    fix="size=2",
    joint="independent",
    head="log_variance",
    adam_epsilon=1e-4,
    width=8,
    latent_dim=3,
    batch_size=12,
    steps=3,
)


@pytest.fixture
def known(squares, monkeypatch):
    """The squares as a data set that a run can name."""
    monkeypatch.setattr(datasets, "load", lambda name: {"squares": squares}[name])
    return squares


def test_fixed_factors_are_ordered_so_that_one_choice_has_one_id():
    one, two = tc.Run(fix="lighting=5,identity=0"), tc.Run(fix=" identity = 0,lighting=05")
    assert one == two and one.id == two.id != tc.Run().id
    assert one.fix == "identity=0,lighting=5" and one.fixed == {"identity": 0, "lighting": 5}
    assert tc.Run().fixed == {}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"fix": "identity"}, "fix must be name=value index, with commas between; got 'identity'"),
        ({"fix": "identity=first"}, "fix must be name=value index"),
        ({"fix": "identity=-1"}, "fix must be name=value index"),
        ({"joint": "corelated"}, "did you mean 'correlated'"),
        ({"head": "log_varianc"}, "did you mean 'log_variance'"),
        ({"adam_epsilon": 0.0}, "must be positive"),
    ],
)
def test_bad_fields_are_refused_in_one_line(fields, message):
    with pytest.raises(ValueError, match=message) as error:
        tc.Run(**fields)
    assert "\n" not in str(error.value)


def test_the_data_of_a_run_are_the_part_it_asks_for_with_its_weights(known):
    data = runs._data(SMALL)
    assert data.grid.sizes == (1, 6, 6) and data.grid.scored == ("x", "y")
    assert np.array_equal(data.images(np.arange(36)), known.images(np.arange(72, 108)))
    assert np.array_equal(data.grid.weights, joint_weights(data.grid, "independent"))
    assert runs._data(dataclasses.replace(SMALL, joint="uniform")).grid.weights is None
    with pytest.raises(ValueError, match="no factor 'colour'"):
        runs._data(dataclasses.replace(SMALL, fix="colour=0"))
    with pytest.raises(ValueError, match="size needs distinct values from 0 to 2"):
        runs._data(dataclasses.replace(SMALL, fix="size=3"))


def test_head_and_epsilon_reach_the_model(known):
    model = runs.model(SMALL, runs._data(SMALL), 1)
    assert model.optimizer.epsilon == 1e-4
    assert "loc_and_log_variance" in [layer.name for layer in model.encoder.layers]
    plain = runs.model(tc.Run("squares", width=8), known, 1)
    assert plain.optimizer.epsilon == 1e-8
    assert "loc_and_log_variance" not in [layer.name for layer in plain.encoder.layers]


def test_the_mig_of_a_record_is_weighed_by_the_joint_distribution(known, tmp_path):
    record = tc.execute(SMALL, tmp_path, verbose=0)
    codes = tc.Codes.load(tmp_path / SMALL.id / "codes.npz")
    even = dataclasses.replace(codes, grid=dataclasses.replace(codes.grid, weights=None))
    assert np.array_equal(codes.grid.weights, joint_weights(codes.grid, "independent"))
    assert record["mig"] == tc.mig(codes).score != tc.mig(even).score
    assert set(record["mig_gaps"]) == {"x", "y"}
    assert record["run"]["joint"] == "independent" and record["run"]["fix"] == "size=2"
    assert (tmp_path / SMALL.id / "pictures.npz").exists()


@pytest.mark.parametrize(("steps", "compiled"), [(runs.SHORT - 1, False), (runs.SHORT, True)])
def test_only_trainings_that_repay_the_compilation_are_compiled(squares, steps, compiled):
    for method in ("vae", "factor_vae"):
        run = tc.Run(method=method, width=8, discriminator_width=8, latent_dim=2)
        assert runs.model(run, squares, steps).jit_compile is compiled
