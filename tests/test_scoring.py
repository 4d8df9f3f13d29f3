"""Scoring dumps of other libraries: every way to write them, and a clear line for every way to get them wrong."""

import json

import numpy as np
import pytest

import tcvae_tf as tc
from tcvae_tf import cli, scoring

WORDS = "shape=2,x=4,y=5"
GRID = tc.FactorGrid(("shape", "x", "y"), (2, 4, 5))
N = len(GRID)


@pytest.fixture
def posteriors(rng):
    loc = GRID.to_values(np.arange(N)) + 0.1 * rng.normal(size=(N, 3))
    return loc, rng.uniform(0.1, 0.5, size=(N, 3))


def wrong(tmp_path, arrays, **options):
    np.savez(tmp_path / "dump.npz", **arrays)
    with pytest.raises(ValueError) as error:
        scoring.read([tmp_path / "dump.npz"], **{"grid": WORDS, **options})
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "of_scale"),
    [
        ("scale", lambda s: s),
        ("std", lambda s: s),
        ("variance", np.square),
        ("logvar", lambda s: 2 * np.log(s)),
        ("log_sigma", np.log),
    ],
)
@pytest.mark.parametrize("mean", ["loc", "mean", "mu"])
def test_an_npz_by_the_names_that_libraries_use(tmp_path, posteriors, name, of_scale, mean):
    loc, scale = posteriors
    np.savez(tmp_path / "dump.npz", **{mean: loc, name: of_scale(scale)})
    codes = scoring.read([tmp_path / "dump.npz"], WORDS, scored=("x", "y"))
    assert codes.loc == pytest.approx(loc)
    assert codes.scale == pytest.approx(scale)
    assert codes.grid == tc.FactorGrid(GRID.names, GRID.sizes, ("x", "y"))
    assert tc.mig(codes).score > 0.3


def test_npy_files_one_or_two_and_arrays_with_the_sizes_of_the_grid(tmp_path, posteriors):
    loc, scale = posteriors
    np.save(tmp_path / "both.npy", np.stack([loc, scale]))
    np.save(tmp_path / "loc.npy", loc.reshape(2, 4, 5, 3))
    np.save(tmp_path / "logvar.npy", (2 * np.log(scale)).reshape(2, 4, 5, 3))
    both = scoring.read([tmp_path / "both.npy"], WORDS)
    two = scoring.read([tmp_path / "loc.npy", tmp_path / "logvar.npy"], WORDS, spread="logvar")
    for codes in (both, two):
        assert np.array_equal(codes.loc, loc)
        assert codes.scale == pytest.approx(scale)


def test_weights_and_log_px_are_taken(tmp_path, posteriors, rng):
    loc, scale = posteriors
    weights = rng.dirichlet(np.ones(N))
    np.savez(tmp_path / "dump.npz", loc=loc, scale=scale, weights=weights.reshape(2, 4, 5), log_px=np.full(N, -3.0))
    codes = scoring.read([tmp_path / "dump.npz"], WORDS)
    assert codes.grid.weights == pytest.approx(weights)
    assert tc.elbo_decomposition(codes, samples=10).reconstruction == pytest.approx(-3)


def test_what_codes_wrote_needs_no_grid(tmp_path, posteriors):
    loc, scale = posteriors
    tc.Codes(loc=loc, scale=scale, grid=GRID).save(tmp_path / "codes.npz")
    assert scoring.read([tmp_path / "codes.npz"]).grid == GRID
    assert scoring.read([tmp_path / "codes.npz"], scored=("x",)).grid.scored == ("x",)
    assert scoring.read([tmp_path / "codes.npz"], "a=4,b=10").grid.sizes == (4, 10)
    with pytest.raises(ValueError, match="to be scored; choose from"):
        scoring.read([tmp_path / "codes.npz"], scored=("nonsense",))


def test_codes_of_another_family_stay_so(tmp_path, posteriors):
    loc, scale = posteriors
    tc.Codes(loc=loc, scale=scale, grid=GRID, posterior="laplace").save(tmp_path / "codes.npz")
    for grid in (None, WORDS):
        assert scoring.read([tmp_path / "codes.npz"], grid).posterior == "laplace"
    with pytest.raises(ValueError, match=r"codes\.npz says its posterior; leave posterior out"):
        scoring.read([tmp_path / "codes.npz"], posterior="normal")


def test_a_dump_of_laplace_posteriors_is_scored_as_what_it_is(tmp_path, posteriors):
    loc, scale = posteriors
    for name, values in (("scale", scale), ("log_sigma", np.log(scale))):
        np.savez(tmp_path / "dump.npz", loc=loc, **{name: values})
        codes = scoring.read([tmp_path / "dump.npz"], WORDS, posterior="laplace")
        assert tc.mig(codes).score == pytest.approx(
            tc.mig(tc.Codes(loc=loc, scale=scale, grid=GRID, posterior="laplace")).score
        )
    assert tc.mig(codes).score != pytest.approx(tc.mig(scoring.read([tmp_path / "dump.npz"], WORDS)).score, abs=1e-3)


def test_a_grid_of_the_same_factors_keeps_those_that_saved_codes_score(tmp_path, posteriors):
    loc, scale = posteriors
    scored = tc.FactorGrid(GRID.names, GRID.sizes, ("x",))
    tc.Codes(loc=loc, scale=scale, grid=scored).save(tmp_path / "codes.npz")
    assert scoring.read([tmp_path / "codes.npz"], WORDS).grid.scored == ("x",)
    assert scoring.read([tmp_path / "codes.npz"], WORDS, ("y",)).grid.scored == ("y",)
    assert scoring.read([tmp_path / "codes.npz"], "a=2,b=20").grid.scored == ("a", "b")


def test_what_cannot_be_measured_is_left_out_of_all(posteriors):
    loc, scale = posteriors
    lone = tc.Codes(loc=loc, scale=scale, grid=tc.FactorGrid(("image",), (N,)))
    lines = []
    found = scoring.measure(lone, ["mig", "beta_vae_score"], announce=lines.append, skip=True)
    assert list(found) == ["mig"]
    assert lines[-1].startswith("left out: β-VAE score: beta_vae_score needs two factors")
    with pytest.raises(ValueError, match="needs two factors"):
        scoring.measure(lone, ["beta_vae_score"])


def test_what_is_wrong_is_said(tmp_path, posteriors):
    loc, scale = posteriors
    good = {"loc": loc, "scale": scale}
    assert "loc has shape (39, 3); the grid shape=2,x=4,y=5 needs [40, D]" in wrong(tmp_path, {**good, "loc": loc[1:]})
    assert "loc is (3, 40), [D, N]; transpose it" in wrong(tmp_path, {"loc": loc.T, "scale": scale.T})
    assert "scale must have the shape of loc" in wrong(tmp_path, {**good, "scale": scale[:, :2]})
    assert "scale has negative values; if it is log σ" in wrong(tmp_path, {**good, "scale": np.log(scale)})
    assert "say so: by its name in an npz" in wrong(tmp_path, {"loc": loc, "variance": np.log(scale)})
    assert "loc has values that are not finite" in wrong(tmp_path, {**good, "loc": np.where(loc > 3, np.nan, loc)})
    assert "scale must be positive" in wrong(tmp_path, {**good, "scale": 0 * scale})
    assert "scale has values that are not finite" in wrong(tmp_path, {"loc": loc, "log_sigma": 1e4 * scale})
    assert "it has loc, sd" in wrong(tmp_path, {"loc": loc, "sd": scale})
    assert "needs one array of means" in wrong(tmp_path, {**good, "logvar": scale})
    assert "must hold floating-point numbers" in wrong(tmp_path, {**good, "loc": loc.astype(int)})
    assert "(40, 0)" in wrong(tmp_path, {"loc": loc[:, :0], "scale": scale[:, :0]})
    assert "loc has shape (40, 3, 1, 1)" in wrong(tmp_path, {**good, "loc": loc[:, :, None, None]})
    assert "σ underflows to 0" in wrong(tmp_path, {"loc": loc, "logvar": -1e5 * scale})
    assert "log_px must hold [40]" in wrong(tmp_path, {**good, "log_px": np.zeros((5, 4, 2))})
    assert "log_px must hold [40]" in wrong(tmp_path, {**good, "log_px": np.full(40, "a")})
    assert "prior_cross_entropy has" in wrong(tmp_path, {**good, "prior_cross_entropy": np.full(3, np.nan)})
    assert "its header is not that of saved Codes" in wrong(tmp_path, {**good, "header": np.array("mine")})
    turned = {name: array.reshape(2, 4, 5, 3).swapaxes(1, 2) for name, array in good.items()}
    assert "write the factors in the array's order" in wrong(tmp_path, turned)
    assert "'shape' is not NAME=SIZE" in wrong(tmp_path, good, grid="shape,x=4")
    assert "does not say its grid" in wrong(tmp_path, good, grid=None)
    assert "leave spread out" in wrong(tmp_path, good, spread="logvar")
    assert "did you mean 'logvar'" in wrong(tmp_path, good, spread="log_var")
    assert "did you mean 'laplace'" in wrong(tmp_path, good, posterior="laplac")
    laplace = wrong(tmp_path, {"loc": loc, "logvar": np.log(scale)}, posterior="laplace")
    assert "give the scale b of laplace posteriors, or log b as log_sigma, not logvar" in laplace
    assert "no factor 'z' to be scored; choose from" in wrong(tmp_path, good, scored=("z",))


def test_files_that_are_none_are_said_to_be(tmp_path, posteriors):
    (tmp_path / "broken.npz").write_bytes(b"PK nothing")
    with pytest.raises(ValueError, match=r"broken.npz: cannot be read as NumPy arrays"):
        scoring.read([tmp_path / "broken.npz"], WORDS)
    np.savez_compressed(tmp_path / "damaged.npz", loc=posteriors[0], scale=posteriors[1])
    for place in (60, 100, 150):
        damaged = bytearray((tmp_path / "damaged.npz").read_bytes())
        damaged[place] ^= 0xFF
        (tmp_path / "flipped.npz").write_bytes(damaged)
        with pytest.raises(ValueError, match="cannot be read as NumPy arrays"):
            scoring.read([tmp_path / "flipped.npz"], WORDS)
    (tmp_path / "misnamed.npy").write_bytes((tmp_path / "damaged.npz").read_bytes())
    with pytest.raises(ValueError, match=r"rename it to .npz"):
        scoring.read([tmp_path / "misnamed.npy"], WORDS)
    with pytest.raises(FileNotFoundError, match="no such file"):
        scoring.read([tmp_path / "missing.npz"], WORDS)
    with pytest.raises(ValueError, match="give one npz, one npy"):
        scoring.read([tmp_path / "posteriors.pt"], WORDS)
    np.save(tmp_path / "one.npy", posteriors[0])
    with pytest.raises(ValueError, match=r"one npy must be \[2, N, D\]"):
        scoring.read([tmp_path / "one.npy"], WORDS)


def test_the_command_prints_a_table_and_writes_json(tmp_path, posteriors, capsys):
    loc, scale = posteriors
    np.savez(tmp_path / "dump.npz", mean=loc, logvar=2 * np.log(scale))
    words = ["score", str(tmp_path / "dump.npz"), f"--grid={WORDS}", f"--json={tmp_path / 'out.json'}"]
    assert cli.main(words) == 0
    printed = capsys.readouterr().out
    codes = tc.Codes(loc=loc, scale=scale, grid=GRID)
    assert f"| MIG, exact | {tc.mig(codes).score:.4f} |" in printed
    assert "| ELBO (nats) | unknown |" in printed and "| x |" in printed
    written = json.loads((tmp_path / "out.json").read_text())
    assert set(written) == set(scoring.QUICK)
    assert written["mig"]["score"] == pytest.approx(tc.mig(codes).score, abs=1e-6)
    assert np.shape(written["mig"]["mutual_information"]) == (3, 3)
    assert cli.main([*words[:3], "--json=-", "--measures=factor_vae_score"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == ["factor_vae_score"]


def test_every_measure_can_be_asked_for(posteriors):
    loc, scale = posteriors
    loc = np.concatenate([loc, loc[:, :1]], axis=1)  # a duplicate: an infinite TC of the means
    codes = tc.Codes(loc=loc, scale=scale[:, [0, 1, 2, 0]], grid=GRID)
    cheap = [
        name for name in scoring.MEASURES if name not in ("dci", "sap", "modularity_explicitness", "mig_monte_carlo")
    ]
    found = scoring.measure(codes, cheap)
    text = json.dumps(scoring.as_json(found), allow_nan=False)
    assert json.loads(text)["gaussian_total_correlation"]["score"] is None
    for name in cheap:
        assert scoring.MEASURES[name][0] in scoring.table(found)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["score"], 2, "give one npz, one npy"),
        (["score", "none.npz"], 1, "none.npz: no such file"),
        (["score", "a.npy", "b.npz"], 2, "give one npz, one npy"),
    ],
)
def test_mistakes_on_the_command_line_get_one_line(capsys, words, code, message):
    assert cli.main(words) == code
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_an_unknown_measure_gets_the_nearest(tmp_path, posteriors, capsys):
    np.savez(tmp_path / "dump.npz", loc=posteriors[0], scale=posteriors[1])
    assert cli.main(["score", str(tmp_path / "dump.npz"), f"--grid={WORDS}", "--measures=dcI,mig"]) == 2
    assert "did you mean 'dci'" in capsys.readouterr().err
