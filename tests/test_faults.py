"""What a killed, interrupted, doubled or failing run leaves behind: never a wrong record, and no lost work."""

import contextlib
import dataclasses
import errno
import json
import math
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from interrupted import SMALL, cut, same_result, stop, weights

import tcvae_tf as tc
from tcvae_tf import callbacks, files, runs, sweep


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A run that nothing disturbed."""
    root = tmp_path_factory.mktemp("undisturbed")
    return root, tc.execute(SMALL, root, verbose=0)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """Where SMALL was stopped after step 20, with checkpoints after steps 17 and 18."""
    with pytest.MonkeyPatch.context() as patch:
        return cut(SMALL, tmp_path_factory.mktemp("stopped"), patch, saved=(17, 18))


@pytest.fixture
def home(stopped, tmp_path):
    """A copy of it, to be damaged."""
    return shutil.copytree(stopped, tmp_path / SMALL.id)


def start(root, run):
    words = [f"--{name}={value}" for name, value in dataclasses.asdict(run).items()]
    command = [sys.executable, "-m", "tcvae_tf.cli", "train", f"--root={root}", "--quiet", *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def wait_for(path, process, seconds=120):
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.01)


def test_a_run_killed_in_training_is_resumed_by_one_process_while_another_waits_and_ends_with_the_same_bits(tmp_path):
    run = dataclasses.replace(SMALL, steps=runs.SHORT)  # enough to be compiled by XLA
    root, record = tmp_path / "undisturbed", tc.execute(run, tmp_path / "undisturbed", verbose=0)
    process = start(tmp_path, run)
    wait_for(tmp_path / run.id / "checkpoint" / "latest.keras", process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    import keras

    reached = int(keras.models.load_model(tmp_path / run.id / "checkpoint" / "latest.keras").step)
    assert 0 < reached < record["steps"]
    assert not (tmp_path / run.id / "record.json").exists()
    both = [start(tmp_path, run) for _ in range(2)]  # processes that know nothing of the first
    words = [process.communicate(timeout=200)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], words
    assert sum("being worked on by another process; waiting" in each for each in words) == 1
    resumed = json.loads((tmp_path / run.id / "record.json").read_text())
    assert same_result(resumed, record)
    for a, b in zip(weights(tmp_path, run), weights(root, run), strict=True):
        assert np.array_equal(a, b)
    epochs = math.ceil(run.steps / 12)
    lines = [line.split(",")[0] for line in (tmp_path / run.id / "history.csv").read_text().splitlines()]
    assert list(dict.fromkeys(lines)) == ["epoch", *map(str, range(1, epochs + 1))]


def test_a_run_that_stops_within_an_epoch_ends_with_the_same_bits(done, home, tmp_path, capsys):
    """The last checkpoint is two steps old."""
    root, record = done
    assert int(callbacks.restored(home / runs.CHECKPOINT).step.value) == 18
    assert same_result(tc.execute(SMALL, tmp_path, verbose=2), record)
    assert "goes on from step 18 of " in capsys.readouterr().err
    for a, b in zip(weights(tmp_path, SMALL), weights(root, SMALL), strict=True):
        assert np.array_equal(a, b)


def test_a_run_that_stops_at_three_other_moments_ends_with_the_same_bits(done, tmp_path, monkeypatch):
    from tcvae_tf import codes

    _, record = done
    write = files.write_json
    on_epoch_end = callbacks.Checkpoint.on_epoch_end
    moments = [
        # history is written ahead of the checkpoint
        lambda patch: patch.setattr(callbacks.Checkpoint, "on_epoch_end", _second_time(on_epoch_end, patch)),
        lambda patch: patch.setattr(codes.Codes, "save", stop),
        lambda patch: patch.setattr(
            files, "write_json", lambda path, value: stop() if path.name == "record.json" else write(path, value)
        ),
    ]
    for moment in moments:
        with monkeypatch.context() as patch:
            moment(patch)
            with pytest.raises(KeyboardInterrupt):
                tc.execute(SMALL, tmp_path, verbose=0)
        assert not (tmp_path / SMALL.id / "record.json").exists()
    assert same_result(tc.execute(SMALL, tmp_path, verbose=0), record)


def _second_time(on_epoch_end, patch):
    """on_epoch_end that stops in the second epoch after writing history and before writing the checkpoint."""

    def stop(path):
        raise KeyboardInterrupt

    def wrapped(self, epoch, logs=None):
        if epoch == 1:
            patch.setattr(self.model, "save", stop)
            self._next_epoch = 0.0
        on_epoch_end(self, epoch, logs)

    return wrapped


def test_a_failing_run_leaves_its_error_and_no_record(tmp_path):
    run = dataclasses.replace(SMALL, learning_rate=1e30)
    with pytest.raises(FloatingPointError, match="step"):
        tc.execute(run, tmp_path, verbose=0)
    assert "FloatingPointError" in (tmp_path / run.id / "error.txt").read_text()
    assert not (tmp_path / run.id / "record.json").exists()


def test_half_a_record_is_no_record(done, tmp_path, caplog):
    root, _ = done
    home = tmp_path / SMALL.id
    home.mkdir()
    text = (root / SMALL.id / "record.json").read_text()
    (home / "record.json").write_text(text[: len(text) // 2])
    assert runs.read_record(SMALL, tmp_path) is None
    assert "cannot be read" in caplog.text


def test_a_checkpoint_of_other_data_or_versions_is_not_gone_on_with(done, home, tmp_path, caplog):
    _, record = done
    asked = files.read_json(home / "run.json")
    asked["versions"]["tcvae_tf"] = "0.0.0"
    files.write_json(home / "run.json", asked)
    assert same_result(tc.execute(SMALL, tmp_path, verbose=0), record)
    assert "begun with other data, versions, source or device; starting over" in caplog.text


def damage(path):
    """Changes a byte in the middle of a file, as a bad disk would."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def test_a_damaged_checkpoint_falls_back_on_the_one_before(done, home, tmp_path, caplog):
    root, record = done
    latest = home / runs.CHECKPOINT
    damage(latest)
    restored = callbacks.restored(callbacks.previous(latest))
    assert int(restored.step.value) == 17
    assert same_result(tc.execute(SMALL, tmp_path, verbose=0), record)
    assert "latest.keras cannot be read" in caplog.text
    for a, b in zip(weights(tmp_path, SMALL), weights(root, SMALL), strict=True):
        assert np.array_equal(a, b)


def test_with_both_checkpoints_damaged_a_run_starts_over(done, home, tmp_path, caplog):
    _, record = done
    latest = home / runs.CHECKPOINT
    latest.write_bytes(latest.read_bytes()[:1000])
    callbacks.previous(latest).write_bytes(b"")
    assert same_result(tc.execute(SMALL, tmp_path, verbose=0), record)
    assert caplog.text.count("cannot be read") == 2


def test_a_machine_that_dies_between_two_checkpoints_leaves_one(done, home, tmp_path):
    """The latest was set aside, the new one is not in its place yet."""
    _, record = done
    latest = home / runs.CHECKPOINT
    latest.unlink()
    assert same_result(tc.execute(SMALL, tmp_path, verbose=0), record)


def test_damaged_codes_are_made_again_from_the_checkpoint(done, tmp_path, monkeypatch, caplog):
    root, record = done
    shutil.copytree(root / SMALL.id, tmp_path / SMALL.id)
    (tmp_path / SMALL.id / "record.json").unlink()
    damage(tmp_path / SMALL.id / "codes.npz")
    monkeypatch.setattr(tc.VAE, "fit", None)  # it is not trained again
    assert same_result(tc.execute(SMALL, tmp_path, verbose=0), record)
    assert "codes.npz cannot be read" in caplog.text


@contextlib.contextmanager
def full_disk(limit):
    """No file may grow beyond so many bytes: the system refuses to write on, as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_fails_the_run_and_spoils_nothing(done, home, tmp_path):
    _, record = done
    kept = (home / runs.CHECKPOINT).read_bytes()
    with full_disk(20_000), pytest.raises(Exception, match=r"File too large|(E|e)rrno (= )?27"):
        tc.execute(SMALL, tmp_path, verbose=0)
    assert (home / runs.CHECKPOINT).read_bytes() == kept
    assert not list(home.rglob("*.partial*"))
    assert "too large" in (home / "error.txt").read_text()
    assert same_result(tc.execute(SMALL, tmp_path, verbose=0), record)
    assert not (home / "error.txt").exists()


def test_a_disk_too_full_for_the_error_still_reports_it(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(runs, "_train_and_measure", full)
    monkeypatch.setattr(runs.files, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        tc.execute(SMALL, tmp_path, verbose=0)


def test_a_disk_too_full_for_the_images_is_an_error_and_no_crash(tmp_path, monkeypatch):
    from tcvae_tf.datasets import cache

    monkeypatch.setenv("TCVAE_CACHE", str(tmp_path))
    with full_disk(10_000), pytest.raises(OSError, match="File too large"):
        cache.cached("large", (100, 1000), lambda write: write(0, np.zeros((100, 1000), np.uint8)))
    assert not list(tmp_path.glob("*.npy*")) and not list(tmp_path.glob(".*partial*"))


def test_a_root_where_nothing_can_be_written_is_told_before_any_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a directory")
    monkeypatch.setattr(runs, "_train_and_measure", None)
    monkeypatch.setattr(sweep.executors, "make", None)
    for root in (tmp_path / "file", tmp_path / "file" / "runs"):
        message = re.escape(f"cannot write in {root} (") + ".*choose another directory"
        with pytest.raises(ValueError, match=message):
            tc.execute(SMALL, root, verbose=0)
        with pytest.raises(ValueError, match=message):
            sweep.execute_all([SMALL], root)
