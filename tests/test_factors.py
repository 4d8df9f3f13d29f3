"""FactorGrid: order, weights, entropies; joint distributions of two factors."""

import dataclasses

import numpy as np
import pytest

import tcvae_tf as tc
from tcvae_tf.factors import JOINTS, joint_weights

GRID = tc.FactorGrid(names=("a", "b", "c"), sizes=(2, 3, 4), scored=("a", "c"))


def test_cells_stand_in_c_order():
    assert len(GRID) == 24
    assert GRID.to_values([0, 1, 4, 23]).tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 2, 3]]


def test_indices_and_values_are_inverse():
    indices = np.arange(24)
    assert np.array_equal(GRID.to_indices(GRID.to_values(indices)), indices)


def test_a_column_is_that_factor_of_every_cell():
    for k, name in enumerate(GRID.names):
        assert np.array_equal(GRID.values(name), GRID.to_values(np.arange(24))[:, k])


def test_uniform_entropy_is_the_log_of_the_size():
    assert GRID.entropy("c") == pytest.approx(np.log(4))


def test_weights_give_marginals_and_entropies():
    weights = np.zeros(24)
    weights[0], weights[23] = 0.25, 0.75
    grid = tc.FactorGrid(("a", "b", "c"), (2, 3, 4), weights=weights)
    assert grid.marginal("c").tolist() == [0.25, 0, 0, 0.75]
    assert grid.entropy("c") == pytest.approx(-0.25 * np.log(0.25) - 0.75 * np.log(0.75))
    assert grid.cells.tolist() == [0, 23]


def test_thinning_keeps_every_kth_value_of_each_factor():
    thin, indices = GRID.thin(2)
    assert thin.sizes == (1, 2, 2)
    assert thin.scored == ("c",)  # a has a single value left
    assert GRID.to_values(indices).tolist() == [[0, 0, 0], [0, 0, 2], [0, 2, 0], [0, 2, 2]]


def test_select_keeps_some_values_and_weighs_what_is_left():
    part, indices = GRID.select({"c": [1, 3], "a": [0]})
    assert part.sizes == (1, 3, 2) and part.scored == ("c",)
    assert indices.tolist() == [1, 3, 5, 7, 9, 11]
    weights = np.arange(24) / 276
    weighted, _ = tc.FactorGrid(GRID.names, GRID.sizes, weights=weights).select({"c": [1, 3], "a": [0]})
    assert weighted.weights == pytest.approx(np.array([1, 3, 5, 7, 9, 11]) / 36)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"d": [0]}, "no factor 'd'"),
        ({"a": 0}, "give a list of value indices for a"),
        ({"a": []}, "a needs distinct values"),
        ({"a": [0, 0]}, "distinct"),
        ({"a": [2]}, "from 0 to 1"),
    ],
)
def test_bad_selections_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        GRID.select(values)


def test_factors_of_which_one_value_occurs_are_scored_when_they_are_named_alone():
    weights = [1 / 3] * 3 + [0] * 3
    assert tc.FactorGrid(["a", "b"], [2, 3], weights=weights).scored == ("b",)
    assert tc.FactorGrid(["a", "b"], [2, 3], ["a", "b"], weights).scored == ("a", "b")


def test_a_selection_that_cannot_occur_is_refused():
    grid = tc.FactorGrid(("a", "b"), (2, 2), weights=[0.5, 0.5, 0, 0])
    with pytest.raises(ValueError, match="no cell of the selection can occur"):
        grid.select({"a": [1]})


def test_equality_compares_names_sizes_scored_and_weights():
    assert tc.FactorGrid(("a", "b", "c"), (2, 3, 4), ("a", "c")) == GRID
    assert tc.FactorGrid(("a", "b", "c"), (2, 3, 4)) != GRID
    assert tc.FactorGrid(("a", "b", "c"), (2, 3, 4), ("a", "c"), weights=np.arange(24) / 276) != GRID


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": ("a",), "sizes": (2, 3)}, "one size for each"),
        ({"names": ("a", "a"), "sizes": (2, 3)}, "distinct"),
        ({"names": ("a",), "sizes": (2.5,)}, "whole numbers"),
        ({"names": "a", "sizes": (2,)}, "sequences of names, not a string"),
        ({"names": ("a",), "sizes": (0,)}, "at least one value"),
        ({"names": ("a",), "sizes": (2,), "scored": ("b",)}, "no factor 'b' to be scored; choose from a"),
        ({"names": ("a",), "sizes": (2,), "scored": ("a", "a")}, "scored once"),
        ({"names": ("a", "b"), "sizes": (2, 1), "scored": ("b",)}, "two values or more"),
        ({"names": ("a",), "sizes": (2,), "weights": [1.0]}, "shape"),
        ({"names": ("a",), "sizes": (2,), "weights": [-1.0, 2.0]}, "negative"),
        ({"names": ("a",), "sizes": (2,), "weights": [0.5, 0.1]}, "sum to 1"),
    ],
)
def test_bad_grids_are_refused_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        tc.FactorGrid(**arguments)
    assert "\n" not in str(error.value)


# --- joint distributions --------------------------------------------------------------------------------------------

#: As the faces of figure 5: two scored factors, one fixed, and one that varies unscored.
POSE = tc.FactorGrid(("who", "azimuth", "elevation", "light"), (2, 21, 11, 1), ("azimuth", "elevation"))


def table(joint):
    """p of the two factors, [21, 11]."""
    return joint_weights(POSE, joint).reshape(POSE.sizes).sum(axis=(0, 3))


@pytest.mark.parametrize("joint", JOINTS)
def test_a_joint_distribution_sums_to_one_and_is_even_in_the_other_factors(joint):
    weights = joint_weights(POSE, joint)
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    assert weights.reshape(POSE.sizes)[0] == pytest.approx(weights.reshape(POSE.sizes)[1])
    assert dataclasses.replace(POSE, weights=weights).varying == ("who", "azimuth", "elevation")


@pytest.mark.parametrize("sizes", [(21, 11), (4, 6), (3, 2)])
@pytest.mark.parametrize("joint", JOINTS[1:])
def test_the_likeliest_cell_is_four_times_as_likely_as_the_least_likely(joint, sizes):
    weights = joint_weights(tc.FactorGrid(("a", "b"), sizes), joint)
    if np.ptp(weights) or joint != "dependent":  # with two values of a factor |u v| may be the same everywhere
        assert weights.max() / weights.min() == pytest.approx(4)


def test_the_four_joint_distributions_are_what_their_names_say():
    values = np.linspace(-1, 1, 21), np.linspace(-1, 1, 11)

    def product(joint):
        p = table(joint)
        return np.outer(p.sum(axis=1), p.sum(axis=0))

    def covariance(joint):
        return values[0] @ (table(joint) - product(joint)) @ values[1]

    assert np.ptp(table("uniform")) == pytest.approx(0)
    assert table("independent") == pytest.approx(product("independent"))
    assert np.ptp(table("independent").sum(axis=1)) > 0.01
    assert np.abs(table("dependent") - product("dependent")).max() > 1e-3
    assert covariance("dependent") == pytest.approx(0, abs=1e-12)
    assert covariance("correlated") > 0.05
    correlated = table("correlated")
    assert [correlated[0, 0], correlated[-1, -1]] == pytest.approx([correlated.max()] * 2)
    assert [correlated[0, -1], correlated[-1, 0]] == pytest.approx([correlated.min()] * 2)


def test_an_unknown_joint_distribution_or_too_few_factors_are_refused():
    with pytest.raises(ValueError, match="unknown joint distribution 'even'; choose from uniform, independent"):
        joint_weights(POSE, "even")
    with pytest.raises(ValueError, match="joint=correlated needs two scored factors; the grid has a"):
        joint_weights(tc.FactorGrid(("a", "b"), (3, 1)), "correlated")


@pytest.mark.parametrize("arguments", [{"names": ("a",), "sizes": 3}, {"names": None, "sizes": (3,)}])
def test_names_and_sizes_are_sequences(arguments):
    with pytest.raises(ValueError, match="give sequences of names and sizes; got"):
        tc.FactorGrid(**arguments)


def test_a_factor_of_which_the_kept_cells_leave_one_value_is_no_longer_scored():
    weights = np.zeros((2, 4))
    weights[:, 0] = weights[1, 1] = 1  # of b's values 0 and 2 only the first occurs
    grid = tc.FactorGrid(("a", "b"), (2, 4), weights=weights.reshape(-1) / weights.sum())
    assert grid.scored == ("a", "b")
    thinner, _ = grid.select({"b": [0, 2]})
    assert thinner.scored == ("a",) and thinner.sizes == (2, 2)
    assert grid.thin(1)[0] == grid
