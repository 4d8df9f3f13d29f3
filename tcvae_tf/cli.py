"""The command line `tcvae`. No TensorFlow before a command needs it."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from tcvae_tf import files, runs, scoring, settings
from tcvae_tf.settings import Run
from tcvae_tf.version import __version__

_USAGE = """tcvae: β-TCVAE and its baselines, trained and measured.

  tcvae train [--FIELD=VALUE ...]   train one run, measure it and print its record as JSON
  tcvae score FILE --grid=...       measure the posteriors of any model, from an npz or npy file
  tcvae data                        generate or check the images of a data set and say where they come from
  tcvae COMMAND --help              what COMMAND takes
  tcvae --version

Examples:
  tcvae train --method=beta_tcvae --beta=6 --width=256 --batch_size=512 --epochs=10 --seed=3
  tcvae train --setting=factor_vae_kim_mnih --seed=3                  FactorVAE as its own paper has it
  tcvae train --thin=3 --width=64 --batch_size=128 --steps=100        a trial of half a minute
  tcvae score runs/dsprites-vae-mlp1200-b1-s0-123456/codes.npz
  tcvae score posteriors.npz --grid=shape=3,scale=6,orientation=40,posX=32,posY=32 --scored=scale,orientation,posX,posY
  tcvae data --source=npz --path=dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz

A run that was cut off goes on where it stopped when the same command is given again.
The figures of the paper: python -m reproduce --help, in a checkout of the repository.
"""

_HELP = {
    "score": """FILE is one of
  an npz that names its arrays: loc (mean, mu) and scale (sigma, std), variance, logvar or log_sigma, each [N, D] or
    with the sizes of the grid for N; log_px [N], log p(x|z) of one sample an image, if the ELBO is to be known;
    weights [N], p(n), if images are not equally likely
  an npy [2, N, D], means and scales, or two npy files [N, D]; --spread says what the second is
  the codes.npz of a run of this package, which needs no --grid
The N rows stand in the grid's order: the last factor varies fastest.

A MIG far below what you expect may mean rows in another order than the grid's, or σ under the name of log σ².

From PyTorch: np.savez("posteriors.npz", mean=mu.numpy(), logvar=logvar.numpy())

""",
}


_MEASURES = f"any of {', '.join(scoring.MEASURES)} (default: {', '.join(scoring.QUICK)})"


def _train_flags() -> flags.FlagValues:
    values = flags.FlagValues()
    define: dict[type, Any] = {str: flags.DEFINE_string, int: flags.DEFINE_integer, float: flags.DEFINE_float}
    for field in dataclasses.fields(Run):
        define[type(field.default)](field.name, field.default, field.metadata["help"], flag_values=values)
    names = f"start from a setting with a name: {', '.join(settings.SETTINGS)}"
    flags.DEFINE_string("setting", None, names, flag_values=values)
    flags.DEFINE_string("root", "runs", "directory of all runs", flag_values=values)
    measures = "epochs from one exact measurement during training to the next, in history.csv; 0 for none"
    flags.DEFINE_integer("measure_every", 0, measures, flag_values=values)
    flags.DEFINE_boolean("quiet", False, "no progress bars", flag_values=values)
    return values


def _data_flags() -> flags.FlagValues:
    values = flags.FlagValues()
    flags.DEFINE_string("dataset", "dsprites", "dsprites, faces3d, or module:function", flag_values=values)
    flags.DEFINE_string("source", "auto", "auto, npz, tfds or generated", flag_values=values)
    flags.DEFINE_string("path", None, "the official file, or the TFDS data directory", flag_values=values)
    return values


def _score_flags() -> flags.FlagValues:
    values = flags.FlagValues()
    flags.DEFINE_string("grid", None, "the factors, slowest first: shape=3,scale=6,...", flag_values=values)
    flags.DEFINE_list("scored", None, "factors that the MIG scores (default: all)", flag_values=values)
    flags.DEFINE_string("spread", None, "of npy: scale (default), variance, logvar, log_sigma", flag_values=values)
    flags.DEFINE_list("measures", None, _MEASURES, flag_values=values)
    flags.DEFINE_boolean("all", False, "all measures but Monte Carlo MIG; some take minutes", flag_values=values)
    flags.DEFINE_integer("seed", 0, "of whatever is sampled", flag_values=values)
    flags.DEFINE_string("json", None, "write all details to this file; - prints them instead", flag_values=values)
    return values


def _train(values: flags.FlagValues) -> None:
    names = [field.name for field in dataclasses.fields(Run)]
    given: dict[str, Any] = {name: values[name].value for name in names if values[name].present}
    run = Run.named(values.setting, **given) if values.setting else Run(**given)
    done = runs.read_record(run, values.root) is not None
    print(f"{'already done:' if done else 'run'} {run.id} in {values.root}", file=sys.stderr)
    # Keras draws its bars on standard output, which belongs to the record where it is no terminal.
    verbose = 0 if values.quiet or not sys.stdout.isatty() else 1
    record = runs.execute(run, values.root, verbose, values.measure_every)
    print(json.dumps(record, indent=2))


def _data(values: flags.FlagValues) -> None:
    from tcvae_tf import datasets

    data = datasets.load(values.dataset, values.path, values.source)
    factors = " × ".join(f"{name} {size}" for name, size in zip(data.grid.names, data.grid.sizes, strict=True))
    print(f"{data.name}: {len(data)} images {data.image_shape} = {factors}; source {data.source}; sha256 {data.sha256}")


def _score(values: flags.FlagValues, paths: Sequence[str]) -> None:
    grid, spread = values.grid, values.spread
    scored = [name for name in values.scored or [] if name] or None
    codes = scoring.read(paths, grid, scored, spread)
    names = [name for name in values.measures or [] if name] or scoring.QUICK
    if values["all"].value:
        names = [name for name in scoring.MEASURES if name != "mig_monte_carlo"]

    def announce(line: str) -> None:
        if sys.stderr.isatty() or line.startswith("left out"):
            print(line, file=sys.stderr)

    found = scoring.measure(codes, names, values.seed, announce, skip=bool(values["all"].value))
    if values.json != "-":
        print(scoring.table(found), end="")
    if values.json == "-":
        print(json.dumps(scoring.as_json(found), indent=2))
    elif values.json:
        files.write_json(values.json, scoring.as_json(found))


#: Each command: its flags, what it does, and what it takes besides flags.
_COMMANDS: dict[str, tuple[Any, Any, str]] = {
    "train": (_train_flags, _train, ""),
    "score": (_score_flags, _score, "FILE [FILE]"),
    "data": (_data_flags, _data, ""),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code: 0 done, 1 it failed, 2 unusable flags, 130 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # module:function is looked for beside the command, as `python -m` does
    if words == ["--version"]:
        print(__version__)
        return 0
    if not words or words[0] in ("--help", "-h", "help"):
        print(_USAGE)
        return 0 if words else 2
    if words[0] not in _COMMANDS:
        known = ", ".join(_COMMANDS)
        print(f"tcvae: unknown command {words[0]!r}; there are {known}; see tcvae --help", file=sys.stderr)
        return 2
    define, command, takes = _COMMANDS[words[0]]
    values = define()
    if {"--help", "-h"} & set(words):
        print(" ".join(f"tcvae {words[0]} {takes} [--FIELD=VALUE ...]".split()) + "\n")
        print(_HELP.get(words[0], ""), end="")
        for name in values:
            print(f"  --{name}={values[name].default}".ljust(34), values[name].help)
        return 0
    try:
        rest = values([f"tcvae {words[0]}", *words[1:]])[1:]
        if rest and not takes:
            raise flags.Error(f"{rest[0]!r} is no flag; write --name=value")
    except flags.Error as error:
        print(f"tcvae {words[0]}: {error}; see tcvae {words[0]} --help", file=sys.stderr)
        return 2
    try:
        command(values, rest) if takes else command(values)
    except KeyboardInterrupt:
        print("tcvae: stopped; the same command goes on where it was", file=sys.stderr)
        return 130
    except (ValueError, TypeError, LookupError, OSError, ImportError, RuntimeError, ArithmeticError) as error:
        print(f"tcvae {words[0]}: {' '.join(str(error).split())[:400]}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
