"""What may go of a directory of runs, what never does, and that a run at work is left alone."""

import dataclasses
import json

import pytest

import tcvae_tf as tc
from tcvae_tf import cleaning, files, runs

#: What must outlast any cleaning.
SACRED = ("record.json", "run.json", "history.csv", "log.txt", "error.txt", "lock", "notes.txt")
PARTIAL, PARTIAL_CHECKPOINT = ".codes.12345678.partial.npz", "checkpoint/.latest.12345678.partial.keras"


def home(root, seed=0, record=True, **changes):
    """The directory of a run with all that may lie in it; `changes` are of its record."""
    run = tc.Run(seed=seed)
    path = root / run.id
    (path / "checkpoint").mkdir(parents=True)
    header = {"id": run.id, "run": dataclasses.asdict(run), "recipe": changes.get("recipe", run.recipe)}
    for name in (*SACRED, "progress.json", "pictures.npz", "discriminator.json", PARTIAL):
        (path / name).write_text("x")
    (path / "codes.npz").write_bytes(bytes(300))
    (path / "checkpoint" / "latest.keras").write_bytes(bytes(1000))
    (path / PARTIAL_CHECKPOINT).write_bytes(bytes(20))
    (path / "run.json").write_text(json.dumps(header))
    (path / "record.json").unlink()
    if record:
        (path / "record.json").write_text(json.dumps({**header, "measures": runs.MEASURES, **changes}))
    return path


def names(items):
    return {str(item.path.relative_to(item.home)) for item in items}


def everything(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_of_a_finished_run_checkpoints_codes_and_leftovers_can_go(tmp_path):
    home(tmp_path)
    found = cleaning.find(tmp_path)
    assert {item.kind: item.bytes for item in found if item.kind in ("checkpoints", "codes")} == {
        "checkpoints": 1000,
        "codes": 300,
    }
    leftovers = {item for item in found if item.kind == "leftovers"}
    assert names(leftovers) == {"progress.json", PARTIAL, PARTIAL_CHECKPOINT}
    assert names(cleaning.find(tmp_path, ["codes"])) == {"codes.npz"}


def test_finding_changes_nothing(tmp_path):
    home(tmp_path)
    home(tmp_path, seed=1, record=False)
    before = everything(tmp_path)
    cleaning.find(tmp_path, tuple(cleaning.KINDS))
    assert everything(tmp_path) == before


def test_what_is_deleted_is_what_was_found_and_records_stay(tmp_path):
    paths = [home(tmp_path), home(tmp_path, seed=1, recipe=1), home(tmp_path, seed=2, record=False)]
    before = everything(tmp_path)
    found = cleaning.find(tmp_path, tuple(cleaning.KINDS))
    assert cleaning.delete(found) == found
    gone = set(before) - set(everything(tmp_path))
    assert gone == {item.path.relative_to(tmp_path) for item in found}
    for path in paths:
        kept = {name for name in SACRED if path.relative_to(tmp_path) / name in before}
        assert len(kept) >= len(SACRED) - 1  # the last has no record
        assert all((path / name).exists() for name in kept)
    assert cleaning.find(tmp_path, tuple(cleaning.KINDS)) == []


@pytest.mark.parametrize(
    "changes", [{"record": False}, {"measures": runs.MEASURES - 1}], ids=["cut off", "old measures"]
)
def test_what_is_not_finished_is_touched_only_when_it_is_named(tmp_path, changes):
    path = home(tmp_path, **changes)
    assert cleaning.state(path) == "unfinished"
    assert cleaning.find(tmp_path) == []
    found = cleaning.find(tmp_path, ["unfinished"])
    assert {"checkpoint/latest.keras", "codes.npz", PARTIAL} < names(found)
    assert {item.kind for item in found} == {"unfinished"}


def test_the_work_of_another_recipe_is_outdated(tmp_path):
    path = home(tmp_path, recipe=tc.Run().recipe - 1)
    assert cleaning.state(path) == "outdated"
    assert {item.kind for item in cleaning.find(tmp_path)} == {"outdated"}


def test_the_work_of_a_later_recipe_is_another_version_s_to_go_on_with(tmp_path):
    assert cleaning.state(home(tmp_path, recipe=tc.Run().recipe + 1)) == "unfinished"
    assert cleaning.find(tmp_path) == []


@pytest.mark.parametrize("method", ["vae", "beta_tcvae"])
def test_fields_that_only_another_version_knows_do_not_matter(tmp_path, method):
    fields = {**dataclasses.asdict(tc.Run(method=method)), "of_another_version": 1}
    path = home(tmp_path, run=fields, recipe=tc.Run(method=method).recipe)
    assert cleaning.state(path) == "finished"


def test_a_run_at_work_is_neither_listed_nor_touched(tmp_path):
    path = home(tmp_path)
    found = cleaning.find(tmp_path)
    with files.locked(path / "lock"):
        assert cleaning.state(path) == "busy"
        assert cleaning.find(tmp_path, tuple(cleaning.KINDS)) == []
        before = everything(tmp_path)
        assert cleaning.delete(found) == []  # found before somebody took it up
        assert everything(tmp_path) == before
    assert cleaning.delete(found) == found


def test_a_run_that_began_anew_since_it_was_listed_is_left(tmp_path):
    path = home(tmp_path)
    found = cleaning.find(tmp_path)
    (path / "record.json").unlink()
    assert cleaning.delete(found) == []
    assert (path / "checkpoint" / "latest.keras").exists()


def test_only_directories_that_say_they_are_runs_are_looked_at(tmp_path):
    path = home(tmp_path)
    path.rename(tmp_path / "my_best_model")
    (tmp_path / "other" / "checkpoint").mkdir(parents=True)
    (tmp_path / "other" / "run.json").write_text("[1, 2")
    (tmp_path / "other" / "checkpoint" / "latest.keras").write_text("x")
    assert cleaning.homes(tmp_path) == []
    assert cleaning.find(tmp_path, tuple(cleaning.KINDS)) == []


def test_runs_are_found_below_and_at_the_root(tmp_path):
    path = home(tmp_path / "deep" / "runs")
    assert cleaning.homes(tmp_path) == cleaning.homes(path) == [path]
    with pytest.raises(FileNotFoundError, match="nowhere: no such directory"):
        cleaning.find(tmp_path / "nowhere")
