"""What the numbers of a figure rest on: runs, failures, seeds, time, machine, versions, data, and every departure from
the paper."""

from __future__ import annotations

import collections
from collections.abc import Sequence

from tcvae_tf.results import Row
from tcvae_tf.sweep import PAPER, Preset
from tcvae_tf.words import at_most


def part(line: Row) -> str:
    """The part of sweep.PAPER that a run belongs to."""
    narrowed = line.get("run.fix") or line.get("run.joint", "uniform") not in ("", "uniform")
    return "pose" if narrowed else line["run.dataset"]


def seeds_each(found: Sequence[Row]) -> str:
    """How many seeds each setting has, in words: "2", or "1 to 2"."""
    settings = collections.Counter(
        tuple(value for name, value in line.items() if name.startswith("run.") and name != "run.seed") for line in found
    )
    return " to ".join(str(count) for count in sorted({min(settings.values()), max(settings.values())}))


def caption(found: Sequence[Row], lost: Sequence[Row], wanted: int, preset: Preset) -> str:
    """Preset, runs and seeds, for the figure itself."""
    seeds = {name: seeds_each([line for line in found if part(line) == name]) for name in _parts(found)}
    each = [f"{count} ({name})" for name, count in seeds.items()]
    alike = list(set(seeds.values())) if len(set(seeds.values())) == 1 else each
    told = [f"preset {preset.name}: {len(found)} of {wanted} runs"]
    told += [f"n = {', '.join(alike)}"] if seeds else []
    return ", ".join(told + ([f"{len(lost)} failed"] if lost else []))


def facts(found: Sequence[Row], lost: Sequence[Row], wanted: int, preset: Preset) -> list[str]:
    """A sentence each, without the full stop."""
    told = [f"Runs: {len(found)} of {wanted}"]
    if found:
        minutes = sum(float(line["seconds"]) for line in found) / 60
        told[0] += f"; seeds {_seeds(found)}; {minutes:.0f} minutes of training in all"
    told += [f"Failed: {len(lost)} of {wanted} runs: {_reasons(lost)}"] if lost else []
    return told + (_origin(found) + _departures(found, wanted, preset) if found else [])


def _reasons(lost: Sequence[Row]) -> str:
    """Each error once, with the runs that it stopped."""
    reasons: dict[str, list[str]] = {}
    for line in lost:
        reasons.setdefault(line["error"].replace("`", "'"), []).append(f"`{line['id']}`")
    return "; ".join(f"{error} ({', '.join(ids)})" for error, ids in sorted(reasons.items()))


def _seeds(found: Sequence[Row]) -> str:
    return ", ".join(map(str, sorted({int(line["run.seed"]) for line in found})))


def _origin(found: Sequence[Row]) -> list[str]:
    """Accuracy, machine, versions, commit and data."""

    def distinct(*columns: str, apart: str = ", ") -> str:
        return apart.join(sorted({" ".join(line[column] for column in columns) for line in found}))

    versions = sorted({column for line in found for column in line if column.startswith("versions.")})
    bound = max(float(line["mig_error_bound"]) for line in found)
    return [
        f"Numerical error of any MIG: at most {at_most(bound, 2)}; standard error of any TC: at most "
        f"{at_most(max(float(line['information_error']) for line in found), 2)} nats",
        f"Machine: {distinct('device', apart='; ')}",
        "Versions: " + ", ".join(f"{name.removeprefix('versions.')} {distinct(name)}" for name in versions),
        f"Commit: {distinct('commit')}",
        f"Data: {distinct('run.dataset', 'data.source', 'data.sha256')}",
    ]


def _departures(found: Sequence[Row], wanted: int, preset: Preset) -> list[str]:
    told = []
    so_many = "{} so far" if len(found) < wanted else "here {}"  # some figures ask for fewer of some settings
    for name in _parts(found):
        stand_in = any(line["data.source"] == "stand-in" for line in found if part(line) == name)
        other = ["images that are a rendered stand-in"] if stand_in else []
        factor_vae = any(line["run.method"] == "factor_vae" for line in found if part(line) == name)
        listed = other + preset.deviations(name, discriminator=factor_vae)
        seeds = seeds_each([line for line in found if part(line) == name])
        listed += [so_many.format(seeds)] if seeds != str(len(preset.seeds_of(name))) else []
        where = "figure 5's 231 images" if name == "pose" else name
        told.append(f"Departs from the paper on {where}: " + ("; ".join(listed) or "nothing"))
    return told


def _parts(found: Sequence[Row]) -> list[str]:
    """The parts of the paper that are in use, in its order."""
    used = {part(line) for line in found}
    return [name for name in PAPER if name in used]
