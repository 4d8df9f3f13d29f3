"""Pictures of a triangle mesh: an orthographic z-buffer, smooth normals, and a light that goes round.

Nothing here depends on the machine: coordinates are snapped to integers, and the rest is +, −, ×, ÷ and √ of single
numbers, which IEEE 754 rounds in one way only. There are no matrix products, no sums of floats whose order may vary,
and no functions of the C library.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

#: Side of a picture, and samples along each side of a pixel; their mean is taken in `light`.
SIDE, SAMPLES = 64, 2
_RASTER = SIDE * SAMPLES
#: Steps of a sample: vertices are snapped to 1/64 of it across, and to 1/1024 of it in depth.
_SUBPIXEL, _DEPTH = 64, 1024
_TRIANGLE_BITS = 14
_AMBIENT, _DIFFUSE, _SPECULAR = 0.18, 0.72, 0.12
#: How high above the horizon the light stands, in degrees.
LIGHT_HEIGHT = 20.0


@dataclasses.dataclass(frozen=True)
class Mesh:
    """A head ready to be looked at.

    Attributes:
      positions: [V, 3] in decimetres about the point that it turns on; x to its left, y up, z to the viewer.
      normals: [V, 3] of length 1.
      fields: [V, F] what a texture is made from, interpolated over each triangle.
      triangles: [T, 3], counter-clockwise as seen from outside.
    """

    positions: np.ndarray
    normals: np.ndarray
    fields: np.ndarray
    triangles: np.ndarray


@dataclasses.dataclass(frozen=True)
class Fragments:
    """What is seen of a mesh in one pose: P samples of the raster that it covers.

    Attributes:
      sample: [P] flat indices into the raster.
      normals: [3, P] float32 of length 1, in the viewer's frame.
      fields: [F, P] float32.
    """

    sample: np.ndarray
    normals: np.ndarray
    fields: np.ndarray


def cos_sin(degrees: float) -> tuple[float, float]:
    """cos and sin by their series, since libraries differ in the last bit; for −180° … 180°, within 1e-12."""
    x = degrees * math.pi / 180
    cosine, sine, term = 1.0, 0.0, 1.0
    for n in range(1, 40):
        term = term * x / n
        if n % 2:
            sine += -term if n % 4 == 3 else term
        else:
            cosine += -term if n % 4 == 2 else term
    return cosine, sine


def turn(points: np.ndarray, azimuth: float, elevation: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y and z of points [V, 3] turned about the vertical to the viewer's right, then seen from above (degrees)."""
    ca, sa = cos_sin(azimuth)
    ce, se = cos_sin(elevation)
    x, y, z = points[:, 0], points[:, 1], points[:, 2]
    across, towards = ca * x + sa * z, ca * z - sa * x
    return across, ce * y - se * towards, se * y + ce * towards


def rasterise(mesh: Mesh, azimuth: float, elevation: float, scale: float) -> Fragments:
    """The nearest triangle of each sample of the raster, where there is one, and what is interpolated over it.

    Args:
      mesh: the head.
      azimuth, elevation: degrees, as in `turn`.
      scale: pixels of the picture for one decimetre.
    """
    across, up, towards = turn(mesh.positions, azimuth, elevation)
    unit = scale * SAMPLES
    x = np.rint(across * (unit * _SUBPIXEL)).astype(np.int32) + _RASTER * _SUBPIXEL // 2
    y = _RASTER * _SUBPIXEL // 2 - np.rint(up * (unit * _SUBPIXEL)).astype(np.int32)
    depth = np.rint(towards * (unit * _DEPTH)).astype(np.int32)
    first, second, third = mesh.triangles.T
    # Twice the area in subpixels², positive where a triangle faces the viewer (y goes down).
    area = (x[third] - x[first]) * (y[second] - y[first]) - (x[second] - x[first]) * (y[third] - y[first])
    facing = np.flatnonzero(area > 0)
    corners = mesh.triangles[facing].T
    sample, triangle, weight2, weight3 = _cover(*(c[corner] for corner in corners for c in (x, y)))
    triangle = facing[triangle]
    corners = mesh.triangles[triangle].T
    z1, z2, z3 = (depth[corner] for corner in corners)
    z = np.rint(z1 + weight2 * (z2 - z1) + weight3 * (z3 - z1)).astype(np.int64)
    # Depth and triangle as one number: its maximum is the nearest, and the last where two are equally near.
    key = ((z + 2**30) << _TRIANGLE_BITS) | triangle
    nearest = np.zeros(_RASTER * _RASTER, np.int64)
    np.maximum.at(nearest, sample, key)
    seen = np.flatnonzero(key == nearest[sample])
    attributes = np.concatenate([np.stack(turn(mesh.normals, azimuth, elevation)), mesh.fields.T]).astype(np.float32)
    values = _interpolate(attributes, corners[:, seen], weight2[seen], weight3[seen])
    return Fragments(sample[seen], _unit(values[:3]), values[3:])


def _cover(x1, y1, x2, y2, x3, y3) -> tuple[np.ndarray, ...]:
    """Samples in triangles, the triangle of each, and the weights of its second and third corner; edges are in.

    Args:
      x1, y1, …: [T] corners in subpixels, int32.
    """
    left, right = _span(x1, x2, x3)
    top, bottom = _span(y1, y2, y3)
    width = np.maximum(right - left + 1, 0)
    count = width * np.maximum(bottom - top + 1, 0)
    triangle = np.repeat(np.arange(len(x1), dtype=np.int32), count)
    place = np.arange(len(triangle), dtype=np.int32) - np.repeat((np.cumsum(count) - count).astype(np.int32), count)
    row = place // width[triangle]
    column = place - row * width[triangle]
    # Areas opposite to the corners are linear in the sample's place; the whole is their sum.
    dx, dy = left * _SUBPIXEL + _SUBPIXEL // 2 - x1, top * _SUBPIXEL + _SUBPIXEL // 2 - y1
    area2 = (x3 - x1) * dy - dx * (y3 - y1)
    area3 = dx * (y2 - y1) - (x2 - x1) * dy
    whole = (x3 - x1) * (y2 - y1) - (x2 - x1) * (y3 - y1)
    area2 = area2[triangle] + _SUBPIXEL * (row * (x3 - x1)[triangle] - column * (y3 - y1)[triangle])
    area3 = area3[triangle] + _SUBPIXEL * (column * (y2 - y1)[triangle] - row * (x2 - x1)[triangle])
    inside = np.flatnonzero((area2 >= 0) & (area3 >= 0) & (area2 + area3 <= whole[triangle]))
    triangle = triangle[inside]
    sample = (row[inside] + top[triangle]) * _RASTER + column[inside] + left[triangle]
    share = 1 / whole[triangle].astype(np.float64)
    return sample, triangle, area2[inside] * share, area3[inside] * share


def _span(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last row (or column) of samples between three corners, within the raster."""
    low, high = np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)
    half = _SUBPIXEL // 2
    return np.maximum(-((half - low) // _SUBPIXEL), 0), np.minimum((high - half) // _SUBPIXEL, _RASTER - 1)


def _interpolate(attributes: np.ndarray, corners: np.ndarray, weight2: np.ndarray, weight3: np.ndarray) -> np.ndarray:
    """Attributes [A, V] at points in triangles: [A, P], from corners [3, P] and the weights of the last two."""
    weight2, weight3 = weight2.astype(np.float32), weight3.astype(np.float32)
    values = np.empty((len(attributes), len(weight2)), np.float32)
    for value, attribute in zip(values, attributes, strict=True):
        a1, a2, a3 = (attribute[corner] for corner in corners)
        value[...] = a1 + weight2 * (a2 - a1) + weight3 * (a3 - a1)
    return values


def _unit(vectors: np.ndarray) -> np.ndarray:
    x, y, z = vectors
    return vectors / np.sqrt(x * x + y * y + z * z)


def light(fragments: Fragments, albedo: np.ndarray, azimuth: float) -> np.ndarray:
    """The picture under a light from `azimuth` degrees to the viewer's right, uint8 [SIDE, SIDE].

    A sample is albedo · (0.18 + 0.72 max(N·L, 0) + 0.12 max(N·H, 0)¹⁶) with H halfway between light and viewer, at most
    1 and in 4080 steps; a pixel is the mean of its samples. What no triangle covers is black.

    Args:
      fragments: of `rasterise`.
      albedo: [P] float32.
      azimuth: degrees.
    """
    cosine, sine = cos_sin(azimuth)
    level, height = cos_sin(LIGHT_HEIGHT)
    source = np.array([[level * sine], [height], [level * cosine]], np.float32)
    shine = _towards(fragments.normals, _unit(source + np.array([[0], [0], [1]], np.float32)))
    for _ in range(4):
        shine = shine * shine
    bright = _AMBIENT + _DIFFUSE * _towards(fragments.normals, source) + _SPECULAR * shine
    raster = np.zeros(_RASTER * _RASTER, np.int32)
    raster[fragments.sample] = np.rint(np.minimum(albedo * bright, 1) * (16 * 255))
    rows = raster.reshape(SIDE, SAMPLES, _RASTER)
    columns = (rows[:, 0] + rows[:, 1]).reshape(SIDE, SIDE, SAMPLES)
    sums = columns[..., 0] + columns[..., 1]
    return ((sums + 32) >> 6).astype(np.uint8)


def _towards(normals: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """max(N·D, 0) for each of the normals [3, P] and one direction [3, 1]."""
    (x, y, z), (dx, dy, dz) = normals, direction
    return np.maximum(x * dx + y * dy + z * dz, 0)
