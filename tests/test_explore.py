"""The page of a run: its decoder is Keras', real keys move it, it asks for nothing, and broken runs get one line."""

import json

import browser
import keras
import made_up
import numpy as np
import pytest

import tcvae_tf as tc
from tcvae_tf import explore, files, pictures
from tcvae_tf.explore import contents, decoder

in_browser = pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium here (apt-get install chromium)")
NETWORKS = ("mlp", "conv", "conv_plain")
#: Three latents: one says nothing, one follows x, one y.
DEAD, FOLLOWS_X, FOLLOWS_Y = range(3)


def probabilities(network, z):
    return keras.ops.convert_to_numpy(keras.ops.sigmoid(network(np.asarray(z, "f4")[None], training=False)))[0]


def lively(network, rng, gain=1.5):
    """Weights as training might leave them, so that images differ."""
    for layer in network.layers:
        for variable in layer.variables:
            fan_in = {4: variable.shape[-1], 2: min(variable.shape)}.get(len(variable.shape), 10)
            value = rng.normal(0, gain / np.sqrt(fan_in), variable.shape)
            variable.assign(np.abs(value) + 0.5 if variable.name in ("gamma", "moving_variance") else value)


@pytest.fixture(scope="module")
def corners():
    """48 grey images of 16×16; the name of a factor would end a script."""
    factors = np.stack(np.unravel_index(np.arange(48), (3, 4, 4)), axis=-1)
    images = np.zeros((48, 16, 16), np.uint8)
    for image, (size, x, y) in zip(images, factors, strict=True):
        image[3 * y : 3 * y + 3, 3 * x : 3 * x + 3] = 80 * (size + 1)
    return tc.datasets.from_arrays(images, factors, names=("size", "x", "y</script>"), name="corners")


@pytest.fixture(scope="module")
def codes(corners):
    loc = np.stack(
        [0 * corners.grid.values("x"), corners.grid.values("x") - 1.5, corners.grid.values("y</script>") - 1]
    )
    return tc.Codes(loc=loc.T.astype("f4"), scale=np.tile(np.float32([1, 0.1, 0.2]), (48, 1)), grid=corners.grid)


@pytest.fixture(scope="module")
def homes(corners, codes, tmp_path_factory):
    """Directories of finished runs, as `execute` leaves them, by network."""
    return {network: finished(network, corners, codes, tmp_path_factory.mktemp("runs")) for network in NETWORKS}


def finished(network, data, codes, root):
    run = tc.Run(network=network, width=32, latent_dim=3)
    home = root / run.id
    networks = getattr(tc.networks, network)(data.image_shape, 3, 32, seed=0)
    lively(networks[1], np.random.default_rng(0))
    vae = tc.VAE(*networks, dataset_size=len(data))
    vae.compile(jit_compile=False)
    (home / "checkpoint").mkdir(parents=True)
    vae.save(home / "checkpoint" / "latest.keras")
    codes.save(home / "codes.npz")
    pictures.save(home / "pictures.npz", vae, data, codes)
    record = made_up.record(run, mig_gaps={"x": 0.5, "y</script>": 0.25}, mig=0.25, dimension_kl=[0.5, 0.25])
    files.write_json(home / "run.json", record)
    files.write_json(home / "record.json", record)
    lines = ["epoch,first_step,step,seconds,reconstruction,kl,data_mig", "1,0,100,1,-90,5,0.1", "2,100,200,1,-80,6,0.2"]
    files.write_text(home / "history.csv", "\n".join(lines) + "\n")
    return home


@pytest.fixture(scope="module")
def written(homes, tmp_path_factory):
    """The MLP's page."""
    return explore.write(homes["mlp"], tmp_path_factory.mktemp("pages") / "page.html")


@pytest.fixture(scope="module")
def chromium():
    with browser.opened() as page:
        yield page


@pytest.fixture
def page(chromium, written):
    """The MLP's page, as it opens."""
    chromium.requests.clear()
    chromium.complaints.clear()
    chromium.open(written.path)
    return chromium


def canvas(page):
    """Levels of the picture on the screen, [H, W, RGB]."""
    code = "Array.from(find('decoded').getContext('2d').getImageData(0, 0, 16, 16).data)"
    return np.array(page.run(code)).reshape(16, 16, 4)[..., :3]


def latents(page):
    return np.array(page.run("Array.from(z)"))


# --- the decoder ----------------------------------------------------------------------------------------------------


@in_browser
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_slider_moved_by_keys_draws_what_keras_decodes(network, dtype, homes, chromium, tmp_path, monkeypatch):
    monkeypatch.setattr(decoder, "SMALL", 0 if dtype == "float16" else 1_000_000)
    monkeypatch.setattr(decoder, "TOLERANCE", 1.0)
    found = explore.write(homes[network], tmp_path / "page.html")
    assert found.dtype == dtype
    chromium.open(found.path)
    before, start = canvas(chromium), latents(chromium)
    chromium.run(f"find('z{FOLLOWS_X}').focus()")
    chromium.press("ArrowRight", 39, times=12)
    now = latents(chromium)
    assert now - start == pytest.approx(np.where(np.arange(3) == FOLLOWS_X, 0.6, 0), abs=0.06)
    original = tc.runs.from_preset(homes[network]).decoder
    expected = probabilities(original, now)
    assert np.abs(expected - probabilities(original, start)).max() > 0.05, "the picture has something to show"
    shown = np.array(chromium.run("Array.from(decode(z))")).reshape(expected.shape)
    assert np.abs(shown - expected).max() < 2 * found.rounding + 1e-5
    drawn = canvas(chromium)
    assert np.abs(drawn - 255 * shown).max() < 0.51
    assert (drawn != before).any()


@in_browser
def test_every_layer_of_any_size_is_that_of_keras(page, rng):
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(2 * 3 * 4, "leaky_relu"),
            layers.Reshape((2, 3, 4)),
            layers.Conv2DTranspose(5, 3, 2, "same", activation="relu"),
            layers.BatchNormalization(scale=False),
            layers.LeakyReLU(0.3),
            layers.Conv2DTranspose(3, (2, 5), (3, 2), "same", activation="sigmoid"),
            layers.Conv2DTranspose(2, (5, 4), (2, 3), "valid", use_bias=False),
            layers.BatchNormalization(center=False),
            layers.Conv2DTranspose(3, (2, 1), (3, 2), "valid", activation="tanh"),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(7, "tanh"),
            layers.EinsumDense("bi,oi->bo", 12),
            layers.Reshape((2, 2, 3)),
        ]
    )
    lively(network, rng, gain=4)
    z = rng.normal(size=(4, 3)).astype("f4")
    operations = json.dumps(decoder.portable(network, z).operations)
    shown = page.run(
        f"(() => {{ const f = makeDecoder({operations}); return {z.tolist()}.map((z) => Array.from(f(z))) }})()"
    )
    expected = np.stack([probabilities(network, row).ravel() for row in z])
    assert np.array(shown) == pytest.approx(expected, abs=1e-5)
    assert np.median(np.ptp(expected, axis=0)) > 0.01


@in_browser
def test_all_halves_are_read(page):
    values = np.arange(65536, dtype=np.uint16).view(np.float16)
    values = values[np.isfinite(values)]
    shown = page.run(f"Array.from(numbers({json.dumps(decoder.pack(values, 'float16'))}))")
    assert np.array_equal(np.array(shown, np.float32), values.astype(np.float32))


def test_rounding_is_measured_on_the_decoder_that_the_page_gets(rng, monkeypatch):
    monkeypatch.setattr(decoder, "SMALL", 0)
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4), keras.layers.Reshape((2, 2, 1))])
    lively(network, rng)
    kernel = network.layers[0].kernel.numpy()
    z = rng.normal(size=(9, 2)).astype("f4")
    found = decoder.portable(network, z)
    exact, rounded = (
        1 / (1 + np.exp(-(z @ k + network.layers[0].bias.numpy()))) for k in (kernel, kernel.astype("f2"))
    )
    assert found.rounding == pytest.approx(np.abs(exact - rounded).max(), abs=1e-6)
    assert found.rounding > 1e-6


def test_kernels_stay_as_they_are_where_halves_would_cost_too_much(rng, monkeypatch):
    monkeypatch.setattr(decoder, "SMALL", 0)
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4), keras.layers.Reshape((2, 2, 1))])
    z = rng.normal(size=(9, 2)).astype("f4")
    kernel = network.layers[0].kernel
    for scale, tolerance in ((1, 1e-7), (1e6, 1e-3)):  # finer than halves, and beyond their range
        monkeypatch.setattr(decoder, "TOLERANCE", tolerance)
        kernel.assign(exact := scale * rng.normal(size=kernel.shape).astype("f4"))
        found = decoder.portable(network, z)
        assert (found.dtype, found.rounding) == ("float32", 0)
        assert found.operations[0]["kernel"] == decoder.pack(exact.T)
        assert np.array_equal(keras.ops.convert_to_numpy(kernel), exact)


def chain(*layers):
    return keras.Sequential([keras.Input((3,)), *layers])


def branched():
    latent = keras.Input((3,))
    parts = [keras.layers.Dense(4)(latent), keras.layers.Dense(4)(latent)]
    return keras.Model(latent, keras.layers.Add(name="sum")(parts))


def repeated():
    """Every layer is known, but one comes twice."""
    latent, layer = keras.Input((3,)), keras.layers.Dense(3, "tanh")
    return keras.Model(latent, layer(layer(latent)), name="echo")


@pytest.mark.parametrize(
    ("network", "named"),
    [
        (lambda: chain(keras.layers.Dense(4, "gelu", name="smooth")), r"'smooth' \(Dense, activation gelu\)"),
        (lambda: chain(keras.layers.Dense(4), keras.layers.LayerNormalization(name="norm")), "'norm'"),
        (lambda: chain(keras.layers.Dense(4), keras.layers.ReLU(6.0, name="six")), "'six'"),
        (
            lambda: chain(
                keras.layers.Reshape((1, 1, 3)), keras.layers.Conv2DTranspose(4, 3, 2, output_padding=1, name="wide")
            ),
            "'wide'",
        ),
        (branched, "'sum' "),
        (repeated, "'echo' branch, or come twice"),
    ],
)
def test_a_decoder_that_the_page_cannot_run_is_refused_by_the_name_of_its_layer(network, named, rng):
    network = network()
    with pytest.raises(ValueError, match=named) as refused:
        decoder.portable(network, rng.normal(size=(4, 3)))
    assert "\n" not in str(refused.value)


# --- the page -------------------------------------------------------------------------------------------------------


@in_browser
def test_nothing_leaves_the_page_and_nothing_could(page, written):
    page.run("find('random-z').click(), find('random-image').click()")
    page.frame()
    assert page.requests == [written.path.resolve().as_uri()]
    assert page.complaints == []
    assert page.run("fetch('https://127.0.0.1:9/').then(() => 'fetched', () => 'refused')") == "refused"
    page.run("document.body.append(make('img', { src: 'https://127.0.0.1:9/dot.png' }))")
    page.run("document.body.append(make('script', { src: 'data:text/javascript,page.title = 1' }))")
    page.frame()
    for refused in ("Connecting to 'https:", "Loading the image 'https:", "Loading the script 'data:"):
        assert any(line.startswith(refused) and "Content Security Policy" in line for line in page.complaints), refused
    assert page.run("page.title") != 1


@in_browser
def test_a_factor_s_slider_starts_from_the_image_with_that_factor(page, codes):
    grid = codes.grid
    page.run("find('factor-1').focus()")
    page.press("ArrowLeft", 37)
    values = grid.to_values(pictures.central(grid)) - [0, 1, 0]
    n = int(grid.to_indices(values[None])[0])
    assert latents(page) == pytest.approx(codes.loc[n], abs=2e-3)
    assert f"Image {n} of the data" in page.run("find('status').textContent")


@in_browser
def test_reset_returns_to_the_central_image_and_random_starts_leave_it(page, codes):
    central = codes.loc[pictures.central(codes.grid)]
    first = canvas(page)
    assert latents(page) == pytest.approx(central)
    page.run("find('random-z').click()")
    page.frame()
    assert np.abs(latents(page) - central).min() > 1e-4
    assert (canvas(page) != first).any()
    page.run("find('random-image').click()")
    row = np.abs(codes.loc - latents(page)).max(axis=1)
    assert row.min() < 2e-3
    page.run("find('reset').click()")
    page.frame()
    assert latents(page) == pytest.approx(central)
    assert (canvas(page) == first).all()


@in_browser
def test_an_animated_latent_swings_alone_within_its_range_until_it_is_stopped(page):
    start = latents(page)
    page.run(f"find('z{FOLLOWS_Y}').closest('.row').querySelector('button').click()")
    page.until(f"Math.abs(z[{FOLLOWS_Y}] - {start[FOLLOWS_Y]}) > 0.2")
    low, high = page.run(f"page.latents.find(({{ index }}) => index === {FOLLOWS_Y}).range")
    now = latents(page)
    assert low <= now[FOLLOWS_Y] <= high
    assert np.delete(now, FOLLOWS_Y) == pytest.approx(np.delete(start, FOLLOWS_Y))
    page.run(f"find('z{FOLLOWS_Y}').closest('.row').querySelector('button').click()")
    still = latents(page)
    page.frame()
    assert latents(page) == pytest.approx(still)


@in_browser
def test_latents_say_what_they_encode_and_the_dead_are_apart(page):
    shown = page.run("[...find('latents').querySelectorAll('label')].map((label) => label.textContent)")
    assert [label.split(",")[0] for label in shown] == [f"z{FOLLOWS_X}: x", f"z{FOLLOWS_Y}: y</script>"]
    assert "nats" in shown[0]
    assert page.run("find('dead').querySelector('label').textContent").startswith(f"z{DEAD}: nothing")
    assert page.run("find('warning').hidden")
    cells = page.run("[...document.querySelectorAll('#information tbody tr')[0].cells].map((cell) => cell.textContent)")
    assert cells[0] == f"z{FOLLOWS_X}"
    assert float(cells[2]) > 0.9
    assert cells[-1].startswith("x, ")
    words = page.run("document.body.innerText")
    for expected in (
        "MIG 0.250",
        "generated images",
        "I(z; n)",
        "9.000 nats",
        "Σ KLⱼ",
        "recipe",
        "dsprites-beta_tcvae",
    ):
        assert expected in words, expected
    assert page.run("document.querySelectorAll('#curves polyline').length") == 3


@in_browser
def test_every_control_has_a_name_and_the_page_fits_a_phone(page):
    unnamed = page.run(
        "[...document.querySelectorAll('input, button, canvas')].filter((control) => !(control.labels?.length "
        "|| control.getAttribute('aria-label') || control.textContent.trim())).length"
    )
    assert unnamed == 0
    page.call("Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=1, mobile=True)
    assert page.run("document.documentElement.scrollWidth") <= 360
    page.call("Emulation.clearDeviceMetricsOverride")


@in_browser
def test_a_wrong_decoder_is_said_to_be_wrong(written, chromium, tmp_path):
    text = written.path.read_text()
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    wrong = data["operations"][0]["bias"]["float32"]
    path = tmp_path / "wrong.html"
    path.write_text(text.replace(wrong, decoder.pack(np.ones(32))["float32"]))
    chromium.open(path)
    assert not chromium.run("find('warning').hidden")


def test_the_same_run_gives_the_same_bytes_and_the_size_is_told(homes, written, tmp_path):
    again = explore.write(homes["mlp"], tmp_path / "again.html")
    assert again.path.read_bytes() == written.path.read_bytes()
    assert again.size == again.path.stat().st_size
    assert str(again).endswith(f"again.html: {again.size / 1e6:.2f} MB; kernels in float32")


def test_where_to_start_keeps_the_central_image_and_few_of_many(rng):
    grid = tc.FactorGrid(("a", "b", "c"), (3, 60, 70))
    loc = rng.normal(size=(len(grid), 2)).astype("f4")
    codes = tc.Codes(loc=loc, scale=np.ones_like(loc), grid=grid)
    anchor = pictures.central(grid)
    starts, kept = contents.starts(codes, anchor)
    assert len(kept) == np.prod([len(values) for values in starts["values"]]) <= contents.STARTS
    values = [values[place] for values, place in zip(starts["values"], starts["anchor"], strict=True)]
    assert values == grid.to_values(anchor).tolist()
    row = np.ravel_multi_index(starts["anchor"], [len(values) for values in starts["values"]])
    assert (kept[row] == loc[anchor]).all()


def test_sliders_reach_three_or_as_far_as_codes_go(corners, codes):
    far = tc.Codes(loc=codes.loc * [1, 1, 4], scale=codes.scale, grid=codes.grid)
    arrays = {"image_information": np.array([0.01, 2.0, 1.0]), "mutual_information": np.zeros((3, 1)), "factors": ["x"]}
    rows = {row["index"]: row for row in contents.latents(arrays, far)}
    assert list(rows) == [1, 2, 0]
    assert rows[FOLLOWS_X]["range"] == [-3.0, 3.0]
    assert rows[FOLLOWS_Y]["range"][0] < -4 and rows[FOLLOWS_Y]["range"][1] > 8
    assert [row["dead"] for row in rows.values()] == [False, False, True]


@pytest.mark.parametrize("prior", ["normal", "laplace", "flow"])
def test_any_prior_is_drawn_from(prior, corners):
    vae = tc.VAE(*tc.networks.mlp(corners.image_shape, 3, 4, seed=0), dataset_size=48, prior=prior)
    drawn = explore._draws(vae, 3)
    assert drawn.shape == (explore.DRAWS, 3)
    assert 0.7 < drawn.std() < 2


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("generated", "generated images"),
        ("stand-in", "stand-in images"),
        ("arrays", "images of your own"),
        ("npz", "images read from a file"),
    ],
)
def test_the_page_says_where_the_images_come_from_in_words(source, told):
    record = {"mig": 0.25, "elbo": -85.5, "data": {"source": source}, "id": "a-run"}
    assert contents.subtitle(record) == f"MIG 0.250 · ELBO −85.5 nats · {told} · a-run"


# --- runs that have no page -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("", "no directory|no run"),
        ("record.json", "not finished"),
        ("checkpoint/latest.keras", "removed|missing|cannot be read"),
        ("codes.npz", "codes.npz is missing"),
        ("pictures.npz", "pictures.npz is missing"),
    ],
)
def test_a_run_that_lacks_something_gets_one_line(broken, said, homes, tmp_path):
    home = copy(homes["mlp"], tmp_path)
    (home / broken).unlink() if broken else None
    with pytest.raises(ValueError, match=said) as refused:
        explore.write(home if broken else tmp_path / "nowhere", tmp_path / "page.html")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("name", ["record.json", "checkpoint/latest.keras", "codes.npz", "pictures.npz"])
def test_a_damaged_file_gets_one_line_that_names_it(name, homes, tmp_path):
    home = copy(homes["mlp"], tmp_path)
    (home / name).write_bytes((home / name).read_bytes()[:-200])
    with pytest.raises(ValueError, match=f"{name.split('/')[-1]} cannot be read") as refused:
        explore.write(home, tmp_path / "page.html")
    assert "\n" not in str(refused.value)


def copy(home, root):
    import shutil

    return shutil.copytree(home, root / home.name)
