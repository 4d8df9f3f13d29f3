"""The script of the stand-in: its numbers on pictures that are known, and its claims."""

import numpy as np
import pytest

import tcvae_tf as tc
from reproduce import faces_standin
from tcvae_tf.datasets import faces3d


@pytest.fixture
def rows(monkeypatch):
    """Pictures of which each pixel is a whole number of steps of one factor, alone."""
    sizes = (2, 3, 2, 3)
    grid = tc.FactorGrid(faces3d.GRID.names, sizes, faces3d.GRID.scored)
    cells = grid.to_values(np.arange(len(grid)))
    images = np.repeat(cells[:, None], 4, axis=1).astype(np.uint8)  # a column for each factor
    images[:, :, 1] *= 10
    data = tc.Dataset(images[..., None], grid, (4, 4, 1))
    monkeypatch.setattr(faces_standin.datasets, "load", lambda name, source: data)
    return {row["factor"]: row for row in faces_standin.compute()}


def test_variance_and_change_are_those_of_each_factor(rows):
    variance = {"identity": 0.25, "azimuth": 200 / 3, "elevation": 0.25, "lighting": 2 / 3}
    for name, row in rows.items():
        assert float(row["variance"]) == pytest.approx(variance[name] / sum(variance.values()), rel=1e-3)
    changes = {name: 255 * 4 * float(row["change"]) for name, row in rows.items()}
    assert changes == pytest.approx({"identity": 1, "azimuth": 10, "elevation": 1, "lighting": 1}, rel=1e-3)


def test_a_factor_that_hardly_shows_is_a_failed_claim(rows):
    assert {claim.holds for claim in faces_standin.check(list(rows.values()), [])} == {False}
    bright = {name: {**row, "least": "0.02"} for name, row in rows.items()}
    assert {claim.holds for claim in faces_standin.check(list(bright.values()), [])} == {True}
