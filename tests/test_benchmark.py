"""The benchmark of training and its report, on sizes small enough for a test."""

import numpy as np
import pytest

from reproduce import __main__ as reproduce
from reproduce import benchmark, benchmark_machine, benchmark_profile, benchmark_steps, benchmark_training
from tcvae_tf import results


def test_the_products_are_those_of_a_step():
    """Two products for each kernel forward and backward, a third for all that have inputs with a gradient."""
    batch, width, latents, pixels = 7, 5, 3, 11
    kernels = [(pixels, width), (width, width), (width, 2 * latents)]
    kernels += [(latents, width), (width, width), (width, width), (width, pixels)]
    flop = 6 * batch * sum(a * b for a, b in kernels) - 2 * batch * pixels * width
    assert benchmark_machine.Bound(benchmark_machine.mlp(batch, width, latents, pixels)).flop == flop
    forward = benchmark_machine.mlp(batch, width, latents, pixels, backward=False)
    assert benchmark_machine.Bound(forward).flop == 2 * batch * sum(a * b for a, b in kernels)


@pytest.mark.parametrize("order", ["nn", "tn", "nt"])
def test_all_libraries_multiply_the_same_matrices(order):
    product = benchmark_machine.Product(4, 6, 5, order)
    by_numpy = benchmark_machine._by_numpy(product)
    assert by_numpy().shape == (4, 5)
    for xla in (True, False):
        assert benchmark_machine._by_tensorflow(product, xla)() == pytest.approx(by_numpy()[0, 0], rel=1e-5)


def test_a_bound_counts_each_product_as_often_as_it_is_made():
    product = benchmark_machine.Product(8, 8, 8)
    bound = benchmark_machine.Bound([product, product])
    bound.measure(0.0)
    once = benchmark_machine.Bound([product])
    once._taken = bound._taken
    assert bound.seconds() == 2 * once.seconds() > 0


def test_the_term_takes_the_same_gradient_in_blocks_and_whole():
    blocks, whole = (benchmark_steps.total_correlation(16, rows)() for rows in (4, 16))
    assert blocks == pytest.approx(whole, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize(
    ("value", "target", "met"), [(0.7, "≥ 0.75", False), (0.8, "≥ 0.75", True), (3, "≤ 2", False), (3, "", None)]
)
def test_targets_are_met_or_not(value, target, met):
    assert benchmark_training.met(benchmark_training.row("part", "what", value, "s", target)) is met


def test_the_report_says_what_failed_and_shows_how_the_cost_grows(tmp_path):
    rows = [
        benchmark_training.row("A step", "bound ÷ step", 0.7, "", "≥ 0.75", "aimed at 0.8"),
        benchmark_training.row("A step", "β-TCVAE", 50, "ms"),
        *(benchmark_training.row("growth in batch", "step", 10 * x, "ms", x=x) for x in (256, 512)),
    ]
    results.write_rows(tmp_path / benchmark.TRAINING, [{**row, "machine": "a machine"} for row in rows])
    line = {"measure": "mig", "images": "100", "latents": "10", "samples": "0", "scales": "trained", "repeats": "1"}
    line |= {"seconds": "0.5", "gigabytes": "0.1", "error": "1e-6", "machine": "another"}
    measures = [line, {**line, "images": "50", "seconds": "0.2"}]
    results.write_rows(tmp_path / benchmark.MEASURES, measures)
    text = benchmark.write(tmp_path)
    assert "| bound ÷ step | 0.7 | ≥ 0.75 | **NO: failed** | aimed at 0.8 |" in text
    assert "| β-TCVAE | 50 ms |  |  |  |" in text
    assert "growth in" not in text and "figures/benchmark.png" in text
    assert (tmp_path / "figures" / "benchmark.svg").exists()


def test_a_benchmark_writes_and_prints_its_report_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "run", lambda out, quick: f"report of {out}, quick: {quick}")
    monkeypatch.setattr(reproduce, "_draw", None)  # of other parts there is more to draw
    assert reproduce.main(["benchmark", "--quick", f"--out={tmp_path}"]) == 0
    assert capsys.readouterr().out == f"report of {tmp_path}, quick: True\nwritten: {tmp_path / 'BENCHMARK.md'}\n"


def test_a_quick_benchmark_keeps_what_it_does_not_measure(tmp_path, monkeypatch):
    def lines(*parts):
        return [benchmark_training.row(part, "what", value, "s") for value, part in enumerate(parts)]

    results.write_rows(tmp_path / benchmark.TRAINING, [{**row, "machine": "m"} for row in lines("A step", "Memory")])
    monkeypatch.setattr(benchmark_training, "rows", lambda quick: lines("Start", "A step"))
    monkeypatch.setattr(benchmark, "machine", lambda: "m")
    benchmark.run(tmp_path, quick=True)
    kept = {row["part"]: row["value"] for row in results.read_rows(tmp_path / benchmark.TRAINING)}
    assert kept == {"Start": "0", "A step": "1", "Memory": "1"}
    monkeypatch.setattr(benchmark, "machine", lambda: "another")
    benchmark.run(tmp_path, quick=True)
    assert {row["part"] for row in results.read_rows(tmp_path / benchmark.TRAINING)} == {"Start", "A step"}


def test_the_median_of_a_commit_s_runs_on_a_machine_says_whether_a_target_is_met(tmp_path, monkeypatch):
    """One that misses it by far does not, nor another machine's or commit's."""
    monkeypatch.setattr(benchmark.provenance, "of", lambda data: {"commit": "0123456789"})
    monkeypatch.setattr(benchmark_steps, "loaded", lambda: None)
    training = [benchmark_training.row("A step: MLP", "bound ÷ step", 0.7, "", "≥ 0.75", "aimed at 0.8")]
    training += [benchmark_training.row("A step: MLP", "β-TCVAE", 50, "ms")]
    for value, machine in ((0.2, "a"), (0.8, "a"), (0.81, "a"), (0.1, "b"), (0.1, "b")):
        rows = [{**row, "value": str(value), "machine": machine} for row in training]
        benchmark._add(tmp_path, rows)
    results.write_rows(tmp_path / benchmark.TRAINING, [{**row, "machine": "a"} for row in training])
    text = benchmark.write(tmp_path)
    assert "| A step | bound ÷ step | 0.8 | ≥ 0.75 | yes | 0.2 … 0.81 | 3 | 0123456 |" in text
    assert "| bound ÷ step | 0.7 | ≥ 0.75 | **NO: failed** | aimed at 0.8 |" in text  # the last run
    kept = results.read_rows(tmp_path / benchmark.RUNS)
    assert len(kept) == 5 and {row["commit"] for row in kept} == {"0123456"}
    monkeypatch.setattr(benchmark.provenance, "of", lambda data: {"commit": "abcdefghij"})
    benchmark._add(tmp_path, [{**row, "value": "0.1", "machine": "a"} for row in training])
    assert "| 0.1 | ≥ 0.75 | **NO: failed** | 0.1 … 0.1 | 1 | abcdefg |" in benchmark.write(tmp_path)
    monkeypatch.setattr(benchmark.provenance, "of", lambda data: {"commit": "abcdefghij+changes"})
    benchmark._add(tmp_path, [{**row, "value": "0.9", "machine": "a"} for row in training])
    assert "| 0.9 | ≥ 0.75 | yes | 0.9 … 0.9 | 1 | abcdefg+changes |" in benchmark.write(tmp_path)  # not of the commit


def test_the_measures_targets_are_among_them():
    line = {"measure": "mig", "images": "737280", "latents": "10", "samples": "0", "scales": "trained", "machine": "a"}
    (row,) = benchmark.benchmark_measures.targets([{**line, "seconds": "1.4"}, {**line, "images": "9", "seconds": "2"}])
    assert (row["what"], row["value"], row["unit"], row["target"]) == ("mig", "1.4", "s", "≤ 1.5")


def test_a_process_of_its_own_answers_or_says_how_to_see_why():
    with pytest.raises(RuntimeError, match="run it by hand to see why"):
        benchmark_steps.child("no_such_measurement")


def test_growth_is_drawn_with_its_exponent():
    from tcvae_tf import plots

    figure = plots.growth({"batch": {256: 0.1, 1024: 0.4}, "width": {64: 0.1, 256: 1.6}}, "a caption")
    notes = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert notes == ["exponent 1.00", "exponent 2.00"]
    assert np.all([axes.get_xscale() == axes.get_yscale() == "log" for axes in figure.axes])


def test_a_loop_s_kernels_count_as_the_loop():
    events = [("while.1", 0, 100), ("fusion", 10, 20), ("dot", 40, 60), ("dot", 100, 5), ("MatMul.2", 105, 7)]
    assert benchmark_profile.outermost(reversed(events)) == {"while.1": 100, "dot": 5, "MatMul.2": 7}


def test_the_kernels_of_a_profiled_program_are_found(tmp_path):
    """Those of the profiler's file, each once, and in all no longer than the program ran."""
    import time

    import tensorflow as tf

    x = tf.random.stateless_normal([300, 300], [0, 0])
    act = tf.function(lambda: tf.reduce_sum(tf.exp(x @ x)), jit_compile=True, autograph=False)
    act()
    with tf.profiler.experimental.Profile(str(tmp_path)):
        began = time.perf_counter()
        for _ in range(benchmark_profile.STEPS):
            float(act())
        taken = 1e3 * (time.perf_counter() - began) / benchmark_profile.STEPS
    found = benchmark_profile.kernels(tmp_path)
    assert {benchmark_profile.group(name) for name in found} >= {"matrix products", benchmark_profile.REST}
    assert 0 < sum(found.values()) < taken


@pytest.mark.parametrize(
    "event, name",
    [
        ("encoder/dense/Relu:_MklNativeFusedMatMul", "MatMul encoder/dense/Relu"),
        ("gradient_tape/dense/MatMul:_MklMatMul", "MatMul gradient_tape/dense/MatMul"),
        ("a/BiasAddGrad:BiasAddGrad", "BiasAddGrad a/BiasAddGrad"),
        ("ExecutorState::Process", ""),
        ("EagerLocalExecute: AssignVariableOp", ""),
        ("ThunkExecutor::Execute", ""),
        ("__inference_step_17:__inference_step_17", ""),
    ],
)
def test_a_kernel_between_the_programs_is_named_by_its_type(event, name):
    assert benchmark_profile.of_tensorflow(event) == name


def test_the_report_sets_the_profile_of_a_commit_beside_the_first(tmp_path):
    line = {"machine": "a machine", "work": "step at paper size", "width": "8", "batch": "4", "kernel": "dot"}
    line |= {"group": "matrix products"}
    rows = [{**line, "commit": commit, "ms": ms} for commit, ms in (("first", "3000"), ("second", "2500"))]
    now = "commit,machine,work,width,batch,group,kernel,ms\n"
    now += "third,another,step at paper size,8,4,matrix products,dot,2000\n"
    now += "third,another,encoding,8,4,matrix products,dot,500\n"
    kept = benchmark._beside_the_first(rows, now)
    assert [row["commit"] for row in kept] == ["first", "third", "third"]
    assert benchmark._beside_the_first([], now) == kept[1:]
    results.write_rows(tmp_path / benchmark.PROFILE, kept)
    training = benchmark_training.row("A step", "β-TCVAE", 50, "ms")
    results.write_rows(tmp_path / benchmark.TRAINING, [{**training, "machine": "a machine"}])
    text = benchmark.write(tmp_path)
    head = "| ms of a step at paper size: MLP 8, batch 4 | commit first, a machine | commit third, another |"
    assert head in text and "| matrix products | 3,000.0 | 2,000.0 |" in text
    assert (
        "| ms of encoding: MLP 8, batch 4 | commit third, another |" in text and "| matrix products | 500.0 |" in text
    )
