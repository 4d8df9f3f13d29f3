"""`traverse`, `explore` and `export`: what a trained run can show and give away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from absl import flags

from tcvae_tf import codes, files, pictures, plots, runs
from tcvae_tf.cli import command
from tcvae_tf.cli.command import Command, UnusableError
from tcvae_tf.datasets import faces3d
from tcvae_tf.words import suggest

#: Forms of an exported model, and the suffix of a path that stands for each.
FORMATS = {"savedmodel": "", "onnx": ".onnx", "litert": ".tflite"}

_TRAVERSE_HELP = """A row for each of the latents that say most of which image it is, the most informative first, with
the factor that each encodes; they meet at the image in the middle of the grid. A .gif moves, a .png is a sheet, with an
.svg beside it.
"""

_EXPORT_HELP = """PATH ending in .onnx or .tflite stands for these formats; everything else is the directory of a
SavedModel with named endpoints, the grid, and the record as its model card.
"""


def _traverse_flags() -> flags.FlagValues:
    values = flags.FlagValues()
    command.root_flag(values)
    command.out_flag(values, "traversal.png", "the picture, a .png or a .gif")
    flags.DEFINE_float("seconds", 3.0, "of one round of a .gif", flag_values=values)
    command.json_flag(values)
    return values


def _traverse(values: Any, words: list[str]) -> None:
    out = Path(values.out)
    command.check_picture(values.out, ".png", ".gif")
    if not values.seconds > 0:
        raise UnusableError(f"--seconds: a round takes more than 0 seconds; got {values.seconds:g}")
    home = runs.find(words[0], values.root)
    plots.need_matplotlib()
    arrays = pictures.load(_part(home, "pictures.npz"))
    title = f"{home.name} ({faces3d.STAND_IN})" if _is_stand_in(home) else home.name
    if out.suffix.lower() == ".gif":
        plots.traversal_gif(arrays, out, seconds=values.seconds, title=title)
    else:
        plots.save(plots.traversal(arrays, title=title), out)
    latents = [
        {
            "latent": int(latent),
            "encodes": plots.encodes(arrays, int(latent)),
            "image_information": round(float(arrays["image_information"][latent]), 4),
        }
        for latent in arrays["latents"]
    ]
    text = "\n".join(f"  z{line['latent']}: {line['encodes']}" for line in latents)
    command.show(values, f"written: {out}\n{text}", {"path": str(out), "run": home.name, "latents": latents})


def _is_stand_in(home: Path) -> bool:
    """Whether a run's images stand for others."""
    return files.read_json(home / "run.json").get("data", {}).get("source") == "stand-in"


def _part(home: Path, name: str) -> Path:
    """A file of a run.

    Raises:
      FileNotFoundError: it has none.
    """
    if not (home / "record.json").is_file():
        raise FileNotFoundError(runs.unfinished(home))
    if not (home / name).is_file():
        raise FileNotFoundError(f"{home / name}: no such file; a run has it when it is trained, if its model decodes")
    return home / name


def _explore_flags() -> flags.FlagValues:
    values = flags.FlagValues()
    command.root_flag(values)
    command.out_flag(values, "page.html", "the page")
    command.json_flag(values)
    return values


def _explore(values: Any, words: list[str]) -> None:
    home = runs.find(words[0], values.root)
    from tcvae_tf import explore

    explore.write(home, values.out)
    found = {"path": values.out, "run": home.name, "bytes": Path(values.out).stat().st_size}
    command.show(values, f"written: {values.out}, {command.size(found['bytes'])}; open it in any browser", found)


def _export_flags() -> flags.FlagValues:
    values = flags.FlagValues()
    command.root_flag(values)
    flags.DEFINE_string("format", None, f"{', '.join(FORMATS)}; PATH's suffix says it", flag_values=values)
    command.json_flag(values)
    return values


#: Suffixes of formats that somebody may ask for by a path, and would find a directory in the place of.
_OTHERS = (".pt", ".pth", ".ckpt", ".safetensors", ".keras", ".h5", ".pb")


def _export(values: Any, words: list[str]) -> None:
    path = Path(words[1])
    form = values.format or next(name for name in ("onnx", "litert", "savedmodel") if _is(path, name))
    if form not in FORMATS:
        raise UnusableError(f"unknown format {form!r}; {suggest(form, list(FORMATS))}")
    if not values.format and path.suffix.lower() in _OTHERS:
        raise UnusableError(f"{path}: {path.suffix} is not written; end in .onnx or .tflite, or name a directory")
    home = runs.find(words[0], values.root)
    from tcvae_tf.export import export, litert, onnx

    with command.aside(quiet=False):
        model = runs.from_preset(str(home), root=values.root)
        if form == "savedmodel":
            paths = [export(model, path, grid=_grid(home), record=_record(home))]
        else:
            paths = {"onnx": onnx, "litert": litert}[form](model, path)
    names = [str(path) for path in paths]
    command.show(values, f"written: {', '.join(names)} ({form})", {"paths": names, "run": home.name, "format": form})


def _is(path: Path, form: str) -> bool:
    return not FORMATS[form] or path.suffix.lower() == FORMATS[form]


def _grid(home: Path) -> Any:
    """The factors of what a run was trained on; None where its codes are gone."""
    path = home / "codes.npz"
    return codes.Codes.load(path).grid if path.is_file() else None


def _record(home: Path) -> dict | None:
    path = home / "record.json"
    return files.read_json(path) if path.is_file() else None


TRAVERSE = Command(
    _traverse_flags,
    _traverse,
    "RUN",
    "draw what each latent of a run changes, as a sheet or an animation",
    (
        "tcvae traverse dsprites-beta_tcvae-mlp256 -o traversal.gif",
        "tcvae traverse runs/dsprites-vae-mlp1200-b1-s0-123456 --out=sheet.png",
        "tcvae traverse dsprites-vae-mlp1200-b1-s0 --json",
    ),
    _TRAVERSE_HELP,
)
EXPLORE = Command(
    _explore_flags,
    _explore,
    "RUN",
    "write a page with sliders for the latents of a run, one file without a server",
    (
        "tcvae explore dsprites-beta_tcvae-mlp256 -o page.html",
        "tcvae explore runs/dsprites-vae-mlp1200-b1-s0-123456 --out=vae.html",
    ),
)
EXPORT = Command(
    _export_flags,
    _export,
    "RUN PATH",
    "export the model of a run as a SavedModel, ONNX or LiteRT",
    (
        "tcvae export dsprites-beta_tcvae-mlp256 exported/",
        "tcvae export dsprites-beta_tcvae-mlp256 model.onnx",
        "tcvae export runs/dsprites-vae-mlp1200-b1-s0-123456 model.tflite --json",
    ),
    _EXPORT_HELP,
)
