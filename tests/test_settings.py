"""Runs on a part of a data set, under a joint distribution of factors, with another head or Adam."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

import tcvae_tf as tc
from tcvae_tf import datasets, results, runs
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
    data = runs.load(SMALL)
    assert data.grid.sizes == (1, 6, 6) and data.grid.scored == ("x", "y")
    assert np.array_equal(data.images(np.arange(36)), known.images(np.arange(72, 108)))
    assert np.array_equal(data.grid.weights, joint_weights(data.grid, "independent"))
    assert runs.load(dataclasses.replace(SMALL, joint="uniform")).grid.weights is None
    with pytest.raises(ValueError, match="no factor 'colour'"):
        runs.load(dataclasses.replace(SMALL, fix="colour=0"))
    with pytest.raises(ValueError, match="size needs distinct values from 0 to 2"):
        runs.load(dataclasses.replace(SMALL, fix="size=3"))


def test_head_and_epsilon_reach_the_model(known):
    model = runs.model(SMALL, runs.load(SMALL), 1)
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


@pytest.mark.parametrize(
    ("fields", "steps", "at_a_time"),
    [
        ({"batch_size": 4}, 27 * 8, 1),  # 27 steps an epoch
        ({"batch_size": 9}, 120, 4),  # 12
        ({"batch_size": 12}, 102, 1),  # 9
        ({"batch_size": 18}, 102, 2),  # 6
    ],
)
def test_short_steps_are_taken_several_at_a_time_as_many_as_divide_epochs_and_run(squares, fields, steps, at_a_time):
    run = tc.Run(width=8, latent_dim=2, **fields)
    assert runs.model(run, squares, steps).steps_per_execution == at_a_time


def test_long_steps_are_taken_one_by_one(squares, monkeypatch):
    monkeypatch.setattr(runs, "_SHORT_STEP", 8 * 9 - 1)
    assert runs.model(tc.Run(width=8, batch_size=9), squares, 120).steps_per_execution == 1


# --- ids, and methods of one's own ----------------------------------------------------------------------------------


def test_ids_of_the_committed_records_are_those_of_their_fields():
    """A changed id would void hours of training."""
    rows = results.read_rows(Path(__file__).resolve().parents[1] / "results" / "records.csv")
    kinds = {field.name: type(field.default) for field in dataclasses.fields(tc.Run)}
    for line in rows:
        fields = {name: kind(line[f"run.{name}"]) for name, kind in kinds.items()}
        assert tc.Run(**fields).id == line["id"]
    assert "dsprites-beta_tcvae-mlp128-mss-b6-s0-403684" in {line["id"] for line in rows}


def test_the_id_of_a_method_of_one_s_own_is_readable_and_a_file_name():
    run = tc.Run(method="my.models:make_model", width=128, seed=3)
    assert run.own and not tc.Run().own
    assert re.fullmatch(r"dsprites-my\.models\.make_model-mlp128-s3-[0-9a-f]{6}", run.id)
    assert "-mlp128-b4-s3-" in dataclasses.replace(run, beta=4.0).id
    assert "-mlp128-tc2-s3-" in dataclasses.replace(run, tc_weight=2.0).id


def test_a_method_of_one_s_own_may_use_every_field():
    """Fields that our methods fix, or do not use, are handed on as they are, and tell its runs apart."""
    own = tc.Run(method="my_model:make_model")
    other = {"alpha": 2.0, "gamma": 3.0, "tc_weight": 4.0, "estimator": "mss", "discriminator_width": 5}
    other |= {"discriminator_batches": 1}
    changed = [dataclasses.replace(own, **{name: value}) for name, value in other.items()]
    assert [getattr(run, name) for run, name in zip(changed, other, strict=True)] == list(other.values())
    assert len({run.id for run in (own, *changed)}) == 1 + len(other)
    assert own.images_per_step == own.batch_size


@pytest.mark.parametrize(
    "method", ["my_model:", ":make_model", "my model:make", "my_model:make:it", "my_model", "a:b.c"]
)
def test_what_is_no_function_is_no_method(method):
    with pytest.raises(ValueError, match=r"unknown method .* choose from vae, .*, module:function"):
        tc.Run(method=method)


def test_a_factor_is_held_at_one_value():
    with pytest.raises(ValueError, match="holds each factor at one value; got 'b=0,b=1'"):
        tc.Run(fix="b=0,b=1")
