"""Records → figures and RESULTS.md: the same rows give the same text, byte for byte, without TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from tcvae_tf import files, plots, results
from tcvae_tf.results import Row
from tcvae_tf.sweep import PRESETS, Preset

PAPER = Path(__file__).resolve().parent.parent / "results" / "paper.csv"

_HEAD = """# Results

Generated from `paper.csv` and the other `.csv` files here by `make figures`; not edited by hand.

MIG is exact: computed from the posteriors of all images of a run, nothing sampled. Published values carry the
mark of their source: **S**, quoted from a source that was read. Here that source is another paper's repository, which
cites the values; that they are the medians of figure 3 is our inference. **M** is from memory of the paper, as we
recall it. A claim that fails is printed as failed. Claims compare medians; with two seeds an
interval is just the two values, and says little.
"""


def write(scripts: dict[str, ModuleType], computed: dict[str, ModuleType], out: Path) -> list[str]:
    """Draws every figure that has records in `out`, writes RESULTS.md and returns its tables as text.

    `scripts` draw from runs, in records.csv; `computed` have a file of rows each.
    """
    rows, paper = results.read_rows(out / "records.csv"), results.read_rows(PAPER)
    sections, shown = [_HEAD], []
    for preset in reversed(PRESETS.values()):
        for name, script in scripts.items():
            wanted = {run.id for run in script.runs(preset)}
            found = [line for line in rows if line["id"] in wanted]
            if not found:
                continue
            picture = f"{name}-{preset.name}"
            caption = f"preset {preset.name}: {len(found)} of {len(wanted)} runs"
            plots.save(script.draw(found, paper, caption), out / "figures" / f"{picture}.png")
            table, claims = script.tabulate(found, paper), _claims(script, found, paper, _command(name, preset))
            if "failed" in claims:
                claims += "\n" + script.explain(found)
            shown.append(f"{script.TITLE}, {caption}\n\n{table}\n{claims}")
            sections.append(
                f"## {script.TITLE} (preset {preset.name})\n\n![{script.TITLE}](figures/{picture}.png)\n\n{table}\n"
                f"{claims}\n{_circumstances(found, len(wanted), preset)}"
            )
    for name, script in computed.items():
        found = results.read_rows(out / script.FILE)
        if found:
            plots.save(script.draw(found, paper, script.caption(found)), out / "figures" / f"{name}.png")
            body = f"{script.tabulate(found, paper)}\n{_claims(script, found, paper, f'`python -m reproduce {name}`')}"
            body += "\n" + script.explain(found)
            shown.append(f"{script.TITLE}\n\n{body}")
            sections.append(f"## {script.TITLE}\n\n![{script.TITLE}](figures/{name}.png)\n\n{body}")
    if shown:
        files.write_text(out / "RESULTS.md", "\n".join(sections))
    return shown


def _command(name: str, preset: Preset) -> str:
    return f"`make reproduce PRESET={preset.name}`" if name == "fig3" else f"`python -m reproduce {name}`"


def _claims(script: ModuleType, rows: Sequence[Row], paper: Sequence[Row], command: str) -> str:
    lines = [[claim.text, claim.paper, claim.ours, claim.verdict, command] for claim in script.check(rows, paper)]
    return results.table(["claim", "paper (mark)", "ours", "holds?", "command"], lines)


def _circumstances(rows: Sequence[Row], wanted: int, preset: Preset) -> str:
    """What the numbers rest on: runs, seeds, time, machine, versions, data, and the preset's departures."""

    def distinct(*columns: str) -> str:
        return ", ".join(sorted({" ".join(line[column] for column in columns) for line in rows}))

    versions = [column.split(".", 1)[1] for column in rows[0] if column.startswith("versions.")]
    seconds = sum(float(line["seconds"]) for line in rows)
    bound = max(float(line["mig_error_bound"]) for line in rows)
    facts = [
        f"Runs: {len(rows)} of {wanted}; seeds {distinct('run.seed')}; {seconds / 60:.0f} minutes of training in all",
        f"Numerical error of any MIG: at most {bound:.1e}",
        f"Machine: {distinct('device')}",
        "Versions: " + ", ".join(f"{name} {distinct(f'versions.{name}')}" for name in versions),
        f"Commit: {distinct('commit')}",
        f"Data: {distinct('run.dataset', 'data.source', 'data.sha256')}",
    ]
    for dataset in sorted({line["run.dataset"] for line in rows}):
        sources = {line["data.source"] for line in rows if line["run.dataset"] == dataset}
        other = ["images that are a rendered stand-in"] if "stand-in" in sources else []
        facts.append(
            f"Departs from the paper on {dataset}: " + ("; ".join(other + preset.deviations(dataset)) or "nothing")
        )
    return "\n".join(f"* {fact}." for fact in facts) + "\n"
