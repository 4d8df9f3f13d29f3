"""The training check: its settings, what it takes from a history that was cut, and when it says that numbers agree."""

import dataclasses

import pytest

from reproduce import __main__ as reproduce
from reproduce import headline, methods, training_check
from tcvae_tf import results
from tcvae_tf.sweep import PRESETS

PAPER = methods.PUBLISHED
RUN, AUTHORS = training_check.runs(PRESETS["cpu"])


def line(epoch, first, last, loss, measured=None):
    """A line of a history whose −ELBO is an eighth of its loss."""
    terms = {"loss": loss, "reconstruction": -loss / 8 + 20, "kl": 20.0}
    terms |= {"mutual_information": 10.0, "total_correlation": 9.0, "dimension_kl": 1.0}
    exact = {}
    if measured is not None:
        exact = {"data_elbo": -90, "data_mig": measured, "data_total_correlation": 0.5, "data_mutual_information": 8.4}
    reached = {"epoch": epoch, "first_step": first, "step": last}
    return {name: str(value) for name, value in {**reached, **terms, **exact}.items()}


def collected(tmp_path, *lines, run=RUN):
    (tmp_path / run.id).mkdir()
    (tmp_path / run.id / "run.json").write_text('{"commit": "0123abc", "device": "CPU of ours, threads: 2"}')
    columns = dict.fromkeys(name for one in lines for name in one)
    results.write_rows(tmp_path / run.id / "history.csv", [{**dict.fromkeys(columns, ""), **one} for one in lines])
    return training_check.collect([run], tmp_path)


def test_the_run_has_the_settings_of_the_published_ones():
    assert (RUN.method, RUN.beta, RUN.estimator, RUN.network, RUN.width) == ("beta_tcvae", 6.0, "mws", "mlp", 1200)
    assert (RUN.batch_size, RUN.learning_rate, RUN.adam_epsilon, RUN.head) == (1000, 1e-3, 1e-4, "log_variance")
    assert (RUN.epochs, RUN.steps, RUN.thin) == (50, 0, 1)
    small, other = training_check.runs(PRESETS["smoke"])
    assert (small.width, small.steps, small.head) == (32, 20, "log_variance")
    assert (other.width, other.steps, other.head) == (32, 20, "log_scale")


def test_the_second_run_is_the_authors_by_default_and_so_the_paper_s():
    from reproduce import fig3_mig_distribution

    assert (AUTHORS.batch_size, AUTHORS.adam_epsilon, AUTHORS.head) == (2048, 1e-8, "log_scale")
    assert dataclasses.replace(AUTHORS, batch_size=1000, adam_epsilon=1e-4, head="log_variance") == RUN
    assert AUTHORS in fig3_mig_distribution.runs(PRESETS["paper"])


def test_each_training_stands_beside_numbers_of_its_own(tmp_path):
    rows = collected(tmp_path, line(50, 0, 36850, 711.0, 0.3))
    rows += collected(tmp_path, line(49, 0, 17640, 712.0, 0.4), run=AUTHORS)
    assert {whose: [row["id"] for row in lines] for whose, lines in training_check.of(rows).items()} == {
        "pythae": [RUN.id],
        "the authors' code": [AUTHORS.id],
    }
    claims = training_check.check(rows, PAPER)
    assert [claim.paper[:9] for claim in claims] == ["85.5 (S, ", "710.4 (S,", "86.4 (S, ", "712.3 (S,"]
    assert [claim.holds for claim in claims] == [False, True, None, None]
    drawn = [axes.lines[1].get_ydata()[0] for axes in training_check.draw(rows).axes]
    assert drawn == [85.5, 710.4, 0.45, 86.4, 712.3, 0.45]
    assert "beside the authors' code: 17,640 of 18,000 steps so far" in training_check.caption(rows)
    table = training_check.tabulate(rows, PAPER)
    assert "| minibatches | pythae | ours, batch 1,000, epoch 50 | beside it |" in table
    assert "| minibatches | the authors' code | ours, batch 2,048, epoch 49 | beside it |" in table
    assert "log B = 6.9 nats" in table and "log B = 7.6 nats" in table
    # (6 - 1) (10 - 1) log 737,280 = 608.0
    assert "| the latter less its constant (nats) | 102.4 | 103.0 | +0.6% |" in table
    assert "| the latter less its constant (nats) | 104.3 | 104.0 | -0.3% |" in table
    assert (
        claims[1].verdict == "yes, but 608 of it are a constant, less which it is +0.6%, and one seed has no interval"
    )


def test_a_file_of_the_first_training_alone_is_still_read(tmp_path):
    rows = collected(tmp_path, line(50, 0, 36850, 711.0, 0.3))
    old = [{name: value for name, value in row.items() if name != "beside"} for row in rows]
    for found in (old, [{**row, "beside": ""} for row in rows]):
        assert [claim.holds for claim in training_check.check(found, PAPER)] == [False, True, None, None]


def test_a_training_that_ended_without_a_measurement_is_not_taken(tmp_path):
    assert collected(tmp_path, line(49, 0, 17640, 712.0), run=AUTHORS)
    (tmp_path / AUTHORS.id / "record.json").write_text("{}")
    assert training_check.collect([AUTHORS], tmp_path) == []


def test_the_headline_tells_of_each_training(tmp_path):
    rows = collected(tmp_path, line(50, 0, 36850, 711.0, 0.3))
    assert headline._of_check(rows)[0].endswith("β-TCVAE (β = 6) 0.300 after 36,850 of its 36,850 steps.")
    assert headline._missing([], rows).startswith("Nothing was run with the preset paper")
    rows += collected(tmp_path, line(1, 0, 360, 812.0, 0.1), line(2, 360, 720, 800.0), run=AUTHORS)
    assert len(headline._of_check(rows)) == 2
    assert "(batch 2,048, one seed): β-TCVAE (β = 6) 0.100 after 360 of its 18,000" in headline._of_check(rows)[1]
    assert headline._missing([], rows).startswith("Nothing but the one training of the check was run with the preset")


def test_the_parts_of_an_epoch_are_one_mean_weighted_by_their_steps(tmp_path):
    first, second = collected(
        tmp_path, line(1, 0, 600, 900.0, 0.1), line(2, 600, 700, 800.0), line(2, 700, 1200, 740.0)
    )
    assert (first["loss"], second["loss"], second["step"]) == ("900", "750", "1200")
    assert (first["data_mig"], second["data_mig"]) == ("0.1", "")


def test_a_measurement_is_taken_once(tmp_path):
    rows = collected(tmp_path, line(1, 0, 1, 900.0, 0.1), line(2, 1, 2, 800.0, 0.1), line(3, 2, 3, 750.0, 0.2))
    assert [row["data_mig"] for row in rows] == ["0.1", "", "0.2"]


@pytest.mark.parametrize(("loss", "holds"), [(710.4 * 1.019, True), (710.4 * 1.021, False), (710.4 * 0.979, False)])
def test_two_per_cent_from_the_published_number_is_agreement(tmp_path, loss, holds):
    rows = collected(tmp_path, line(50, 0, 36850, loss, 0.4))
    elbo, objective, *others = training_check.check(rows, PAPER)
    assert objective.holds is holds
    assert [(claim.ours, claim.holds) for claim in others] == [("not run", None)] * 2
    assert objective.paper.startswith("710.4 (S")
    assert elbo.holds is (abs(loss / 8 / 85.5 - 1) <= 0.02)


def test_nothing_is_claimed_before_the_last_epoch(tmp_path):
    rows = collected(tmp_path, line(1, 0, 737, 800.0, 0.1))
    assert {claim.holds for claim in training_check.check(rows, PAPER)} == {None}
    assert training_check.check(rows, PAPER)[0].verdict == "not decided: 737 of 36,850 steps so far"
    assert "737 of 36,850 steps so far" in training_check.caption(rows)
    assert "737 of 36,850 steps so far" in training_check.explain(rows)
    assert "32 times as much in the first step, 3.2 times in the 100th and 1.3" in training_check.explain(rows)
    assert "machine CPU of ours, threads: 2; commit 0123abc" in training_check.explain(rows)


def test_a_last_epoch_that_was_cut_is_not_the_end(tmp_path):
    assert {c.holds for c in training_check.check(collected(tmp_path, line(50, 36113, 36800, 710.4, 0.4)), PAPER)} == {
        None
    }


@pytest.mark.parametrize("measured", [None, 0.3])
def test_figure_and_table_show_the_published_numbers(tmp_path, measured):
    """Also of a history that was cut within the first epoch, without a measurement."""
    rows = collected(tmp_path, line(1, 0, 300, 800.0, measured))
    figure = training_check.draw(rows)
    lines = [axes.lines[1] for axes in figure.axes]
    assert [drawn.get_ydata()[0] for drawn in lines] == [85.5, 710.4, 0.45]
    table = training_check.tabulate(rows, PAPER)
    assert "| negative ELBO (nats) | 85.5 (S) | 100.0 | +17.0% |" in table
    assert "| TC as MWS estimates it (nats) | 125.0 (of the two) | 140.0 | +12.0% |" in table
    assert "no more than log B = 6.9 nats above that" in table or measured is None
    assert ("| 1 | 100.0 | 800.0 | -90.0 | 0.300 | 0.500 | 8.400 | not kept |" in table) is (measured is not None)
    assert "Beside pythae: active latents not kept" in training_check.explain(rows)


def test_the_number_of_active_latents_is_told_where_it_was_kept(tmp_path):
    rows = collected(tmp_path, {**line(5, 0, 3685, 800.0, 0.3), "data_active_units": "4.0"})
    assert "| 0.300 | 0.500 | 8.400 | 4 |" in training_check.tabulate(rows, PAPER)
    assert "Beside pythae: active latents 4 at epoch 5" in training_check.explain(rows)


@pytest.mark.parametrize(("loss", "objective", "more"), [(800.0, 140.0, False), (715.0, 124.3, True)])
def test_what_the_published_code_holds_is_told_by_what_ours_does(tmp_path, loss, objective, more):
    """Where the published TC is above ours."""
    row = {**line(50, 0, 36850, loss, 0.3), "total_correlation": str(objective)}
    table = training_check.tabulate(collected(tmp_path, row), PAPER)
    assert f"ours, which held 8.4 nats at epoch 50, had a TC of {objective:.1f} by it, and the" in table
    assert "I beyond log B and the exact TC are together 123.6." in table  # 121.6 + 8.4 − 6.9 + 0.5
    assert ("the published TC, 125.0, suggests, if its exact TC is no larger, a code of some 9 nats" in table) is more


def test_a_curve_is_kept_as_far_as_it_has_come(tmp_path, monkeypatch, capsys):
    """Whatever stops the training."""

    def stopped(runs, options, *_):
        collected(tmp_path, line(1, 0, 737, 800.0, 0.1))
        raise KeyboardInterrupt

    monkeypatch.setattr(reproduce, "_execute", stopped)
    assert reproduce.main(["check", f"--root={tmp_path}", f"--out={tmp_path / 'out'}"]) == 130
    (row,) = results.read_rows(tmp_path / "out" / training_check.FILE)
    assert (row["id"], row["epoch"], row["loss"]) == (RUN.id, "1", "800")


def test_all_leaves_the_check_out():
    assert training_check not in reproduce._chosen(reproduce._parser().parse_args(["all"]), reproduce.HISTORIES)


def test_keras_adds_the_epsilon_of_adam_before_the_bias_correction_as_the_notes_say():
    import keras

    weight, gradient = keras.Variable(0.0), 1e-3
    keras.optimizers.Adam(1e-3, epsilon=1e-4).apply([keras.ops.convert_to_tensor(gradient)], [weight])
    pytorch = 1e-3 * gradient / (gradient + 1e-4)
    assert float(weight) == pytest.approx(-1e-3 * gradient / (gradient + 1e-4 / (1 - 0.999) ** 0.5), rel=1e-4)
    assert abs(float(weight)) < pytorch / 3


def test_what_cannot_be_kl_of_the_published_losses_is_told_as_reconstruction(tmp_path):
    rows = collected(tmp_path, line(50, 0, 36850, 8 * (85.5 + 31.0)))  # 20 nats of it are KL
    assert "KL is 20.0, so that at least 11.0 of them are reconstruction" in training_check.explain(rows)
    (tmp_path / "nearer").mkdir()
    nearer = collected(tmp_path / "nearer", line(50, 0, 36850, 8 * (85.5 + 19.0)))
    assert "are reconstruction" not in training_check.explain(nearer)
