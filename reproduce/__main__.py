"""Reruns figures of the paper: python -m reproduce fig3 --preset=quick"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

from reproduce import benchmark, faces_standin, fig3_mig_distribution, learning_curves, report, table1_measures
from tcvae_tf import datasets, results, sweep
from tcvae_tf.runs import Run

#: Figures of runs' records, of their histories, and what is computed without any.
SCRIPTS = {"fig3": fig3_mig_distribution}
HISTORIES = {"curves": learning_curves}
COMPUTED = {"faces": faces_standin, "table1": table1_measures}


def _parser() -> argparse.ArgumentParser:
    presets = "\n".join(f"  {preset.name:<8}{preset.purpose}" for preset in sweep.PRESETS.values())
    parser = argparse.ArgumentParser(
        prog="python -m reproduce",
        description="Reruns figures of the paper: trains what is not trained yet, measures, tabulates and draws.",
        epilog=f"presets:\n{presets}\n\nexamples:\n"
        "  python -m reproduce fig3                      figure 3 with the preset quick\n"
        "  python -m reproduce fig3 --preset=paper       with the paper's settings\n"
        "  python -m reproduce curves                    learning curves of every method: half an hour\n"
        "  python -m reproduce faces                     contact sheet of the stand-in for 3D Faces: a minute\n"
        "  python -m reproduce table1                    what the measures respond to: four minutes, no training\n"
        "  python -m reproduce benchmark                 what the measures cost: seven minutes\n"
        "  python -m reproduce all --draw                only redraws, from results/records.csv\n\n"
        "Whatever stops it, the same command goes on where it was.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("figure", choices=[*SCRIPTS, *HISTORIES, *COMPUTED, "benchmark", "all"], help="which figure")
    parser.add_argument("--preset", default="quick", choices=list(sweep.PRESETS), help="settings (default: quick)")
    parser.add_argument("--root", default="runs", type=Path, help="directory of all runs (default: runs)")
    parser.add_argument("--out", type=Path, help="directory of records, tables and figures (default: results)")
    parser.add_argument("--executor", default="processes", choices=sweep.EXECUTORS, help="default: processes")
    parser.add_argument("--workers", type=int, help="processes at a time (default: one for each core)")
    parser.add_argument("--draw", action="store_true", help="train nothing, redraw from the records in --out")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 done, 1 a run failed, 130 interrupted. A claim that fails is a result, no error."""
    options = _parser().parse_args(argv)
    logging.basicConfig(format="%(message)s")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the worker processes too
    if importlib.util.find_spec("matplotlib") is None:
        print("reproduce: needs matplotlib to draw; pip install -e '.[reproduce]'", file=sys.stderr)
        return 1
    chosen = [*SCRIPTS, *HISTORIES, *COMPUTED] if options.figure == "all" else [options.figure]
    # Numbers that mean nothing stay away from those that do.
    out = options.out or (options.root / "smoke-results" if options.preset == "smoke" else Path("results"))
    code = 0
    if not options.draw:
        try:
            # Measured runs first: a run that both want is then trained with its curve.
            code = _follow([script for name, script in HISTORIES.items() if name in chosen], options, out)
            code |= _train([script for name, script in SCRIPTS.items() if name in chosen], options, out)
            _compute([script for name, script in COMPUTED.items() if name in chosen], options, out)
            if options.figure == "benchmark":
                print(benchmark.run(out))
                return 0
        except KeyboardInterrupt:
            print("\nstopped; the same command goes on where it was", file=sys.stderr)
            return 130
        except (ValueError, OSError, ImportError, RuntimeError) as error:
            print(f"reproduce: {error}", file=sys.stderr)
            return 1
    benchmark.write(out)
    tables = report.write(SCRIPTS, {**HISTORIES, **COMPUTED}, out)
    if not tables:
        print(f"no records in {out}; run without --draw first", file=sys.stderr)
        return code or 1
    print("\n".join(tables))
    print(f"written: {out / 'RESULTS.md'}, {out / 'figures'}")
    return code


def _compute(scripts: Sequence[ModuleType], options: argparse.Namespace, out: Path) -> None:
    """Writes the rows of what needs no runs; less of it for the preset smoke."""
    for script in scripts:
        print(f"{script.TITLE} ...", flush=True)
        rows = script.compute(*script.SMOKE) if options.preset == "smoke" else script.compute()
        results.write_rows(out / script.FILE, rows)


def _train(scripts: Sequence[ModuleType], options: argparse.Namespace, out: Path) -> int:
    """Executes what is not done and merges all records into records.csv."""
    runs = [run for script in scripts for run in script.runs(sweep.PRESETS[options.preset])]
    return _execute(runs, options, lambda done: results.merge(out / "records.csv", done.values())) if runs else 0


def _follow(scripts: Sequence[ModuleType], options: argparse.Namespace, out: Path) -> int:
    """Executes what is not done, measured during training, and writes the rows of the finished histories."""
    code = 0
    for script in scripts:
        runs = script.runs(sweep.PRESETS[options.preset])

        def keep(done: dict[Run, dict], script: ModuleType = script) -> None:
            rows = script.collect(list(done), options.root)
            if rows:
                results.write_rows(out / script.FILE, rows)

        code |= _execute(runs, options, keep, script.EVERY)
    return code


def _execute(
    runs: Sequence[Run], options: argparse.Namespace, keep: Callable[[dict[Run, dict]], object], measure_every: int = 0
) -> int:
    """Executes what is not done, and has all records kept, whatever happens; returns 1 when a run failed."""
    began = time.monotonic()
    runs = list(dict.fromkeys(runs))
    for name in sorted({run.dataset for run in runs}):
        data = datasets.load(name)  # once here, so that the runs find it in the cache
        print(f"data: {name}, {len(data):,} images, {data.source}", flush=True)
    code = 0
    try:
        sweep.execute_all(runs, options.root, options.executor, options.workers, measure_every)
    except sweep.SweepFailed as failure:
        print(f"error: {failure}", file=sys.stderr)
        code = 1
    finally:
        done = {run: record for run in runs if (record := sweep.runs_module.read_record(run, options.root))}
        keep(done)
    print(f"{len(done)} of {len(runs)} runs recorded, {(time.monotonic() - began) / 60:.1f} minutes\n", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
