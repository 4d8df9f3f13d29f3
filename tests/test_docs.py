"""Every snippet of the pages in docs/ runs, and every file they link to is there."""

import contextlib
import io
import os
import re
import shlex
from pathlib import Path

import pytest

from reproduce import __main__ as reproduce
from tcvae_tf import cli, scoring
from tcvae_tf.datasets import dsprites
from tcvae_tf.sweep import PRESETS

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))


def snippets(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [page for page in PAGES if snippets(page, "python")], ids=lambda page: page.stem)
def test_the_snippets_of_a_page_run_in_their_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "docs"}
    for place, snippet in enumerate(snippets(page, "python")):
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(snippet, f"{page.name}, snippet {place + 1}", "exec"), names)


@pytest.mark.parametrize("page", [page for page in PAGES if snippets(page, "sh")], ids=lambda page: page.stem)
def test_the_commands_of_a_page_are_understood(page):
    for snippet in snippets(page, "sh"):
        for line in snippet.replace("$SLURM_ARRAY_TASK_ID", "7").splitlines():
            words = shlex.split(line)
            if words[0] == "tcvae":
                values = cli._COMMANDS[words[1]].define()
                assert len(values(words[1:])) == 2, line
            else:
                assert words[:3] == ["python", "-m", "reproduce"], line
                reproduce._parser().parse_args(words[3:])


def test_a_foreign_model_is_scored_on_the_grid_of_the_preset_quick():
    (line,) = snippets(ROOT / "docs" / "extending.md", "sh")[0].splitlines()
    values = cli._COMMANDS["score"].define()
    values(shlex.split(line)[1:])
    assert scoring.parse_grid(values.grid, values.scored) == dsprites.GRID.thin(PRESETS["quick"].dsprites["thin"])[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_linked_files_exist(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_readme_leads_to_every_page():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for page in PAGES:
        assert f"docs/{os.path.basename(page)}" in text, page.name
