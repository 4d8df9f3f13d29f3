"""`data` and `clean`: what lies on the disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from tcvae_tf import cleaning, datasets, plots, results
from tcvae_tf.cleaning import Item
from tcvae_tf.cli import command
from tcvae_tf.cli.command import Command, UnusableError
from tcvae_tf.datasets import Dataset, cache, dsprites
from tcvae_tf.words import suggest

#: What `tcvae data` can do.
ACTIONS = ("prepare", "verify", "sheet")
#: Images in a row of a contact sheet.
_ACROSS = 11

_DATA_HELP = f"""ACTION is one of
  prepare  generates or reads the images, and says how many there are and where they come from (the default)
  verify   compares the images of {dsprites.OFFICIAL_FILE} with
           the generated ones, each by its labels; exit code 1 where any differ
  sheet    draws some images: any, and each factor from its first value to its last
"""

_CLEAN_HELP = """Without --delete it says what could go and touches nothing. ROOT is a directory with runs at or
below it; default: runs.
{kinds}
--unfinished adds the last of these. What always stays: record.json, run.json, history.csv, log.txt and error.txt, so
that tables and figures can be made again, and all of a run that somebody is at.
""".format(kinds="\n".join(f"  {kind:<12} {meaning}" for kind, meaning in cleaning.KINDS.items()))


def _data_flags() -> flags.FlagValues:
    values = flags.FlagValues()
    flags.DEFINE_string("dataset", "dsprites", "dsprites, faces3d, or module:function", flag_values=values)
    flags.DEFINE_string("source", "auto", ", ".join(datasets.SOURCES), flag_values=values)
    flags.DEFINE_string("path", None, "the official file, or the TFDS data directory", flag_values=values)
    command.out_flag(values, "sheet.png", "of sheet: the picture; an .svg is written beside it")
    command.json_flag(values)
    return values


def _data(values: Any, words: list[str]) -> int | None:
    action = words[0] if words else "prepare"
    if action not in ACTIONS:
        raise UnusableError(f"unknown action {action!r}; {suggest(action, ACTIONS)}")
    if action == "verify":
        return _verify(values)
    if action == "sheet":
        command.check_picture(values.out, ".png")
        plots.need_matplotlib()
    with command.usable():
        datasets.check_name(values.dataset)
        if values.source not in datasets.SOURCES:
            raise ValueError(f"unknown source {values.source!r}; {suggest(values.source, datasets.SOURCES)}")
    data = datasets.load(values.dataset, values.path, values.source)
    (_sheet if action == "sheet" else _prepare)(values, data)
    return 0


def _prepare(values: Any, data: Dataset) -> None:
    sizes = dict(zip(data.grid.names, data.grid.sizes, strict=True))
    result = {
        "dataset": data.name,
        "images": len(data),
        "image_shape": list(data.image_shape),
        "factors": sizes,
        "source": data.source,
        "sha256": data.sha256,
    }
    factors = " × ".join(f"{name} {size}" for name, size in sizes.items())
    text = f"{data.name}: {len(data)} images {data.image_shape} = {factors}; source {data.source}; sha256 {data.sha256}"
    command.show(values, text, result)


def _verify(values: Any) -> int:
    known = datasets.KNOWN.get(values.dataset)
    if known is None or known.differences is None:
        able = " or ".join(name for name, one in datasets.KNOWN.items() if one.differences)
        raise UnusableError(f"verify is for {able}; nothing that is generated equals a file of {values.dataset}")
    path = Path(values.path).expanduser() if values.path else cache.directory()
    path = path / known.published if path.is_dir() else path
    generated = datasets.load(values.dataset, source="generated")
    found = known.differences(path, generated.storage)
    if found.images:
        first = zip(generated.grid.names, found.first or (), strict=True)
        where = ", ".join(f"{name} {value}" for name, value in first)
        text = f"{path}: {found.images:,} of {len(generated):,} images differ from the generated ones (pixels: "
        text += f"{found.pixels:,}); the first at value indices {where}"
    else:
        text = f"{path}: all {len(generated):,} images equal the generated ones in every pixel"
    command.show(values, text, {"path": str(path), "of": len(generated), **found._asdict()})
    return 1 if found.images else 0


def _sheet(values: Any, data: Dataset) -> None:
    images = {label: np.rint(255 * data.images(cells)).astype(np.uint8) for label, cells in _cells(data).items()}
    rows = {label: plots.shown(row) for label, row in images.items()}
    plots.save(plots.contact_sheet(rows, f"{data.name}, {len(data):,} images, source: {data.source}"), values.out)
    count = sum(map(len, rows.values()))
    text = f"written: {values.out}, {count} of {len(data)} images of {data.name}, source {data.source}"
    command.show(values, text, {"path": values.out, "shown": count, "dataset": data.name, "source": data.source})


def _cells(data: Dataset) -> dict[str, np.ndarray]:
    """Flat indices by the label of their row: any images, then each factor alone, the others in the middle."""
    grid = data.grid
    rows = {"any": np.random.default_rng(0).choice(grid.cells, min(_ACROSS, len(grid.cells)), replace=False)}
    for axis, (name, size) in enumerate(zip(grid.names, grid.sizes, strict=True)):
        if size > 1:
            values = np.tile(np.array(grid.sizes) // 2, (min(size, _ACROSS), 1))
            values[:, axis] = np.linspace(0, size - 1, len(values)).astype(int)
            rows[name] = grid.to_indices(values)
    return rows


def _clean_flags() -> flags.FlagValues:
    values = flags.FlagValues()
    flags.DEFINE_boolean("delete", False, "remove what is listed", flag_values=values)
    flags.DEFINE_list("kinds", list(cleaning.USUAL), "what to look for", flag_values=values)
    flags.DEFINE_boolean("unfinished", False, "also of runs that are not finished", flag_values=values)
    flags.DEFINE_boolean("each", False, "list every file", flag_values=values)
    command.json_flag(values)
    return values


def _clean(values: Any, words: list[str]) -> None:
    root = words[0] if words else "runs"
    kinds = [kind for kind in values.kinds if kind]
    for kind in kinds:
        if kind not in cleaning.USUAL:
            raise UnusableError(f"--kinds: unknown {kind!r}; {suggest(kind, cleaning.USUAL)}")
    kinds += ["unfinished"] if values.unfinished else []
    found = cleaning.find(root, kinds)
    if values.delete:
        found = cleaning.delete(found)
    states = [cleaning.state(home) for home in cleaning.homes(root)]
    left = {"busy": states.count("busy"), "unfinished": 0 if values.unfinished else states.count("unfinished")}
    result = {
        "root": root,
        "deleted": values.delete,
        "bytes": sum(item.bytes for item in found),
        "files": [{"path": str(item.path), "kind": item.kind, "bytes": item.bytes} for item in found],
        "left_alone": left,
    }
    command.show(values, _told(found, left, values), result)


def _told(found: Sequence[Item], left: dict[str, int], values: Any) -> str:
    total = sum(item.bytes for item in found)
    header, lines = ["file", "kind", "size"], [[item.path, item.kind, command.size(item.bytes)] for item in found]
    if not values.each:
        groups = {kind: [item for item in found if item.kind == kind] for kind in cleaning.KINDS}
        header = ["what", "runs", "files", "size"]
        lines = [
            [kind, len({item.home for item in items}), len(items), command.size(sum(item.bytes for item in items))]
            for kind, items in groups.items()
            if items
        ]
    text = results.table(header, lines) + "\n" if found else ""
    words = {"busy": "being worked on", "unfinished": "not finished"}
    alone = ", ".join(f"{count} {words[name]}" for name, count in left.items() if count)
    done = f"deleted {len(found)} files" if values.delete else f"{len(found)} files could go"
    text += f"{done}, {total:,} bytes ({command.size(total)})"
    text += f"; runs left alone: {alone}" if alone else ""
    return text if values.delete or not found else f"{text}. Nothing was deleted; --delete does it."


DATA = Command(
    _data_flags,
    _data,
    "[ACTION]",
    "generate the images of a data set, check or draw them",
    (
        "tcvae data",
        f"tcvae data verify --path={dsprites.OFFICIAL_FILE}",
        "tcvae data sheet --dataset=faces3d -o sheet.png",
        f"tcvae data --source=npz --path={dsprites.OFFICIAL_FILE} --json",
    ),
    _DATA_HELP,
)
CLEAN = Command(
    _clean_flags,
    _clean,
    "[ROOT]",
    "list checkpoints, codes and leftovers of runs with their sizes; --delete removes them",
    (
        "tcvae clean runs",
        "tcvae clean runs --kinds=checkpoints,leftovers --delete",
        "tcvae clean runs --unfinished --each --json",
    ),
    _CLEAN_HELP,
)
