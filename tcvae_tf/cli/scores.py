"""`score`: measures of the posteriors of any model. No TensorFlow."""

from __future__ import annotations

import json
import sys
from typing import Any

from absl import flags

from tcvae_tf import files, scoring
from tcvae_tf.cli import command
from tcvae_tf.cli.command import Command

_SCORE_HELP = """FILE is one of
  an npz that names its arrays: loc (mean, mu) and scale (sigma, std), variance, logvar or log_sigma, each [N, D] or
    with the sizes of the grid for N; log_px [N], log p(x|z) of one sample an image, if the ELBO is to be known;
    weights [N], p(n), if images are not equally likely; prior_cross_entropy [D], E_q(z_j) −log p(z_j) in nats, if the
    prior is not N(0, 1)
  an npy [2, N, D], means and scales, or two npy files [N, D]; --spread says what the second is
  the codes.npz of a run of this package, which needs no --grid
The N rows stand in the grid's order: the last factor varies fastest. Posteriors are taken to be normal where
--posterior=laplace does not say otherwise.

A MIG far below what you expect may mean rows in another order than the grid's, or σ under the name of log σ².

From PyTorch: np.savez("posteriors.npz", mean=mu.numpy(), logvar=logvar.numpy())
"""


def _score_flags() -> flags.FlagValues:
    values = flags.FlagValues()
    measures = f"any of {', '.join(scoring.MEASURES)} (default: {', '.join(scoring.QUICK)})"
    flags.DEFINE_string("grid", None, "the factors, slowest first: shape=3,scale=6,...", flag_values=values)
    flags.DEFINE_list("scored", None, "factors that the MIG scores (default: all)", flag_values=values)
    flags.DEFINE_string("spread", None, "of npy: scale (default), variance, logvar, log_sigma", flag_values=values)
    flags.DEFINE_string("posterior", None, "of a dump: normal (default) or laplace", flag_values=values)
    flags.DEFINE_list("measures", None, measures, flag_values=values)
    flags.DEFINE_boolean("all", False, "all measures but Monte Carlo MIG; some take minutes", flag_values=values)
    flags.DEFINE_integer("seed", 0, "of whatever is sampled", lower_bound=0, flag_values=values)
    flags.DEFINE_string("json", None, "write all details to this file; - prints them instead", flag_values=values)
    return values


def _score(values: Any, paths: list[str]) -> None:
    everything = bool(values["all"].value)
    scored = [name for name in values.scored or [] if name] or None
    names = [name for name in values.measures or [] if name] or scoring.QUICK
    if everything:
        names = [name for name in scoring.MEASURES if name != "mig_monte_carlo"]
    with command.usable():
        scoring.check(paths, values.grid, scored, values.spread, names, values.posterior)
    codes = scoring.read(paths, values.grid, scored, values.spread, values.posterior)
    found = scoring.measure(codes, names, values.seed, _announce, skip=everything)
    if values.json != "-":
        print(scoring.table(found), end="")
    if values.json == "-":
        print(json.dumps(scoring.as_json(found), indent=2))
    elif values.json:
        files.write_json(values.json, scoring.as_json(found))


def _announce(line: str) -> None:
    """Says what is being measured where somebody watches, and what is left out in any case."""
    if sys.stderr.isatty() or line.startswith("left out"):
        command.note(line)


SCORE = Command(
    _score_flags,
    _score,
    "FILE [FILE]",
    "measure the posteriors of any model, from an npz or npy file",
    (
        "tcvae score posteriors.npz --grid=shape=3,scale=6,orientation=40,posX=32,posY=32 "
        "--scored=scale,orientation,posX,posY",
        "tcvae score runs/dsprites-vae-mlp1200-b1-s0-123456/codes.npz --json=-",
        "tcvae score posteriors.npz --grid=shape=3,x=32,y=32 --scored=x,y --all",
    ),
    _SCORE_HELP,
    lenient=True,
)
