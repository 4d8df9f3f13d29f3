"""Heads from parameters: the shape as a sum of displacements, and the paint on it.

As in `faces_render`, only operations that give the same bits everywhere.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import numpy as np

from tcvae_tf.datasets.faces_render import Fragments, Mesh

DATA = Path(__file__).parent / "data"
#: Shapes are snapped to 1/4096 decimetre.
SNAP = 4096
#: Height of the chin in the template, in decimetres; below it is the neck.
CHIN = 6.35
#: Between these heights (template, decimetres) the neck fades into the dark, so that no cut is seen below it.
_FADE = (5.85, 6.35)
#: So much higher at the nape, where the shoulders would cut it off.
_NAPE = 0.4
#: Centre of the left eyeball in the template (x, y) and its radius.
_EYE, _EYE_RADIUS = (0.3078, 7.2841), 0.15


@dataclasses.dataclass(frozen=True)
class Template:
    """The head that all are made from, head_cc0.npz; `tcvae_tf.datasets.head` is its recipe.

    Attributes:
      vertices: [V, 3] in decimetres; x to the head's left, y up, z forward.
      triangles: [T, 3].
      targets: [K, V, 3] displacements, macro and then local.
      names: of the K targets.
      eyeballs: [V] whether a vertex belongs to an eyeball.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    targets: np.ndarray
    names: tuple[str, ...]
    eyeballs: np.ndarray

    def moved(self, name: str) -> np.ndarray:
        """How far a target moves each vertex, [V]; 1 where most."""
        x, y, z = self.targets[self.names.index(name)].T
        length = np.sqrt(x * x + y * y + z * z)
        return length / length.max()


@functools.cache
def template() -> Template:
    """The template, read once."""
    with np.load(DATA / "head_cc0.npz") as file:
        names = (*file["macro_names"].tolist(), *file["local_names"].tolist())
        targets = np.concatenate([file["macro"], file["local"]]).astype(np.float64)
        vertices, triangles = file["v"].astype(np.float64), file["t"].astype(np.int64)
        return Template(vertices, triangles, targets, names, file["orig"] >= 14598)


def shape(weights: np.ndarray) -> np.ndarray:
    """Vertices [V, 3] of a head in 1/4096 decimetre, whole numbers: v + Σ_k w_k · target_k, term by term.

    Args:
      weights: [K] thousandths.
    """
    head = template()
    vertices = head.vertices.copy()
    for k in np.flatnonzero(weights):
        vertices += (float(weights[k]) / 1000) * head.targets[k]
    return np.rint(vertices * SNAP).astype(np.int64)


def mesh(weights: np.ndarray) -> Mesh:
    """The head with these weights of the targets, [K] in thousandths, about its pivot."""
    head = template()
    vertices = shape(weights)
    normals = vertex_normals(vertices, head.triangles)
    return Mesh((vertices - _pivot(vertices)) / SNAP, normals, _fields(), head.triangles)


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """The normals of the triangles about each vertex, [V, 3], weighted by area and summed as whole numbers."""
    a, b, c = (vertices[triangles[:, i]] for i in (0, 1, 2))
    u, v = b - a, c - a
    normals = np.zeros_like(vertices)
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        product = u[:, j] * v[:, k] - u[:, k] * v[:, j]
        for corner in (0, 1, 2):
            np.add.at(normals[:, i], triangles[:, corner], product)
    x, y, z = normals.astype(np.float64).T
    length = np.sqrt(x * x + y * y + z * z)
    return np.stack([x / length, y / length, z / length], axis=-1)


def _pivot(vertices: np.ndarray) -> np.ndarray:
    """The point that a head turns on: midway between chin and crown, and between nose and back."""
    skull = vertices[template().vertices[:, 1] > CHIN]
    return np.array([0, *((skull[:, i].min() + skull[:, i].max()) // 2 for i in (1, 2))])


@functools.cache
def _fields() -> np.ndarray:
    """What the paint is made from, [V, 7]: the place in the template; how much lip, ear, eyeball, inside of mouth."""
    head = template()
    lips = np.maximum(head.moved("mouth-upperlip-volume-incr"), head.moved("mouth-lowerlip-volume-incr"))
    ears = np.maximum(head.moved("l-ear-wing-incr"), head.moved("r-ear-wing-incr"))
    return np.concatenate([head.vertices, np.stack([lips, ears, head.eyeballs, _inside(head)], axis=-1)], axis=1)


def _inside(head: Template) -> np.ndarray:
    """Vertices [V] of the hollow behind the lips: there they look backwards, or lie deep."""
    x, y, z = head.vertices.T
    facing = vertex_normals(np.rint(head.vertices * SNAP).astype(np.int64), head.triangles)[:, 2]
    near = (np.abs(x) < 0.32) & (np.abs(y - 6.56) < 0.25) & (z > 0.5)
    return near & ((facing < -0.1) | (z < 1.25))


def paint(fragments: Fragments, tones: np.ndarray) -> np.ndarray:
    """Albedo [P], float32 in 0 … 1: skin, lips, brows, hair and eyes, each at its place in the template.

    Args:
      fragments: of `rasterise`.
      tones: [5] thousandths: skin; lips and hair as parts of it; iris; how much of the scalp is shaven.
    """
    x, y, z, lips, ears, eyeball, inside = fragments.fields
    x = np.abs(x)
    skin, lip, hair, iris, shaven = (int(tone) / 1000 for tone in tones)
    covered = np.maximum(_brow(x, y, z), _scalp(x, y, z, ears) * (1 - shaven))
    albedo = skin * (1 - (1 - lip) * _rise(lips, 0.15, 0.55)) * (1 - (1 - hair) * covered) * (1 - 0.9 * inside)
    albedo = np.where(eyeball > 0.5, _eye(x, y, iris), albedo)
    shown = _rise(y - _NAPE * _rise(0.7 - z, 0, 0.7), *_FADE)
    return albedo * (shown * shown)


def _rise(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, straight between."""
    return np.minimum(np.maximum((value - low) * (1 / (high - low)), 0), 1)


def _brow(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """An arch above the eye that thins outwards."""
    along = (x - 0.34) / 0.22
    across = (y - (7.545 - 0.012 * along - 0.035 * along * along)) / (0.04 - 0.01 * np.minimum(along, 1.5))
    return 0.8 * _rise(1.5 - across * across - 2.5 * np.maximum(along * along - 0.6, 0), 0, 1) * (z > 1)


def _scalp(x: np.ndarray, y: np.ndarray, z: np.ndarray, ears: np.ndarray) -> np.ndarray:
    """Where short hair grows: above a line from the nape over the ears and temples to the forehead."""
    line = 6.7 + 0.45 * _rise(z, 0.2, 0.4) + 0.25 * _rise(z, 0.66, 0.76) + 0.58 * _rise(z, 0.72, 1.1)
    line = line + 0.1 * _rise(x, 0.3, 0.5) * _rise(z, 0.8, 1.1)
    return _rise(y - line, -0.08, 0.12) * (1 - _rise(ears, 0.03, 0.15))


def _eye(x: np.ndarray, y: np.ndarray, iris: float) -> np.ndarray:
    """White, iris and pupil by the distance from the line of sight."""
    across, up = (x - _EYE[0]) / _EYE_RADIUS, (y - _EYE[1]) / _EYE_RADIUS
    r = np.sqrt(across * across + up * up)
    white = 0.95 + (iris - 0.95) * _rise(0.47 - r, 0, 0.1)
    return white + (0.03 - white) * _rise(0.22 - r, 0, 0.1)
