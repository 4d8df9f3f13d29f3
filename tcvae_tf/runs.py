"""A run becomes a record: train, encode, measure; resumed wherever it was cut off.

`runs/<id>/` holds run.json (what was asked, written before step 0), history.csv, checkpoint/latest.keras and the one
before it, pictures.npz, codes.npz and, last, record.json: its existence means done. error.txt says why a run failed.

A method or a data set of one's own may change under the same name: run.json and the record keep the SHA-256 of its
source file. What is not trained to the end is then begun anew; what is done stays, and a warning says that it is of
another source.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import logging
import math
import re
import shlex
import sys
import traceback
from pathlib import Path
from typing import Any

from tcvae_tf import custom, datasets, files, provenance
from tcvae_tf.datasets import named
from tcvae_tf.factors import joint_weights
from tcvae_tf.settings import Run
from tcvae_tf.version import __version__
from tcvae_tf.words import nearest

log = logging.getLogger("tcvae_tf")

#: Raised by hand when records gain measures or take them in another way. Older records are measured again from the kept
#: codes, without training.
MEASURES = 3

#: Within a run's directory.
CHECKPOINT = Path("checkpoint") / "latest.keras"

#: Trainings of fewer steps are not compiled by XLA: that would take longer than it saves.
SHORT = 100

#: Steps that Keras takes at a time where they are short, since its own work between two takes 1 to 2 ms. Where they are
#: long, that is little, and a checkpoint or Ctrl-C would be long in coming.
_AT_A_TIME, _SHORT_STEP = 8, 2**18  # batch size × width


def read_record(run: Run, root: str | Path = "runs") -> dict | None:
    """The record of a finished run, or None."""
    path = Path(root) / run.id / "record.json"
    if not path.exists():
        return None
    try:
        record = files.read_json(path)
    except ValueError:
        log.warning("%s cannot be read; the run is measured again", path)
        return None
    usable = isinstance(record, dict) and _is_of(record, run) and record.get("measures") == MEASURES
    if usable:
        _warn_of_another_source(run, record, path.parent)
    return record if usable else None


def _is_of(header: dict, run: Run) -> bool:
    """Whether a record or run.json is of exactly this run, since its id holds but six digits of the hash, and of the
    images that it would be trained on now."""
    fields = json.loads(json.dumps(dataclasses.asdict(run)))
    origin = datasets.origin(run.dataset)
    if origin and header.get("data", {}).get("source") != origin:
        return False
    return (header.get("id"), header.get("run"), header.get("recipe")) == (run.id, fields, run.recipe)


def sources(run: Run) -> dict[str, dict]:
    """What a header says of the source of a method and of a data set of one's own; nothing of ours."""
    own = {key: name for key, name in (("source", run.method), ("data_source", run.dataset)) if ":" in name}
    paths = {key: named.source(name) for key, name in own.items()}
    return {key: {"file": path.name, "sha256": named.digest(own[key])} for key, path in paths.items() if path}


def _warn_of_another_source(run: Run, header: dict, home: Path) -> None:
    """Says so, once, when the method or the data set has changed since a run was trained, as far as its source can be
    found here."""
    now = sources(run)
    for key in _other_sources(header, now) & now.keys():
        _warn_once(
            f"{run.id} was trained {'by' if key == 'source' else 'on images of'} another {now[key]['file']} than the "
            f"present one; delete {home} to train it anew, or give the changed function another name"
        )


def _other_sources(before: dict, now: dict) -> set[str]:
    """Which sources of one's own differ between two headers. An older one says nothing of data sets."""
    told = {"source", *({"data_source"} & before.keys())}
    return {key for key in told if before.get(key) != now.get(key)}


@functools.cache
def _warn_once(words: str) -> None:
    log.warning("%s", words)


def execute(run: Run, root: str | Path = "runs", verbose: str | int = "auto", measure_every: int = 0) -> dict:
    """Trains, encodes and measures; returns the record.

    Returns at once when the run is done already. Resumes from the last checkpoint when it was cut off, and then ends
    with the same bits as a run that was not (on a CPU, with as many threads); a checkpoint from other data, versions or
    another device is not gone on with. Waits when another process is at it.

    Args:
      run: what to do.
      root: directory of all runs.
      verbose: 0 for silence, 1 for progress bars, 2 for a line an epoch, "auto" for Keras' choice.
      measure_every: epochs from one exact measurement during training to the next, for learning curves in history.csv
        (see `callbacks.Measures`); 0 for none. It does not change the run.

    Raises:
      ValueError: nothing can be written in `root`.
      Whatever else stopped the run; error.txt in the run's directory keeps it.
    """
    if not isinstance(run, Run):
        raise TypeError(f"execute takes a tc.Run(...); got {type(run).__name__}")
    home = Path(root) / run.id

    def waiting() -> None:
        log.warning("%s is being worked on by another process; waiting for it", run.id)

    done = read_record(run, root)
    if done is not None:
        if measure_every and "data_mig" not in _head_of_history(home):
            log.warning("%s was trained without measuring; delete %s to have its curve", run.id, home)
        return done
    files.need_writable(root)
    with files.locked(home / "lock", on_wait=waiting):
        done = read_record(run, root)
        if done is not None:
            return done
        (home / "error.txt").unlink(missing_ok=True)
        for folder in (home, home / "checkpoint"):
            files.sweep_partials(folder)
        try:
            record = _train_and_measure(run, home, verbose, measure_every)
            files.write_json(home / "record.json", record)
        except Exception:
            with contextlib.suppress(OSError):  # a full disk, say, which is what there is to report
                files.write_text(home / "error.txt", traceback.format_exc())
            raise
        (home / "progress.json").unlink(missing_ok=True)
    return record


def _train_and_measure(run: Run, home: Path, verbose: str | int, measure_every: int) -> dict:
    from tcvae_tf import metrics

    data = load(run)
    steps = run.step_count(data.steps_per_epoch(run.batch_size, run.batches_per_step))  # or a batch that does not fit
    header = {"id": run.id, "run": dataclasses.asdict(run), "recipe": run.recipe, **provenance.of(data), **sources(run)}
    header, found = _trained_before(home, run, header)
    if found is None:
        _drop_foreign_work(home, run, header)
        files.write_json(home / "run.json", header)
        found = _trained_now(run, home, data, verbose, measure_every)
    measured = metrics.summary(found, verbose=verbose)
    if (home / "discriminator.json").exists():
        measured["discriminator"] = files.read_json(home / "discriminator.json")
    return {**header, "measures": MEASURES, **measured, "steps": steps, "seconds": _seconds(home)}


def _trained_before(home: Path, run: Run, header: dict) -> tuple[dict, Any]:
    """Header and codes of a training that is done: on whatever machine and by whatever versions, but of this run and
    these data. The given header and None where there is none."""
    from tcvae_tf import codes

    before = files.read_fields(home / "run.json")
    if not ((home / "codes.npz").exists() and _is_of(before, run) and _same_images(before, header)):
        return header, None
    try:
        found = codes.Codes.load(home / "codes.npz")
        _warn_of_another_source(run, before, home)
        return before, found
    except files.UNREADABLE as error:
        log.warning("%s cannot be read (%s); encoding again", home / "codes.npz", error)
        return header, None


def _trained_now(run: Run, home: Path, data: Any, verbose: str | int, measure_every: int) -> Any:
    """Trains what is left, and keeps all that later steps need; codes.npz comes last and says that training is done."""
    from tcvae_tf import callbacks, codes, pictures

    trained = _train(run, home, data, verbose, measure_every)
    found = codes.encode(trained, data, verbose=verbose)
    if run.method == "factor_vae":
        files.write_json(home / "discriminator.json", trained.judge(found.sample(100_000)))
    if found.log_px is not None:  # it decodes
        pictures.save(home / "pictures.npz", trained, data, found)
    found.save(home / "codes.npz")
    callbacks.previous(home / CHECKPOINT).unlink(missing_ok=True)
    return found


def load(run: Run) -> Any:
    """The images of a run: the part of its data set that it asks for, with its weights.

    Raises:
      ValueError: they cannot be what it asks for, or cannot be scored.
    """
    data = datasets.load(run.dataset).thin(run.thin)
    if run.fix:
        data = data.select({name: [value] for name, value in run.fixed.items()})
    data = data if run.joint == "uniform" else data.weighted(joint_weights(data.grid, run.joint))
    if not data.grid.scored:
        raise ValueError(f"{run.dataset}: no factor has two values to score; lower thin, or fix fewer")
    return data


def _drop_foreign_work(home: Path, run: Run, header: dict) -> None:
    """Starts over where a checkpoint was made from other data, by other versions or source, or with other threads."""
    before = files.read_fields(home / "run.json")
    same = _same_images(before, header) and not _other_sources(before, header)
    same &= all(before.get(part) == header.get(part) for part in ("versions", "device"))
    kept = ("codes.npz", "discriminator.json", "pictures.npz")
    work = [*(home / "checkpoint").glob("*.keras"), *(home / name for name in kept if (home / name).exists())]
    if work and not (_is_of(before, run) and same):
        log.warning("%s was begun with other data, versions, source or device; starting over", run.id)
        for path in (*work, home / "history.csv"):
            path.unlink(missing_ok=True)


def _same_images(before: dict, header: dict) -> bool:
    """Whether two headers are of the same images, wherever those came from."""
    return before.get("data", {}).get("sha256") == header["data"]["sha256"]


def model(run: Run, data: Any, steps: int) -> Any:
    """The untrained model of a run, ready for so many steps of training; a `custom.Own` for a method of one's own."""
    import keras

    from tcvae_tf import factor_vae, models, networks
    from tcvae_tf.objective import Objective

    if run.own:
        return custom.make(run, data)
    make = getattr(networks, run.network)
    encoder, decoder = make(data.image_shape, run.latent_dim, run.width, run.initializer, run.seed, run.head)
    weights = (run.alpha, run.beta, run.gamma)
    objective = Objective(*weights, run.estimator, run.beta_warmup, run.lambda_annealing)
    families = {"prior": run.prior, "posterior": run.posterior}
    vae = models.VAE(encoder, decoder, objective, dataset_size=len(data), seed=run.seed, **families)
    adam = keras.optimizers.Adam(run.learning_rate, epsilon=run.adam_epsilon)
    how: dict[str, Any] = {"jit_compile": "auto" if steps >= SHORT else False}
    how["steps_per_execution"] = _at_a_time(run, steps, len(data) // run.images_per_step)
    if run.method != "factor_vae":
        vae.compile(adam, **how)
        return vae
    discriminator = networks.discriminator(run.latent_dim, run.discriminator_width, seed=run.seed)
    both = factor_vae.FactorVAE(vae, discriminator, run.tc_weight, run.discriminator_batches)
    judging = keras.optimizers.Adam(run.discriminator_learning_rate, beta_1=0.5, beta_2=0.9)
    both.compile(adam, judging, **how)
    return both


def _at_a_time(run: Run, steps: int, per_epoch: int) -> int:
    """Steps that Keras takes at a time: as many as divide the epochs and the run, so that each ends when it should."""
    short = steps >= SHORT and run.batch_size * run.width <= _SHORT_STEP
    return math.gcd(_AT_A_TIME, steps, per_epoch) if short else 1


def _train(run: Run, home: Path, data: Any, verbose: str | int, measure_every: int) -> Any:
    """The trained model: from the checkpoint where there is one."""
    from tcvae_tf import callbacks

    checkpoint = home / CHECKPOINT
    per_epoch = data.steps_per_epoch(run.batch_size, run.batches_per_step)
    steps = run.step_count(per_epoch)
    saved = (checkpoint, callbacks.previous(checkpoint))
    own = (lambda: model(run, data, steps)) if run.own else None
    trained = callbacks.restored(saved[0], own) or callbacks.restored(saved[1], own) or model(run, data, steps)
    if measure_every and run.own and not trained.likelihood:
        raise ValueError(f"method {run.method!r}: to be measured during training its model needs decode(z)")
    measures = [callbacks.Measures(data, measure_every)] if measure_every else []
    if verbose and 0 < int(trained.step.numpy()) < steps:
        print(f"goes on from step {int(trained.step.numpy()):,} of {steps:,}, the last one saved", file=sys.stderr)
    while (done := int(trained.step.numpy())) < steps:
        epoch, step = divmod(done, per_epoch)
        trained.fit(
            data.batches(run.images_per_step, run.seed, first_epoch=epoch, first_step=step),
            initial_epoch=epoch,
            # Keras takes every pass to be as long as the first: the rest of an epoch has a fit of its own.
            epochs=epoch + 1 if step else math.ceil(steps / per_epoch),
            # Its length is told: a model of one's own may count a step in vain when the data run out.
            steps_per_epoch=per_epoch - step if step else None,
            callbacks=[
                *measures,
                callbacks.Checkpoint(checkpoint, home / "history.csv", steps),
                callbacks.Progress(home / "progress.json", steps),
            ],
            verbose=verbose,
        )
        if int(trained.step.numpy()) == done:
            raise ValueError(f"{run.method}: training counted no step; apply model.optimizer, or count in model.step")
    return trained


def from_preset(run: Run | str | Path, root: str | Path = "runs") -> Any:
    """The trained model of a finished run: a `tc.VAE`, a `tc.FactorVAE`, or what a function of one's own returns.

    "Preset" is Keras' word for weights that are there already; those of `tcvae_tf.sweep` are of settings.

    Args:
      run: its id, or the beginning of one that no other has; the path of its directory; or the Run itself.
      root: directory of all runs.

    Raises:
      ValueError: no such run, several, one that is not finished, or whose model was removed or cannot be read.
    """
    home = find(run.id if isinstance(run, Run) else run, root)
    header, checkpoint = files.read_fields(home / "run.json"), home / CHECKPOINT
    asked = _asked(header)
    if not (home / "record.json").exists():
        raise ValueError(unfinished(home))
    if not checkpoint.exists():
        again = f"delete {home}, then {_command(header, home.parent)}"
        raise ValueError(f"{home.name}: the model was removed, the record is kept; to train it again: {again}")
    trained_by = header.get("versions", {}).get("tcvae_tf", "another version")
    if asked is None:
        raise ValueError(f"{home.name} has settings that tcvae_tf {__version__} does not know; it is of {trained_by}")
    make = None
    if asked.own:
        _warn_of_another_source(asked, header, home)
        make = functools.partial(custom.make, asked, load(asked))
    from tcvae_tf import callbacks

    try:
        loaded = callbacks.load(checkpoint, make)
    except (*files.UNREADABLE, TypeError) as error:
        other = f"; it was trained by tcvae_tf {trained_by}, this is {__version__}" if trained_by != __version__ else ""
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{checkpoint} cannot be read: {reason}{other}") from error
    if asked.own:
        return loaded.model
    loaded.steps_per_execution = 1  # as of any model that is not a run's any more: callbacks see each step
    return loaded


def find(run: str | Path, root: str | Path = "runs") -> Path:
    """The directory of a run, by its id, a beginning of one that no other has, or the path of the directory; where
    several runs begin alike, that of the only finished one.

    Raises:
      ValueError: there is none, or there are several.
    """
    root, given = Path(root), Path(run)
    for home in (root / given, given):
        if (home / "run.json").exists():
            return home
    known = sorted(path.parent.name for path in root.glob("*/run.json"))
    found = [name for name in known if name.startswith(str(run))] if str(run) else []
    finished = [name for name in found if (root / name / "record.json").exists()]
    if len(found) == 1 or len(finished) == 1:
        return root / (found if len(found) == 1 else finished)[0]
    if found:
        some = ", ".join(found[:4]) + (" ..." if len(found) > 4 else "")
        raise ValueError(f"{len(found)} runs in {root} begin with {run}: {some}")
    near = nearest(given.name, known)
    remedy = f"did you mean {near}?" if near else f"there are {len(known)} runs"
    raise ValueError(f"no run {str(run)!r} in {root}; {remedy}")


def _asked(header: dict) -> Run | None:
    """The run that a header is of; None where this version does not know its fields or their values."""
    try:
        return Run(**header["run"])
    except (KeyError, TypeError, ValueError):
        return None


def unfinished(home: Path) -> str:
    """What to do about a run that has no record."""
    again = _command(files.read_fields(home / "run.json"), home.parent)
    if (home / "error.txt").exists():
        return f"{home.name} failed, see {home / 'error.txt'}; to try it again: {again}"
    return f"{home.name} is not finished; to go on with it: {again}"


def _command(header: dict, root: Path) -> str:
    """The command that finishes a run."""
    chosen = header.get("run", {}).items()
    defaults = dataclasses.asdict(Run())
    flags = [f"--{name}={value}" for name, value in chosen if value != defaults.get(name)]
    words = ["tcvae", "train", *flags, *([] if root == Path("runs") else [f"--root={root}"])]
    threads = re.search(r"threads: (\d+)", str(header.get("device")))  # with others it would begin anew
    other = threads is not None and int(threads[1]) != provenance.threads()
    return shlex.join([f"TF_NUM_INTRAOP_THREADS={threads[1]}", *words] if threads and other else words)


def _head_of_history(home: Path) -> str:
    """The names of the columns."""
    path = home / "history.csv"
    return path.read_text(encoding="utf-8").partition("\n")[0] if path.exists() else ""


def _seconds(home: Path) -> float:
    """Seconds of training, and of measuring during it, over all sittings."""
    from tcvae_tf import callbacks

    return round(sum(float(row["seconds"]) for row in callbacks.read_history(home / "history.csv")), 1)
