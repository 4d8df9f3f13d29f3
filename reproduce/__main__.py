"""Reruns figures of the paper: python -m reproduce all --preset=quick"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType

from reproduce import (
    ablations,
    benchmark,
    faces_standin,
    factor_vae_trial,
    fig2_beta_sweep,
    fig3_mig_distribution,
    fig4_mig_vs_tc,
    fig5_joint_distributions,
    keep,
    latent_vs_factor,
    learning_curves,
    pilot,
    plans,
    report,
    table1_measures,
    table_metrics,
    training_check,
    traversals,
)
from tcvae_tf import compare, datasets, executors, files, memory, plots, results, sweep
from tcvae_tf.runs import Run, read_record

#: Figures and tables of runs' records, of their histories, and what is computed without any.
SCRIPTS = {
    "fig2": fig2_beta_sweep,
    "fig3": fig3_mig_distribution,
    "fig4": fig4_mig_vs_tc,
    "fig5": fig5_joint_distributions,
    "traversals": traversals,
    "latent-vs-factor": latent_vs_factor,
    "table-metrics": table_metrics,
    "ablations": ablations,
}
HISTORIES = {"curves": learning_curves, "pilot": pilot, "factor-vae": factor_vae_trial, "check": training_check}
COMPUTED = {"faces": faces_standin, "table1": table1_measures}
#: What "all" leaves out.
ASIDE = ("pilot", "factor-vae", "check")

_EXAMPLES = """examples:
  python -m reproduce all                       every figure and table with the preset quick
  python -m reproduce fig3 --preset=cpu         figure 3 alone, with longer trainings
  python -m reproduce all --preset=cpu --plan   what that takes on this machine; starts nothing
  python -m reproduce all --preset=paper --executor=ray --address=auto --gpus=0.25
                                                on a Ray cluster, four runs to a GPU
  python -m reproduce all --preset=paper --part=$SLURM_ARRAY_TASK_ID/100
                                                one of 100 jobs; afterwards the same without --part
  python -m reproduce all --preset=cpu --recorded
                                                on another machine, or when runs/ is lost: what results/ holds is done
  python -m reproduce check --threads=2 --workers=1
                                                two runs at paper size beside published losses: hours on two cores
  python -m reproduce all --draw                only redraws, from the records in results/
  python -m reproduce benchmark                 what training and measures cost: a quarter of an hour; less with --quick

Runs that figures share are trained once. Whatever stops it, the same command goes on where it was; several may work in
one directory of runs at a time.
"""


def _parser() -> argparse.ArgumentParser:
    presets = "\n".join(f"  {preset.name:<8}{preset.purpose}" for preset in sweep.PRESETS.values())
    figures = {name: script.TITLE for name, script in {**SCRIPTS, **HISTORIES, **COMPUTED}.items()}
    figures |= {"benchmark": "What training and measures cost", "all": f"All but {', '.join(ASIDE)} and benchmark"}
    titles = "\n".join(f"  {name:<18}{title}" for name, title in figures.items())
    parser = argparse.ArgumentParser(
        prog="python -m reproduce",
        usage="python -m reproduce FIGURE [options]; --help shows them",
        description="Reruns figures of the paper: trains what is not trained yet, measures, tabulates and draws.",
        epilog=f"figures:\n{titles}\n\npresets:\n{presets}\n\n{_EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("figure", choices=list(figures), metavar="FIGURE", help="one of those below")
    parser.add_argument("--preset", default="quick", choices=list(sweep.PRESETS), help="how much (default: quick)")
    parser.add_argument("--root", default="runs", type=Path, help="directory of all runs (default: runs)")
    parser.add_argument("--out", type=Path, help="directory of records, tables and figures (default: results)")
    parser.add_argument(
        "--draw", action="store_true", help="train nothing, redraw all figures from the records in --out"
    )
    parser.add_argument("--plan", action="store_true", help="show what is to be done and what it takes; start nothing")
    parser.add_argument(
        "--recorded",
        action="store_true",
        help="runs whose record or curve is in --out are done: to go on without the directory they were trained in",
    )
    parser.add_argument(
        "--part", type=_part, help="I/N: each N-th run from the I-th on alone, for job arrays; no figure"
    )
    parser.add_argument("--quick", action="store_true", help="of the benchmark: the steps and the start alone")
    parser.add_argument("--executor", default="processes", choices=executors.EXECUTORS, help="default: processes")
    parser.add_argument(
        "--workers",
        type=int,
        help="runs at a time (default: one for each core, as memory allows; one for each GPU where there are any)",
    )
    parser.add_argument("--threads", type=int, default=1, help="of a run; other numbers give other bits (default: 1)")
    parser.add_argument("--address", help="of a Ray cluster (default: $RAY_ADDRESS, else one on this machine)")
    parser.add_argument("--gpus", type=float, default=0.0, help="of a run under ray (default: 0)")
    return parser


def _part(words: str) -> tuple[int, int]:
    """Which of how many parts, counted from 0 or from 1: N/N is the last, as 0/N is."""
    index, _, count = words.partition("/")
    if not (index.isdigit() and count.isdigit() and 0 <= int(index) <= int(count) and int(count)):
        raise argparse.ArgumentTypeError(f"{words!r}: give I/N, such as 3/16")
    return int(index) % int(count), int(count)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 done, 1 a run failed, 130 interrupted. A claim that fails is a result, no error."""
    options = _parser().parse_args(argv)
    memory.collect_rarely()
    logging.basicConfig(format="%(message)s")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the worker processes too
    try:
        plots.need_matplotlib()
    except ImportError as error:
        print(f"reproduce: {error}", file=sys.stderr)
        return 1
    # Numbers that mean nothing stay away from those that do.
    smoke = options.preset == "smoke"
    options.out = options.out or (options.root / "smoke-results" if smoke else Path("results"))
    code = 0
    if not options.draw:
        try:
            if options.plan:
                print(_plan(options))
                return 0
            code = _work(options)
        except KeyboardInterrupt:
            again = "begins anew" if options.figure == "benchmark" else "goes on where it was"
            print(f"\nstopped; the same command {again}", file=sys.stderr)
            return 130
        except (ValueError, OSError, ImportError, RuntimeError) as error:
            print(f"reproduce: {executors.one_line(error)}; what was done is kept", file=sys.stderr)
            return 1
    if options.part or (options.figure == "benchmark" and not options.draw):
        return code  # nothing to draw here: of other parts there is more, and a benchmark writes its own report
    return code | _draw(options.out)


def _chosen(options: argparse.Namespace, scripts: dict[str, ModuleType]) -> list[ModuleType]:
    everything = options.figure == "all"
    return [script for name, script in scripts.items() if name == options.figure or (everything and name not in ASIDE)]


def _showing(scripts: Iterable[ModuleType]) -> list[ModuleType]:
    """Those that draw arrays of single runs."""
    return [script for script in scripts if hasattr(script, "chosen")]


def _runs(options: argparse.Namespace, groups: Sequence[dict[str, ModuleType]] = (HISTORIES, SCRIPTS)) -> list[Run]:
    """All runs that the chosen figures of some groups need, each once."""
    scripts = [script for group in groups for script in _chosen(options, group)]
    return list(dict.fromkeys(run for script in scripts for run in script.runs(sweep.PRESETS[options.preset])))


def _recorded(options: argparse.Namespace) -> set[Run]:
    """The runs that are done because --out has their records."""
    path = options.out / "records.csv"
    return set(compare.recorded(_runs(options, (SCRIPTS,)), path)) if options.recorded else set()


def _plan(options: argparse.Namespace) -> str:
    """What is to be done and what it takes."""
    done = _recorded(options)
    for script in _chosen(options, HISTORIES) if options.recorded else []:
        done |= keep.whole(keep.curves(script, script.runs(sweep.PRESETS[options.preset]), options.out))
    return plans.show(_runs(options), options.preset, options.root, _resources(options), done)


def _resources(options: argparse.Namespace) -> executors.Resources:
    return executors.Resources(options.workers, options.threads, options.address, options.gpus)


def _work(options: argparse.Namespace) -> int:
    """Does what is not done."""
    if options.figure == "benchmark":
        print(benchmark.run(options.out, options.quick))
        print(f"written: {options.out / benchmark.REPORT}")
        return 0
    files.need_writable(options.out)  # before hours of training rather than after
    code = 0
    # Measured runs first: a run that others want too is then trained with its curve.
    for script in _chosen(options, HISTORIES):
        code |= _follow(script, options)
    trained, done = _runs(options, (SCRIPTS,)), _recorded(options)
    if done:
        print(f"{len(done)} of {len(trained)} runs are recorded in {options.out} already", flush=True)
    if trained:
        code |= _train([run for run in trained if run not in done], options)
    if options.part:
        return code
    if lost := keep.without_arrays(_showing(_chosen(options, SCRIPTS)), done, options.out):
        print(f"trained again, since a figure shows it: {', '.join(run.id for run in lost)}")
        code |= _train(lost, options)
    keep.pictures(_showing(SCRIPTS.values()), options.root, options.out)
    for script in _chosen(options, COMPUTED):
        print(f"{script.TITLE} ...", flush=True)
        rows = script.compute(*script.SMOKE) if options.preset == "smoke" else script.compute()
        results.write_rows(options.out / script.FILE, rows)
    return code


def _follow(script: ModuleType, options: argparse.Namespace) -> int:
    """Executes the runs of a script that shows their histories, and keeps each curve as it comes: whole, or where the
    script says so as far as it is. One that `out` holds gives way to none that is shorter."""
    runs = script.runs(sweep.PRESETS[options.preset])
    curves = keep.curves(script, runs, options.out)

    def save(*_: object) -> None:
        ready = [run for run in runs if (options.root / run.id / "history.csv").exists()]
        ready = ready if hasattr(script, "UNFINISHED") else _done(runs, options.root)
        for run in ready:
            curve = script.collect([run], options.root)
            if curve and keep.reached(curve) >= keep.reached(curves.get(run, [])):
                curves[run] = curve
        if not options.part and curves:
            results.write_rows(options.out / script.FILE, [line for run in runs for line in curves.get(run, [])])

    code, whole = 0, keep.whole(curves)
    left = [run for run in runs if not (options.recorded and run in whole)]
    try:
        for every, group in itertools.groupby(sorted(left, key=script.every), script.every):
            code |= _execute(list(group), options, every, save)
    finally:
        save()
    for run in [run for run in _done(left, options.root) if run not in keep.whole(curves)]:
        print(f"error: {run.id} was trained without measuring; delete {options.root / run.id}", file=sys.stderr)
        code = 1
    return code


def _train(runs: Sequence[Run], options: argparse.Namespace) -> int:
    """Executes runs and keeps each record as it comes."""
    path = options.out / "records.csv"

    def save(run: Run, record: dict) -> None:
        if not options.part:
            results.merge(path, [record])

    def fail(run: Run, error: str) -> None:
        save(run, results.failure(dataclasses.asdict(run), run.id, error))

    return _execute(runs, options, 0, save, fail)


def _draw(out: Path) -> int:
    """Tables and figures from what `out` holds."""
    benchmark.write(out)
    tables = report.write(SCRIPTS, {**HISTORIES, **COMPUTED}, out)
    if not tables:
        others = "the records there are of no preset, see tcvae table" if (out / "records.csv").exists() else ""
        print(f"nothing in {out} that a figure shows; {others or 'run without --draw first'}", file=sys.stderr)
        return 1
    print("\n".join(tables))
    print(f"written: {out / 'RESULTS.md'}, {out / 'figures'}")
    return 0


def _done(runs: Sequence[Run], root: Path) -> list[Run]:
    return [run for run in runs if read_record(run, root) is not None]


def _execute(
    runs: Sequence[Run],
    options: argparse.Namespace,
    measure_every: int,
    on_record: Callable[[Run, dict], object],
    on_failure: Callable[[Run, str], object] = lambda run, error: None,
) -> int:
    """Executes what is not done; returns 1 when a run failed."""
    began, runs = time.monotonic(), list(dict.fromkeys(runs))
    if options.part:
        index, count = options.part
        runs = runs[index::count]
    for name in sorted({run.dataset for run in runs}):
        data = datasets.load(name)  # once here, so that the runs find it in the cache
        print(f"data: {name}, {len(data):,} images, {data.source}", flush=True)
    code = 0
    try:
        sweep.execute_all(runs, options.root, options.executor, _resources(options), measure_every, on_record)
    except sweep.SweepFailed as failure:
        print(f"error: {failure}", file=sys.stderr)
        for run, error in failure.failures.items():
            on_failure(run, error)
        code = 1
    minutes = (time.monotonic() - began) / 60
    print(f"{len(_done(runs, options.root))} of {len(runs)} runs recorded, {minutes:.1f} minutes\n", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
