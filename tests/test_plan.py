"""The plan of a sweep: counts that are the networks' own, and a command that starts nothing."""

import dataclasses
import io
import json
import math

import keras
import pytest

import tcvae_tf as tc
from reproduce import __main__ as reproduce
from reproduce import plans
from tcvae_tf import executors, files, plan, runs
from tcvae_tf.executors import Resources
from tcvae_tf.sweep import PRESETS

SHAPE = (64, 64, 1)


def networks(run):
    return getattr(tc.networks, run.network)(SHAPE, run.latent_dim, run.width)


def multiplications(layer):
    """Of a layer for one image."""
    places = 1
    if isinstance(layer, keras.layers.Conv2DTranspose):
        places = math.prod(layer.input.shape[1:3])
    elif isinstance(layer, keras.layers.Conv2D):
        places = math.prod(layer.output.shape[1:3])
    return places * math.prod(layer.kernel.shape)


@pytest.mark.parametrize("run", [tc.Run(width=16), tc.Run(network="conv", width=32)], ids=["mlp", "conv"])
def test_weights_and_flop_are_those_of_the_networks(run):
    layers = [layer for part in networks(run) for layer in part.layers if hasattr(layer, "kernel")]
    assert plan.weights(run) == sum(math.prod(layer.kernel.shape) for layer in layers)
    products = [multiplications(layer) for layer in layers]
    assert plan.step_flop(run) == run.batch_size * (6 * sum(products) - 2 * products[0])


@pytest.mark.parametrize("network, width", [("mlp", 16), ("conv", 32)])
def test_images_of_another_shape_are_planned_for(tmp_path, monkeypatch, network, width):
    (tmp_path / "wide_data.py").write_text(
        "import numpy as np, tcvae_tf as tc\n"
        "def wide():\n"
        "    cells = np.stack(np.unravel_index(np.arange(6), (2, 3)), -1)\n"
        "    images = np.random.default_rng(0).integers(256, size=(6, 32, 48, 3), dtype=np.uint8)\n"
        "    return tc.datasets.from_arrays(images, cells)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    run = tc.Run(dataset="wide_data:wide", network=network, width=width, batch_size=6, steps=2)
    made = getattr(tc.networks, network)((32, 48, 3), run.latent_dim, width)
    layers = [layer for part in made for layer in part.layers if hasattr(layer, "kernel")]
    assert plan.weights(run) == sum(math.prod(layer.kernel.shape) for layer in layers)
    products = [multiplications(layer) for layer in layers]
    assert plan.step_flop(run) == 6 * (6 * sum(products) - 2 * products[0])
    assert plan.memory(run) > plan.memory(tc.Run(network=network, width=width, batch_size=6))


def test_a_batch_of_more_images_than_there_are_is_told_before_anything_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "_measured", None)
    with pytest.raises(ValueError, match="has 3 images, fewer than a step takes, 2,048; give a smaller"):
        plan.plan([tc.Run(thin=1, fix="orientation=0,posX=0,posY=0,scale=0", batch_size=2048)], tmp_path, 1)


def test_a_step_and_a_run_of_the_paper_s_size():
    assert plan.step_flop(tc.Run()) == pytest.approx(154e9, rel=0.01)
    assert plan.step_flop(tc.Run()) * plan.steps(tc.Run()) == pytest.approx(2.8e15, rel=0.02)


def test_factor_vae_costs_its_second_batch_and_its_discriminator_more():
    vae, factor = (dataclasses.replace(tc.Run(method="vae"), method=method) for method in ("vae", "factor_vae"))
    both, discriminator = plan.weights(vae), 5 * 1000**2 + 1000 * 12
    assert plan.step_flop(factor) - plan.step_flop(vae) == factor.batch_size * (both + 16 * discriminator)


@pytest.mark.parametrize("preset", ["smoke", "quick"])
def test_steps_are_those_that_the_data_give(preset):
    for part in ("dsprites", "faces3d", "pose"):
        run = PRESETS[preset].runs([{}], part)[0]
        assert plan.steps(run) == run.step_count(runs.load(run).steps_per_epoch(run.images_per_step))


def test_memory_grows_with_width_and_batch():
    small, wide, large = tc.Run(width=64), tc.Run(width=1200), tc.Run(width=64, batch_size=8192)
    assert 1.5e9 < plan.memory(small) < plan.memory(wide) < plan.memory(large)


def test_hours_are_of_what_is_not_done(tmp_path, monkeypatch):
    todo = PRESETS["quick"].runs([{"method": "vae"}, {"beta": 6.0}])
    monkeypatch.setattr(plan, "_measured", lambda left, *rest: {plan._key(run): TIMES for run in left})
    monkeypatch.setattr(runs, "read_record", lambda run, root: {} if run.method == "vae" else None)
    lines = {line.what.split(", ")[1]: line for line in plan.plan(todo, tmp_path, places=2)}
    assert {name: (line.count, line.done) for name, line in lines.items()} == {"vae": (2, 2), "beta_tcvae": (2, 0)}
    line = lines["beta_tcvae"]
    assert (line.steps, line.epochs) == (960, 4)
    assert line.seconds == pytest.approx(10 + 960 * 0.5 + 30_720 * 1e-3 + plan._FIXED)
    shown = plans.show(todo, "quick", tmp_path, Resources(workers=2)).splitlines()
    hours = f"{2 * line.seconds / 2 / 3600:.2f}"
    assert any(row.startswith("| **all** | 4 | 2 |") and f"| {hours} |" in row for row in shown)


def test_trials_are_on_the_gpus_that_the_sweep_will_take(monkeypatch):
    seen = []

    class Trial:
        def __init__(self, command, env, **options):
            seen.append(env["CUDA_VISIBLE_DEVICES"])
            self.stdin, self.stdout = io.StringIO(), io.StringIO(json.dumps(TIMES))

        def kill(self):
            pass

        def wait(self):
            pass

    monkeypatch.setattr(plan.subprocess, "Popen", Trial)
    monkeypatch.setattr(plan.executors, "gpus", lambda: ["0", "5"])
    assert plan._trials("[]", ["a"], 3, 1, lambda: None) == {"a": TIMES}
    assert seen == ["0", "5", "0"]


def test_a_method_of_one_s_own_is_planned_without_hours(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "_trials", lambda tasks, keys, *rest: dict.fromkeys(keys, TIMES))
    lines = plan.plan([tc.Run(method="my_model:make_model"), tc.Run()], tmp_path, 1)
    assert [math.isnan(line.seconds) for line in lines] == [True, False]


TIMES = {"start": 10.0, "step": 0.5, "image": 1e-3}


def test_plan_shows_every_run_of_a_preset_and_starts_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(executors, "make", None)
    monkeypatch.setattr(plan, "_trials", lambda tasks, keys, *rest: dict.fromkeys(keys, TIMES))
    assert reproduce.main(["all", "--preset=smoke", "--plan", f"--root={tmp_path}"]) == 0
    wanted = reproduce._runs(reproduce._parser().parse_args(["all", "--preset=smoke"]))
    assert f"| **all** | {len(wanted)} | 0 |" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]
    monkeypatch.setattr(plan, "_trials", None)  # what was measured is not measured again
    assert reproduce.main(["all", "--preset=smoke", "--plan", f"--root={tmp_path}"]) == 0


def test_trials_time_a_setting_in_several_processes_and_name_what_failed(monkeypatch):
    tasks = [dataclasses.asdict(tc.Run(width=8, batch_size=16)), {"width": -1}]
    monkeypatch.setattr(executors, "environment", lambda threads: {"TF_NUM_INTRAOP_THREADS": "1"})
    with pytest.raises(RuntimeError, match="trial for the plan failed: ValueError: Run: width"):
        plan._trials(files.json.dumps(tasks), ["small", "bad"], 1, 1, lambda: passed.append(1))
    assert passed == [1]


passed: list[int] = []


def test_images_that_cannot_occur_are_not_counted(tmp_path, monkeypatch):
    (tmp_path / "partial_data.py").write_text(
        "import numpy as np, tcvae_tf as tc\n"
        "def some():\n"
        "    cells = np.array([[0, 0], [0, 1], [1, 2], [1, 0], [0, 2]])\n"
        "    grid = tc.FactorGrid(('a', 'b'), (2, 3), weights=np.array([1, 1, 1, 1, 0, 1]) / 5)\n"
        "    return tc.datasets.from_arrays(np.zeros((5, 8, 8, 1), np.uint8), cells, grid=grid)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    run = tc.Run(dataset="partial_data:some", width=8, batch_size=2)
    assert plan.images(run) == len(runs.load(run)) == 5
    assert plan._about(run.dataset).packed


def test_a_plan_knows_the_images_of_a_data_set_without_loading_it():
    for name in tc.datasets.KNOWN:
        data, told = tc.load(name), plan._about(name)
        assert (told.grid, told.image_shape) == (data.grid, data.image_shape)
        assert told.packed == (data.storage.ndim == 2)
