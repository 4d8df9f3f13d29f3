"""Sweeps: presets as data, executors that agree, failures that do not stop the others."""

import dataclasses
import math
import os
import subprocess
import sys
import time
import types

import pytest

import tcvae_tf as tc
from tcvae_tf import executors, files, live, runs, sweep
from tcvae_tf.executors import Resources
from tcvae_tf.sweep import PRESETS

SMALL = tc.Run(width=8, batch_size=32, thin=6, steps=4, latent_dim=3, method="vae", dataset="sweep_data:squares")


def write_data(folder):
    """A tiny data set in a module that worker processes can import too."""
    (folder / "sweep_data.py").write_text(
        "import numpy as np, tcvae_tf as tc\n"
        "def squares():\n"
        "    cells = np.stack(np.unravel_index(np.arange(1296), (36, 36)), -1)\n"
        "    images = np.zeros((1296, 6, 6), np.uint8)\n"
        "    for image, (x, y) in zip(images, cells): image[x // 6, y // 6] = 1\n"
        "    return tc.datasets.from_arrays(images, cells, ('x', 'y'), name='squares')\n"
    )
    return folder


@pytest.fixture(autouse=True)
def data(tmp_path_factory, monkeypatch):
    folder = write_data(tmp_path_factory.mktemp("data"))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.syspath_prepend(folder)


def test_presets_multiply_variants_by_seeds():
    made = PRESETS["cpu"].runs([{"method": "vae"}, {"method": "beta_vae", "beta": 4.0}])
    assert [(run.method, run.seed) for run in made[:3]] == [("vae", 0), ("beta_vae", 0), ("vae", 1)]
    assert len({run.id for run in made}) == 10
    assert {run.width for run in made} == {256}


def test_the_paper_preset_is_the_paper_s_settings():
    (run, *_) = PRESETS["paper"].runs([{}])
    assert run == tc.Run(dataset="dsprites", method="beta_tcvae", beta=6.0, width=1200, batch_size=2048, epochs=50)
    assert (run.learning_rate, run.estimator, run.latent_dim, run.initializer) == (1e-3, "mws", 10, "pytorch")
    assert PRESETS["paper"].deviations() == PRESETS["paper"].deviations("faces3d") == []
    (faces, *_) = PRESETS["paper"].runs([{}], "faces3d")
    assert faces == tc.Run(dataset="faces3d", network="conv", width=512)


@pytest.mark.parametrize("dataset", ["dsprites", "faces3d"])
@pytest.mark.parametrize("preset", list(PRESETS))
def test_factor_vae_takes_twice_the_iterations(preset, dataset):
    images = {"dsprites": 737_280, "faces3d": 127_050}[dataset]
    variants = [{"method": "vae"}, PRESETS[preset].factor_vae(dataset, 10.0)]
    vae, factor = PRESETS[preset].runs(variants, dataset)[:2]
    steps = [run.step_count(images // run.images_per_step) for run in (vae, factor)]
    assert steps[1] == pytest.approx(2 * steps[0], rel=0.01)
    assert factor.images_per_step == 2 * vae.images_per_step


def test_a_preset_lists_how_it_departs_from_the_paper():
    assert "width 128 instead of 1200" in PRESETS["quick"].deviations()
    assert any("2 seeds a method" in words for words in PRESETS["quick"].deviations())


def same(records, others):
    """Whether records agree in all but time, host, and the commit, which someone may make meanwhile."""
    aside = ("seconds", "device", "commit")
    kept = [[{k: v for k, v in one.items() if k not in aside} for one in all_] for all_ in (records, others)]
    return kept[0] == kept[1]


@pytest.fixture(scope="module")
def runs_and_records(tmp_path_factory):
    """Three runs, executed one after the other in this process."""
    home = tmp_path_factory.mktemp("serial")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(write_data(home))
        todo = [dataclasses.replace(SMALL, seed=seed) for seed in range(3)]
        return todo, sweep.execute_all(todo, home, "serial")


def test_the_same_run_is_done_once_and_records_come_in_the_order_asked(runs_and_records, tmp_path):
    todo, records = runs_and_records
    assert [record["id"] for record in records] == [run.id for run in todo]
    found = []
    again = sweep.execute_all([todo[1], todo[1]], tmp_path, "serial", on_record=lambda run, _: found.append(run))
    assert same(again, records[1:2])
    assert found == todo[1:2]


def test_a_worker_that_is_killed_is_replaced_and_its_run_goes_on(runs_and_records, tmp_path, monkeypatch):
    """Two workers, both killed −9 in their first run."""
    todo, records = runs_and_records
    killed = []
    started = executors.Processes.start

    def start_and_kill(self, run):
        started(self, run)
        if len(killed) < 2:
            killed.append(run)
            self._busy[run].process.kill()

    monkeypatch.setattr(executors.Processes, "start", start_and_kill)
    found = sweep.execute_all(todo, tmp_path, "processes", Resources(workers=2))
    assert len(killed) == 2
    assert same(found, records)


def test_runs_that_fail_or_whose_worker_is_killed_each_time_fail_alone(tmp_path, monkeypatch):
    """Killed as the system does to a run that needs too much memory."""
    bad, killed, good = (dataclasses.replace(SMALL, seed=seed) for seed in (7, 8, 9))
    bad = dataclasses.replace(bad, thin=36)  # no factor has two values then
    started = executors.Processes.start

    def start_and_kill(self, run):
        started(self, run)
        if run == killed:
            self._busy[run].process.kill()

    monkeypatch.setattr(executors.Processes, "start", start_and_kill)
    with pytest.raises(sweep.SweepFailed, match=r"2 of 3 runs failed: ") as error:
        sweep.execute_all([bad, killed, good], tmp_path, "processes", Resources(workers=1))
    assert set(error.value.failures) == {bad, killed}
    assert "\n" not in str(error.value)
    assert f"{bad.id}/error.txt: ValueError: sweep_data:squares: no factor" in str(error.value)
    assert "killed by SIGKILL, twice" in error.value.failures[killed]
    assert runs.read_record(good, tmp_path) is not None
    assert runs.read_record(bad, tmp_path) is None


SWEEP = """
import sys, dataclasses
import tcvae_tf as tc
from tcvae_tf import sweep
todo = [tc.Run(**fields) for fields in {fields}]
sweep.execute_all(todo, sys.argv[1], "processes", sweep.Resources(workers=1))
"""


def test_two_sweeps_share_a_directory_and_one_that_is_killed_takes_its_workers_along(runs_and_records, tmp_path):
    """The first is killed −9 in the middle; the second does what is left, and nothing twice."""
    todo, records = runs_and_records
    program = SWEEP.format(fields=[dataclasses.asdict(run) for run in todo])
    words = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    first, second = (subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], **words) for _ in range(2))
    until(lambda: any(tmp_path.glob("*/record.json")), first)
    first.kill()
    first.wait()
    assert second.wait(timeout=200) == 0
    assert same([runs.read_record(run, tmp_path) for run in todo], records)
    until(lambda: not any(files.is_locked(path) for path in tmp_path.glob("*/lock")), second)
    assert not list(tmp_path.rglob("*.partial*"))
    starts = {path.parent.name: path.read_text().count(executors.BEGUN) for path in tmp_path.glob("*/log.txt")}
    assert set(starts) == {run.id for run in todo}
    assert sum(starts.values()) <= len(todo) + 1  # what the first was killed in was begun again


def until(happened, process, seconds=150):
    deadline = time.monotonic() + seconds
    while not happened():
        assert process.poll() in (None, 0), "the sweep ended"
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def test_two_machines_of_a_ray_cluster_give_the_same_records(runs_and_records, tmp_path):
    """A head without processors and two nodes with one each, on the loopback interface."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    todo, records = runs_and_records
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        resources = Resources(address=cluster.address)
        bad = dataclasses.replace(SMALL, thin=36)
        with pytest.raises(sweep.SweepFailed, match=r"1 of 3 runs failed: .*ValueError: sweep_data:squares: no factor"):
            sweep.execute_all([*todo[:2], bad], tmp_path, "ray", resources)
    finally:
        cluster.shutdown()
    assert same([runs.read_record(run, tmp_path) for run in todo[:2]], records[:2])
    assert len({(tmp_path / run.id / "log.txt").read_text() for run in todo[:2]}) == 2  # each names its node


def test_a_record_comes_back_from_a_disk_that_is_not_shared(runs_and_records, tmp_path):
    todo, records = runs_and_records
    pool = object.__new__(executors.Ray)
    pool.root = tmp_path
    pool._ray = types.SimpleNamespace(get=lambda task: task, exceptions=types.SimpleNamespace(RayError=OSError))
    assert pool._collect({"error": None, "record": records[0]}, todo[0]) is None
    assert runs.read_record(todo[0], tmp_path) == records[0]


def test_a_failing_run_does_not_stop_the_others_and_is_reported(tmp_path):
    bad = dataclasses.replace(SMALL, learning_rate=1e30)
    with pytest.raises(sweep.SweepFailed, match=rf"1 of 2 runs failed: .*{bad.id}.*error.txt: .*step \d+") as error:
        sweep.execute_all([bad, SMALL], tmp_path, "serial")
    assert "\n" not in str(error.value)
    assert runs.read_record(SMALL, tmp_path) is not None
    assert runs.read_record(bad, tmp_path) is None


def test_done_runs_are_not_started_again(runs_and_records, tmp_path, monkeypatch):
    todo, records = runs_and_records
    files.write_json(tmp_path / todo[0].id / "record.json", records[0])
    monkeypatch.setattr(executors, "make", None)
    assert sweep.execute_all(todo[:1], tmp_path, "processes") == records[:1]


def test_runs_that_another_sweep_is_at_are_left_for_later(tmp_path):
    first, second = SMALL, dataclasses.replace(SMALL, seed=1)
    with files.locked(tmp_path / first.id / "lock"):
        assert sweep._next([first, second], tmp_path) == second
        assert sweep._next([first], tmp_path) is None
    assert sweep._next([first, second], tmp_path) == first


def test_serial_records_each_run_before_the_next_begins(tmp_path, monkeypatch):
    events = []

    def execute(run, root, **rest):
        events.append(f"run {run.seed}")
        header = {"id": run.id, "run": dataclasses.asdict(run), "recipe": run.recipe, "measures": runs.MEASURES}
        files.write_json(root / run.id / "record.json", header)

    monkeypatch.setattr(runs, "execute", execute)
    todo = [tc.Run(width=8, seed=seed) for seed in range(3)]
    sweep.execute_all(todo, tmp_path, "serial", on_record=lambda run, _: events.append(f"record {run.seed}"))
    assert events == [f"{what} {seed}" for seed in range(3) for what in ("run", "record")]


def test_a_worker_that_was_killed_while_idle_can_be_closed(tmp_path):
    worker = executors._Worker(dict(os.environ))
    worker.process.kill()
    worker.process.wait()
    worker.execute(SMALL, tmp_path, 0)
    while (answer := worker.answer()) is None:
        time.sleep(0.01)
    assert answer == {"killed": "the process was killed by SIGKILL"}
    worker.close()


def test_serial_says_where_it_cannot_keep_to_its_threads(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(executors.provenance, "threads", lambda: 4)
    executors.Serial(tmp_path, 4, 0)
    assert not caplog.text
    executors.Serial(tmp_path, 1, 0)  # these tests have imported TensorFlow
    assert "held to --threads=1 and trains with 4, other bits; --executor=processes keeps to them" in caplog.text


@pytest.mark.parametrize("resources", [Resources(workers=-1), Resources(threads=0)])
def test_fewer_than_one_worker_or_thread_is_refused(tmp_path, resources):
    with pytest.raises(ValueError, match="must be at least 1"):
        sweep.execute_all([SMALL], tmp_path, resources=resources)


def test_as_many_runs_at_a_time_as_cores_and_memory_hold(monkeypatch):
    monkeypatch.setattr(executors.provenance, "cores", lambda: 8)
    monkeypatch.setattr(executors.provenance, "free_memory", lambda: 10e9)
    monkeypatch.setattr(executors, "gpus", list)
    assert executors.capacity(Resources(), need=1e9) == 8
    assert executors.capacity(Resources(threads=2), need=1e9) == 4
    assert executors.capacity(Resources(), need=3e9) == 3
    assert executors.capacity(Resources(), need=30e9) == 1
    assert executors.capacity(Resources(workers=5), need=30e9) == 5  # who says so knows
    monkeypatch.setattr(executors.provenance, "free_memory", lambda: math.inf)
    assert executors.capacity(Resources(), need=30e9) == 8


@pytest.mark.parametrize(
    ("visible", "seen"),
    [
        (None, ["0", "1", "2"]),
        ("2,0", ["2", "0"]),
        ("GPU-4f1c, GPU-9a02", ["GPU-4f1c", "GPU-9a02"]),
        ("1,-1,2", ["1"]),
        ("0,7,1", ["0"]),
        ("NoDevFiles", []),
        ("-1", []),
        ("", []),
    ],
)
def test_one_run_at_a_time_for_each_gpu_that_can_be_seen(tmp_path, monkeypatch, visible, seen):
    monkeypatch.setattr(executors, "_DEVICES", tmp_path)
    for name in ("nvidia0", "nvidia3", "nvidia12", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert executors.gpus() == seen
    monkeypatch.setattr(executors.provenance, "cores", lambda: 64)
    monkeypatch.setattr(executors.provenance, "free_memory", lambda: math.inf)
    assert executors.capacity(Resources(), need=1e9) == (len(seen) or 64)
    monkeypatch.setattr(executors.provenance, "free_memory", lambda: 2.5e9)
    assert executors.capacity(Resources(), need=1e9) == (min(2, len(seen)) or 2)
    monkeypatch.setattr(executors, "_DEVICES", tmp_path / "none")
    assert executors.gpus() == []


@pytest.mark.parametrize(
    ("gpus", "given"), [([], [None] * 4), (["5"], ["5"] * 4), (["0", "GPU-4f1c"], ["0", "GPU-4f1c", "0", "GPU-4f1c"])]
)
def test_workers_are_dealt_the_gpus_of_the_machine(tmp_path, monkeypatch, gpus, given):
    hired = []

    class Worker:
        born = math.inf

        def __init__(self, environment, gpu):
            assert environment.get("CUDA_VISIBLE_DEVICES") == gpu
            self.gpu, self.killed = gpu, False
            hired.append(self)

        def execute(self, run, root, measure_every):
            pass

        def answer(self):
            return {"killed": "killed"} if self.killed else None

        def close(self):
            pass

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(executors, "_Worker", Worker)
    monkeypatch.setattr(executors, "gpus", lambda: gpus)
    processes = executors.Processes(tmp_path, 1, 0, 4)
    for seed in range(4):
        processes.start(tc.Run(seed=seed))
    assert [worker.gpu for worker in hired] == given
    hired[1].killed = True
    assert processes.ended() == []  # its run goes on, on the GPU that has become free
    assert hired[4].gpu == given[1]


def test_an_unknown_executor_names_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match=r"did you mean 'serial'.*choose from serial, processes, ray"):
        sweep.execute_all([], tmp_path, "serail")


def test_where_there_is_no_terminal_a_line_counts_each_run_once(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    chosen = [tc.Run(seed=seed) for seed in range(3)]
    for run, name, text in ((chosen[0], "record.json", "{}"), (chosen[1], "progress.json", '{"step": 2, "steps": 5}')):
        (tmp_path / run.id).mkdir()
        (tmp_path / run.id / name).write_text(text)
    with live.View(chosen, tmp_path) as view:
        for active in (chosen[:2], chosen[:1]):  # the first has its record and is about to end
            view._last = -1e9
            view.update(active, {})
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"0 min: 1 of 3 runs done, 1 running; {chosen[1].id} 38%",
        "0 min: 1 of 3 runs done, 0 running",
    ]
