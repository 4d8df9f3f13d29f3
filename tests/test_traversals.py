"""Pictures of the best runs: which they are, what stands beside them, and that the figures show what is kept."""

import dataclasses

import numpy as np
import pytest

from reproduce import fig3_mig_distribution as fig3
from reproduce import latent_vs_factor, traversals
from tcvae_tf import results
from tcvae_tf.sweep import PRESETS

FACTORS = ("shape", "scale", "posX")
SIZES = {"scale": 6, "posX": 32}
#: I(z_j; v_k) of four latents in nats: z2 is posX, z0 shape and some scale, z3 scale, z1 nothing.
INFORMATION = np.array([[0.9, 0.3, 0.0], [0.01, 0.0, 0.02], [0.0, 0.0, 2.0], [0.0, 0.4, 0.1]])
ORDER = [2, 0, 3, 1]


def rows(preset="quick", source="stand-in"):
    """Made-up rows of figure 3: the second seed is the better one, β-TCVAE's the first."""
    made = []
    for run in fig3.runs(PRESETS[preset]):
        mig = 0.2 + 0.1 * (run.seed == (0 if run.method == "beta_tcvae" else 1))
        origin = source if run.dataset == "faces3d" else "generated"
        record = {"id": run.id, "run": dataclasses.asdict(run), "mig": mig, "data": {"source": origin}}
        made.append(results.row(record))
    return made


def arrays():
    """What `pictures.of` gives, made up."""
    rng = np.random.default_rng(0)
    made = {
        "factors": np.array(FACTORS),
        "scored": np.array(list(SIZES)),
        "mutual_information": INFORMATION,
        "entropies": np.log([3, 6, 32]),
        "image_information": np.array([1.2, 0.03, 2.5, 0.9]),
        "latents": np.array(ORDER),
        "points": np.linspace(-2, 2, 3),
        "images": rng.integers(0, 256, (4, 3, 8, 8, 1), np.uint8),
    }
    for name, size in SIZES.items():
        made |= {f"mean.{name}": rng.normal(size=(4, size)), f"deviation.{name}": rng.random((4, size))}
    return made


def of_all(lines):
    return {name: arrays() for name in traversals.chosen(lines)}


def test_the_run_of_highest_mig_is_chosen_of_each_method_on_each_data_set():
    lines = rows()
    best = traversals.best(lines)
    assert [(line["run.dataset"], line["run.method"]) for line in best] == [
        (dataset, method)
        for dataset in ("dsprites", "faces3d")
        for method in ("vae", "beta_vae", "factor_vae", "beta_tcvae")
    ]
    assert [line["run.seed"] for line in best] == ["1", "1", "1", "0"] * 2
    assert traversals.chosen(lines) == latent_vs_factor.chosen(lines) == [line["id"] for line in best]
    assert traversals.chosen(lines[::-1]) == traversals.chosen(lines)
    assert set(traversals.chosen(lines)) <= {run.id for run in traversals.runs(PRESETS["quick"])}


def test_failed_runs_and_the_stand_in_beside_the_papers_faces_are_not_chosen():
    lines = rows()
    own = [{**line, "id": line["id"] + "-own", "data.source": "basel"} for line in lines[-4:]]
    best = traversals.best([*lines, *own])
    assert {line["data.source"] for line in best if line["run.dataset"] == "faces3d"} == {"basel"}
    failed = [{**line, "error": "ValueError"} for line in lines]
    assert traversals.best(failed) == []
    assert traversals.chosen([]) == []


def test_a_latent_encodes_the_factor_that_it_says_most_of_and_none_where_it_says_nothing():
    assert traversals.encodes(arrays(), 2) == ("posX", 2.0, pytest.approx(2 / np.log(32)))
    assert traversals.encodes(arrays(), 0) == ("shape", 0.9, pytest.approx(0.9 / np.log(3)))
    assert traversals.encodes(arrays(), 1)[0] == "no factor"


def test_traversals_are_drawn_in_order_with_what_each_latent_encodes():
    lines = rows()
    figure = traversals.draw(lines, [], "caption", of_all(lines))
    assert len(figure.axes) == 8
    first = figure.axes[0]
    assert first.get_title() == "dSprites: VAE, MIG 0.30"
    shown = [label.get_text() for label in first.get_yticklabels()]
    assert shown == ["z2  posX 2.0 nats", "z0  shape 0.9 nats", "z3  scale 0.4 nats", "z1  no factor"]
    sheet = np.asarray(first.images[0].get_array())
    assert np.array_equal(sheet[:8, :8], arrays()["images"][0, 0, :, :, 0])
    caption = figure.get_supxlabel()
    assert "highest MIG of each method" in caption.replace("\n", " ")
    assert "rendered stand-in" in caption.replace("\n", " ")


@pytest.mark.parametrize("script", [traversals, latent_vs_factor])
def test_runs_without_arrays_are_left_out(script):
    lines = rows()
    last = traversals.best(lines)[-1]
    figure = script.draw(lines, [], "caption", {last["id"]: arrays()})
    assert len(figure.axes) == (1 if script is traversals else 4 * 2)
    assert "β-TCVAE" not in script.tabulate(lines, [], {}) or script is traversals
    assert script.tabulate(lines, [], {last["id"]: arrays()})


def test_the_table_of_traversals_tells_what_each_latent_encodes():
    lines = rows()
    text = traversals.tabulate(lines, [], of_all(lines)).splitlines()
    assert text[0] == "| data | method | seed | MIG | latent 1 | latent 2 | latent 3 |"
    assert text[2] == (
        "| dSprites | VAE | 1 | 0.300 | z2, 2.50 nats: 2.00 of posX (58%) | z0, 1.20 nats: 0.90 of shape (82%) | "
        "z3, 0.90 nats: 0.40 of scale (22%) |"
    )
    assert len(text) == 2 + 8


def test_the_table_of_factors_has_the_two_latents_of_each_gap():
    lines = rows()
    text = latent_vs_factor.tabulate(lines, [], of_all(lines))
    assert text.count("| method | seed | MIG | scale | posX |") == 2
    assert "3D Faces (rendered stand-in, not the Basel faces):" in text
    assert "z3 0.40 nats (22%); z0 0.30 nats (17%) | z2 2.00 nats (58%); z3 0.10 nats (3%) |" in text


def test_curves_are_those_of_the_scored_factors_with_their_information():
    made = arrays()
    relations = latent_vs_factor._relations(made)
    assert [len(row) for row in relations] == [2] * 4
    first = relations[0][1]  # of z2 and posX
    assert np.array_equal(first.mean, made["mean.posX"][2])
    assert np.array_equal(first.deviation, made["deviation.posX"][2])
    assert first.information == 2.0


def test_pictures_claim_nothing_and_say_of_how_many_they_are_the_best():
    for script in (traversals, latent_vs_factor):
        assert script.check(rows(), []) == []
        assert "Qualitative. Each is the best of 2 runs of its method, chosen by MIG." in script.explain(rows())
    assert "best of 1 run of" in traversals.explain(rows("smoke"))
