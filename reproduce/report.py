"""Records → figures and RESULTS.md: the same rows give the same text, byte for byte, without TensorFlow."""

from __future__ import annotations

import collections
import dataclasses
import io
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from reproduce import circumstances, headline, methods, pilot, table1_measures, training_check
from tcvae_tf import files, plots, results
from tcvae_tf.results import Claim, Row
from tcvae_tf.sweep import PRESETS, Preset

_HEAD = """# Results

Generated from `paper.csv` and the other `.csv` files here by `make figures`; not edited by hand.

MIG is exact: computed from the posteriors of all images of a run, nothing sampled. Total correlation and index-code
mutual information are of all images too, with 10,000 samples for the joint entropy (2,000 in curves, the pilot and the
trial of FactorVAE): a small one may come out below zero. Published values carry the mark of their source: **S**, quoted
from a source that was read. For medians of MIG that source is another paper's repository, which cites them; that they
are the medians of figure 3 is our inference. **M** is from memory of the paper, as we recall it.

A claim that a is above b holds where the median of a is above that of b and Cliff's δ = P(a > b) − P(a < b) is above
zero; of several β together δ alone decides. A δ of zero fails, whatever the medians. Intervals are 90% bootstrap
intervals of the median; of up to five seeds they are the range, which has the true median in it with 50% (two seeds),
75% (three), 88% (four) or 94% (five). p is that of an exact one-sided rank test of the claim; of a claim that fails, of
its opposite. No p of two seeds against two is below 0.17, and none of three against three below 0.05. Tests over
several β, and those of a rank correlation ρ, the mean of seeds, permute whole seeds, since the runs of a seed begin
alike; the p of ρ is no less than 0.25 with two, 0.12 with three and 0.03 with five. p is not corrected for the number
of claims. From p = 0.05 on a verdict says its p: "yes, but" is then not certain, nor is "failed, but". A claim that
fails is printed as failed, whatever its p.

Among the facts of a figure a commit with "+changes" is a working copy of it with changes that were not committed, and a
machine "without oneDNN" one on which TensorFlow did not use that library: it rounds otherwise, so that the same seed is
another training.
"""

_NO_ARRAYS = "No figure: of the runs that it shows, no arrays are kept here.\n"


@dataclasses.dataclass(frozen=True)
class Section:
    """What is written of one figure, with one preset where it is drawn from runs."""

    title: str
    command: str
    caption: str
    body: str
    claims: list[Claim]
    notes: str
    runs: str = ""
    whole: bool = True
    preset: str = ""

    @property
    def text(self) -> str:
        parts = [f"## {self.title}\n", self.body, _claims(self.claims), self.notes]
        return "\n".join(part for part in parts if part)


def write(scripts: dict[str, ModuleType], computed: dict[str, ModuleType], out: Path) -> list[str]:
    """Draws every figure that has rows in `out` and writes RESULTS.md. Returns the claims of each as text for the
    terminal, with the failed ones red where there is one.

    `scripts` draw from runs, in records.csv, those with `chosen` also from arrays/<id>.npz; those with `OWN` show
    methods of one's own beside the paper's, where there are records of them. `computed` have a file of rows each.
    What has all of its runs comes before what has not.
    """
    rows = sorted(results.read_rows(out / "records.csv"), key=lambda line: line["id"])
    sections = []
    for preset in reversed(PRESETS.values()):
        for name, script in scripts.items():
            wanted = {run.id for run in script.runs(preset)}
            wanted |= methods.own_ids(rows, preset) if getattr(script, "OWN", False) else set()
            if found := [line for line in rows if line["id"] in wanted]:
                sections.append(_of_runs(name, script, preset, found, len(wanted), out))
    for name, script in computed.items():
        if found := results.read_rows(out / script.FILE):
            sections.append(_of_file(name, script, found, out))
    sections.sort(key=lambda section: not section.whole)
    if sections:
        curves, check = (results.read_rows(out / script.FILE) for script in (pilot, training_check))
        first = headline.tell(rows, curves, check, methods.PUBLISHED)
        files.write_text(out / "RESULTS.md", "\n".join([_HEAD, _summary(sections, first), *(s.text for s in sections)]))
    return [_on_terminal(section) for section in sections]


def _of_runs(name: str, script: ModuleType, preset: Preset, rows: Sequence[Row], wanted: int, out: Path) -> Section:
    """A figure of runs with one preset."""
    found, lost = results.finished(rows), results.failed(rows)
    command = f"`make reproduce PRESET={preset.name}`"
    command = command if name == "fig3" else f"`python -m reproduce {name} --preset={preset.name}`"
    title, caption = f"{script.TITLE} (preset {preset.name})", circumstances.caption(found, lost, wanted, preset)
    facts = circumstances.facts(found, lost, wanted, preset)
    notes = "\n".join([f"* Command: {command}.", *(f"* {fact}." for fact in facts)]) + "\n"
    told, whole = f"{len(found)} of {wanted}", len(found) == wanted
    if not found:
        return Section(title, command, caption, "No run has finished.\n", [], notes, told, whole, preset.name)
    given = [methods.arrays(script.chosen(found), out)] if hasattr(script, "chosen") else []
    picture = _NO_ARRAYS if given == [{}] else ""
    if not picture:
        figure = script.draw(found, methods.PUBLISHED, caption, *given)
        picture = _save(figure, script.TITLE, f"{name}-{preset.name}", out)
    body = "\n".join(filter(None, [picture, script.tabulate(found, methods.PUBLISHED, *given)]))
    notes = "\n".join(filter(None, [script.explain(found), notes]))
    return Section(title, command, caption, body, script.check(found), notes, told, whole, preset.name)


def _of_file(name: str, script: ModuleType, rows: Sequence[Row], out: Path) -> Section:
    """What has a file of rows of its own."""
    caption, command = script.caption(rows), f"`python -m reproduce {name}`"
    picture = _save(script.draw(rows), script.TITLE, name, out)
    body = f"{picture}\n{script.tabulate(rows, methods.PUBLISHED)}"
    notes = f"{script.explain(rows)}\n* Command: {command}.\n"
    return Section(script.TITLE, command, caption, body, script.check(rows), notes)


def _save(figure: Any, title: str, name: str, out: Path) -> str:
    """Writes a figure, as SVG too where that is more than its images once more; the Markdown that shows it."""
    plots.save(figure, out / "figures" / f"{name}.png", vector=not plots.shows_images(figure))
    return f"![{title}](figures/{name}.png)\n"


def _claims(claims: Sequence[Claim]) -> str:
    lines = [[claim.text, claim.paper, claim.ours, claim.verdict] for claim in claims]
    return results.table(["claim", "paper (mark)", "ours", "holds?"], lines) if lines else ""


#: What may come of a claim: whether it holds, and whether that is uncertain.
_OUTCOMES: dict[str, set[tuple[bool | None, bool]]] = {
    "hold": {(True, False)},
    "hold in direction alone, without certainty": {(True, True)},
    "failed": {(False, False)},
    "failed without certainty": {(False, True)},
    "could not be decided or were not run": {(None, False), (None, True)},
}


def _told(counts: Sequence[int]) -> str:
    return ", ".join(f"{count} {name}" for count, name in zip(counts, _OUTCOMES, strict=True))


def _summary(sections: Sequence[Section], first: str) -> str:
    """The first paragraph, how many claims of each figure hold, and those that failed."""

    def counted(chosen: Sequence[Section], own: bool | None = None) -> list[int]:
        claims = [c for section in chosen for c in section.claims if own in (None, c.paper == results.OWN)]
        found = collections.Counter((c.holds, bool(c.uncertain)) for c in claims)
        return [sum(found[outcome] for outcome in outcomes) for outcomes in _OUTCOMES.values()]

    groups = {f"Claims of the paper, preset {p}": [s for s in sections if s.preset == p] for p in reversed(PRESETS)}
    apart = {
        table1_measures.TITLE: "Table 1, of synthetic codes, by our reading of three words that we recall",
        training_check.TITLE: training_check.TITLE,
    }
    groups |= {name: [s for s in sections if s.title == title] for title, name in apart.items()}
    counts = {name: counted(chosen, own=False) for name, chosen in groups.items()}
    counts["Checks of our own"] = counted(sections, own=True)
    told = "".join(f"* {name}: {_told(found)}.\n" for name, found in counts.items() if any(found))
    lines: list[list[object]] = [
        [f"[{s.title}](#{anchor(s.title)})", s.runs, *(n or "" for n in counted([s])), s.command] for s in sections
    ]
    header = ["figure", "runs", "hold", "… uncertain", "failed", "… uncertain", "open", "command"]
    text = ["## In short\n", *filter(None, [first]), told, results.table(header, lines)]
    failed = [(section, claim) for section in sections for claim in section.claims if claim.holds is False]
    if failed:
        lines = [[claim.text, claim.paper, claim.ours, claim.verdict, section.title] for section, claim in failed]
        text += ["Failed:\n", results.table(["claim", "paper (mark)", "ours", "holds?", "figure"], lines)]
    return "\n".join(text)


def anchor(title: str) -> str:
    """What the heading of a section is linked by, as GitHub has it."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def _on_terminal(section: Section) -> str:
    """The claims of a section as a table for the terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("claim", "ours", "holds?", title=f"{section.title}; {section.caption}", title_justify="left")
    for claim in section.claims:
        style = "bold red" if claim.holds is False else ""
        verdict = claim.verdict.replace("🔴 **", "").replace("**", "")
        table.add_row(*(Text(cell, style=style) for cell in (claim.text, claim.ours, verdict)))
    text, width = io.StringIO(), shutil.get_terminal_size((120, 24)).columns
    Console(file=text, width=width, force_terminal=sys.stdout.isatty()).print(table if section.claims else table.title)
    return text.getvalue()
