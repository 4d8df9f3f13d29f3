"""The export: the same numbers where there is only TensorFlow, endpoints, the card, and a directory that is whole."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import keras
import made_up
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import tcvae_tf as tc
from tcvae_tf import distributions
from tcvae_tf.export import card, directory, endpoints

SIGNATURES = {
    *("encode", "encode_uint8", "decode", "reconstruct", "reconstruct_uint8"),
    *("sample", "traverse", "traverse_uint8", "serving_default"),
}
POINTS = np.linspace(-2, 2, 5, dtype=np.float32)

#: Runs every endpoint of every export, then the card's example and saved_model_cli, with nothing but TensorFlow.
BARE = """
import contextlib, io, os, re, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tcvae_tf", "tensorflow_probability", "tf_keras"):
            raise ImportError(f"{name} is not to be imported")

sys.meta_path.insert(0, Absent())
import numpy as np
import tensorflow as tf

def calls(model, given):
    # Endpoint → what its function gives, and how its signature is called.
    decode, sample, points = model.decode(given["z"]), model.sample(3, 7), tf.constant(given["points"])
    found = {"decode": {"probabilities": decode}, "sample": {"images": sample}}
    by_name = {
        "decode": lambda run: run(z=tf.constant(given["z"])),
        "sample": lambda run: run(count=tf.constant(3), seed=tf.constant(7)),
    }
    for suffix, images in (("", given["bytes"] / np.float32(255)), ("_uint8", given["bytes"])):
        batch, image = tf.constant(images), tf.constant(images[1])
        found["encode" + suffix] = model.encode(images)._asdict()
        found["reconstruct" + suffix] = {"probabilities": model.reconstruct(images)}
        found["traverse" + suffix] = {"images": model.traverse(images[1], 1, given["points"])}
        by_name["encode" + suffix] = lambda run, batch=batch: run(images=batch)
        by_name["reconstruct" + suffix] = lambda run, batch=batch: run(images=batch)
        by_name["traverse" + suffix] = lambda run, image=image: run(image=image, latent=tf.constant(1), range=points)
    found["serving_default"] = found["reconstruct"]
    by_name["serving_default"] = by_name["reconstruct"]
    return found, by_name

arrays = {}
for place, name in enumerate(sys.argv[1:]):
    model = tf.saved_model.load(name)
    found, by_name = calls(model, np.load(f"{name}-given.npz"))
    arrays.update({f"{name}/{one}/{part}": value for one, parts in found.items() for part, value in parts.items()})
    for one, parts in found.items() if place == 0 else ():
        named = by_name[one](model.signatures[one])
        assert set(named) == set(parts) and all(np.array_equal(named[part], parts[part]) for part in parts), one
np.savez("found.npz", **arrays)

os.chdir(sys.argv[1])
source = re.search(r"```python\\n(.*?)```", open("README.md").read(), flags=re.DOTALL).group(1)
exec(source)
from tensorflow.python.tools import saved_model_cli
sys.argv = ["saved_model_cli", "show", "--dir", ".", "--all"]
with contextlib.suppress(SystemExit):
    saved_model_cli.main()
import keras
assert not keras.saving.get_custom_objects()
assert not {"tcvae_tf", "tensorflow_probability", "tf_keras"} & set(sys.modules)
"""


class Squash(keras.layers.Layer):
    """A layer of one's own, with a variable that Keras does not know, and noise while training."""

    def __init__(self):
        super().__init__()
        self.slope = tf.Variable(0.75)
        self.noise = keras.layers.GaussianNoise(1.0, seed=3)

    def call(self, inputs, training=False):
        return tf.tanh(tf.cast(self.slope, inputs.dtype) * self.noise(inputs, training=training))


def make(image_shape, network="mlp", width=16, **families):
    encoder, decoder = getattr(tc.networks, network)(image_shape, latent_dim=3, width=width, seed=0)
    return tc.VAE(encoder, decoder, tc.Objective(beta=6.0), dataset_size=108, seed=0, **families)


def conv_laplace():
    """With moving statistics as training leaves them."""
    vae = make((16, 16, 1), "conv", width=64, posterior="laplace", prior="laplace")
    rng = np.random.default_rng(3)
    for variable in (*vae.encoder.non_trainable_variables, *vae.decoder.non_trainable_variables):
        if "moving" in variable.path:
            low, high = (-0.1, 0.1) if "mean" in variable.path else (0.05, 0.2)
            variable.assign(rng.uniform(low, high, variable.shape))
    return vae


def factor_flow():
    vae = make((8, 8, 1), prior="flow")
    vae._flow.assign(np.random.default_rng(4).normal(scale=0.5, size=vae._flow.shape))
    return tc.FactorVAE(vae, tc.networks.discriminator(3, width=4, layers=1), tc_weight=5.0)


def own_mixed():
    """Networks of one's own, in halves."""
    with_policy = keras.dtype_policies.DTypePolicy("mixed_float16")
    image = keras.Input((8, 8, 2))
    hidden = keras.layers.Dense(16, dtype=with_policy)(keras.layers.Flatten()(image))
    outputs = keras.layers.Dense(6, dtype=with_policy)(Squash()(hidden))
    latent = keras.Input((3,))
    logits = keras.layers.Dense(128, dtype=with_policy)(keras.layers.Lambda(lambda z: z + tf.sin(z))(latent))
    networks = keras.Model(image, outputs), keras.Model(latent, keras.layers.Reshape((8, 8, 2))(logits))
    return tc.VAE(*networks, dataset_size=108)


@pytest.fixture(scope="module")
def record():
    run = tc.Run(latent_dim=3, width=16, beta=6.0)
    return made_up.record(run, mig=0.3125)


@pytest.fixture(scope="module")
def exported(tmp_path_factory, record):
    """name → (model, what it was given, what it gave in the bare process), and under "" where all stand."""
    home = tmp_path_factory.mktemp("exports")
    grid = tc.FactorGrid(("scale", "posX"), (4, 27), ("posX",))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distributions, "FLOW_STEPS", 1)  # tracing all 32 takes long
        models = {"mlp": make((8, 8, 1)), "conv": conv_laplace(), "factor": factor_flow(), "own": own_mixed()}
    rng = np.random.default_rng(5)
    given = {}
    for name, model in models.items():
        vae = getattr(model, "vae", model)
        given[name] = {
            "bytes": rng.integers(0, 256, (4, *vae.image_shape), np.uint8),
            "z": rng.normal(size=(3, 3)).astype(np.float32),
            "points": POINTS,
        }
        np.savez(home / f"{name}-given.npz", **given[name])
        tc.export(model, home / name, **({"grid": grid, "record": record} if name == "mlp" else {}))
    bare = [sys.executable, "-c", BARE, *models]
    done = subprocess.run(bare, cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    (home / "printed.txt").write_text(done.stdout)
    found = np.load(home / "found.npz")
    return home, {name: (model, given[name], found) for name, model in models.items()}


@pytest.fixture(scope="module")
def loaded(exported):
    return tf.saved_model.load(str(exported[0] / "mlp"))


# --- a process that has only TensorFlow ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mlp", "conv", "factor", "own"])
@pytest.mark.parametrize("suffix", ["", "_uint8"])
def test_where_there_is_only_tensorflow_outputs_are_the_models(exported, name, suffix):
    model, given, found = exported[1][name]
    vae = getattr(model, "vae", model)
    images = given["bytes"] / np.float32(255)
    posterior = vae.encode(images)
    z = np.tile(posterior.loc[1], (5, 1))
    z[:, 1] = POINTS
    expected = {
        f"encode{suffix}/loc": posterior.loc,
        f"encode{suffix}/scale": posterior.scale,
        f"reconstruct{suffix}/probabilities": vae(given["bytes"] if suffix else images),
        f"traverse{suffix}/images": vae.decode(z).mean(),
        "decode/probabilities": vae.decode(given["z"]).mean(),
    }
    for part, value in expected.items():
        assert found[f"{name}/{part}"] == pytest.approx(np.asarray(value), abs=1e-6), part
        assert np.ptp(found[f"{name}/{part}"], axis=0).max() > 1e-3  # not one image for all


@pytest.mark.parametrize("name", ["mlp", "conv", "factor"])
def test_samples_are_decoded_draws_from_the_models_prior(exported, name):
    model, _, found = exported[1][name]
    vae = getattr(model, "vae", model)
    shape = (3,) if name == "factor" else (3, 3)
    z = vae.prior.sample(shape, seed=tf.constant([7, 0]))
    assert found[f"{name}/sample/images"] == pytest.approx(vae.decode(z).mean().numpy(), abs=1e-6)


def test_saved_model_cli_lists_every_endpoint_with_its_shapes(exported):
    printed = (exported[0] / "printed.txt").read_text()
    assert set(re.findall(r"^signature_def\['(\w+)'\]", printed, flags=re.MULTILINE)) == {
        *SIGNATURES,
        "__saved_model_init_op",
    }
    encode = printed.partition("signature_def['encode_uint8']")[2].partition("signature_def[")[0]
    assert "inputs['images'] tensor_info:\n        dtype: DT_UINT8\n        shape: (-1, 8, 8, 1)" in encode
    assert "outputs['loc']" in encode and "outputs['scale']" in encode


def test_the_cards_example_ran_there(exported):
    assert "(4, 3) (4, 8, 8, 1) (16, 8, 8, 1) (9, 8, 8, 1) 6.0\n" in (exported[0] / "printed.txt").read_text()


# --- endpoints ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 7])
def test_any_batch_goes(loaded, exported, count):
    images = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 1), np.uint8)
    assert loaded.encode(images).loc.shape == loaded.encode(np.float32(images)).scale.shape == (count, 3)
    assert loaded.decode(np.zeros((count, 3), np.float32)).shape == (count, 8, 8, 1)
    assert loaded.sample(count, 0).shape == (count, 8, 8, 1)
    moved = loaded.traverse(np.zeros((8, 8, 1), np.float32), 0, np.zeros(count, np.float32))
    assert moved.shape == (count, 8, 8, 1)


def test_numpy_s_own_floats_are_taken_too(loaded):
    images = np.random.default_rng(0).random((2, 8, 8, 1))
    for name in ("encode", "reconstruct"):
        wide, narrow = (tf.nest.flatten(getattr(loaded, name)(found)) for found in (images, np.float32(images)))
        assert all(np.array_equal(a, b) for a, b in zip(wide, narrow, strict=True))
    points = np.linspace(-2, 2, 5)
    moved = [loaded.traverse(image, 0, points) for image in (images[0], np.float32(images[0]))]
    assert np.array_equal(*moved) and np.array_equal(moved[0], loaded.traverse(np.float32(images[0]), 0, POINTS))


def test_the_same_seed_gives_the_same_images_and_another_does_not(loaded):
    draws = [loaded.sample(5, seed).numpy() for seed in (1, 1, 2)]
    assert np.array_equal(draws[0], draws[1])
    assert np.abs(draws[0] - draws[2]).max(axis=(1, 2, 3)).min() > 0
    assert len({image.tobytes() for image in draws[0]}) == 5


def test_samples_have_the_distribution_of_decoded_draws(loaded, exported):
    z = np.random.default_rng(0).normal(size=(4000, 3)).astype(np.float32)
    expected, found = loaded.decode(z).numpy(), loaded.sample(4000, 11).numpy()
    error = np.hypot(expected.std(axis=0), found.std(axis=0)) / 4000**0.5
    assert (np.abs(expected.mean(axis=0) - found.mean(axis=0)) < 5 * error).all()
    assert found.std(axis=0) == pytest.approx(expected.std(axis=0), rel=0.1)


def test_traverse_moves_one_latent_and_no_other():
    """Where the decoder shows each latent in a pixel of its own."""
    encoder, _ = tc.networks.mlp((3, 1, 1), latent_dim=3, width=8, seed=0)
    latents = keras.Input((3,))
    vae = tc.VAE(encoder, keras.Model(latents, keras.layers.Reshape((3, 1, 1))(latents)))
    image = np.array([0.25, 0.5, 1.0], np.float32).reshape(3, 1, 1)
    loc, served = vae.encode(image[None]).loc.numpy()[0], endpoints.Served(vae)
    for latent in range(3):
        found = served.traverse(image, tf.constant(latent), POINTS).numpy()[..., 0, 0]
        expected = np.tile(loc, (5, 1))
        expected[:, latent] = POINTS
        assert np.log(found / (1 - found)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("latent", [-1, 3])
def test_a_latent_that_is_not_there_is_an_error(loaded, latent):
    with pytest.raises(tf.errors.InvalidArgumentError, match="latent must be 0 to 2; got"):
        loaded.traverse(np.zeros((8, 8, 1), np.float32), latent, POINTS)


def test_no_device_and_no_xla_is_in_the_graphs_and_the_user_may_ask_for_it(exported, loaded):
    for name in exported[1]:
        saved = saved_model_pb2.SavedModel.FromString((exported[0] / name / "saved_model.pb").read_bytes())
        for function in saved.meta_graphs[0].graph_def.library.function:
            if "traced_save" in function.signature.name or "traced_restore" in function.signature.name:
                continue  # files are the processor's
            assert not any(value.b for key, value in function.attr.items() if "XlaMustCompile" in key)
            assert not any("CPU" in node.device or "GPU" in node.device for node in function.node_def)
    images = np.random.default_rng(0).random((4, 8, 8, 1), np.float32)
    compiled = tf.function(loaded.reconstruct, jit_compile=True)(tf.constant(images))
    assert compiled.numpy() == pytest.approx(loaded.reconstruct(images).numpy(), abs=1e-6)


def test_only_the_variables_that_are_read_are_saved(exported):
    model = exported[1]["factor"][0]
    names = [name for name, _ in tf.train.list_variables(str(exported[0] / "factor" / "variables" / "variables"))]
    expected = len(model.vae.encoder.variables) + len(model.vae.decoder.variables) + 1  # the flow
    assert len([name for name in names if "VARIABLE_VALUE" in name]) == expected


# --- the card -------------------------------------------------------------------------------------------------------


def test_the_card_says_what_the_model_is_where_it_comes_from_and_how_it_is_called(exported, loaded, record):
    home = exported[0] / "mlp"
    made = json.loads(Path(loaded.model_card.asset_path.numpy().decode()).read_text())
    assert (made["run_id"], made["beta"], made["mig"]) == (record["id"], 6.0, 0.3125)
    assert made["grid"] == {"names": ["scale", "posX"], "sizes": [4, 27], "scored": ["posX"], "cells": 108} | {
        "uniform": True
    }
    assert made["record"] == json.loads(json.dumps(record))
    assert made["versions"]["tensorflow"] == tf.__version__
    assert set(made["endpoints"]) == SIGNATURES
    images = made["endpoints"]["encode_uint8"]["takes"]["images"]
    assert (images["dtype"], images["shape"]) == ("uint8", [None, 8, 8, 1])
    assert list(made["endpoints"]["traverse"]["takes"]) == ["image", "latent", "range"]
    text = (home / "README.md").read_text()
    assert text == Path(loaded.model_card_markdown.asset_path.numpy().decode()).read_text()
    for fact in (
        record["id"],
        "| MIG | 0.3125 |",
        "β = 6,",
        "scale (4), posX (27)",
        "| commit | c |",
        "0 to 255",
        "`images` float32 [T, 8",
    ):
        assert fact in text
    for name in SIGNATURES - {"encode_uint8", "reconstruct_uint8", "traverse_uint8"}:
        assert f"### {name}\n" in text


def test_every_word_that_an_endpoint_needs_is_there(exported, loaded):
    """Nothing is taken or given that the card does not explain."""
    made = json.loads((exported[0] / "mlp" / "assets" / card.JSON).read_text())
    for one in made["endpoints"].values():
        for tensor in (*one["takes"].values(), *one["gives"].values()):
            assert tensor["meaning"]
    for name, signature in loaded.signatures.items():
        assert set(made["endpoints"][name]["takes"]) == set(signature.structured_input_signature[1])
        assert set(made["endpoints"][name]["gives"]) == set(signature.structured_outputs)


def test_what_is_not_known_is_not_made_up(exported):
    made = json.loads((exported[0] / "factor" / "assets" / card.JSON).read_text())
    assert made["run_id"] is made["mig"] is made["grid"] is made["record"] is None
    assert (made["model"]["class"], made["model"]["tc_weight"], made["beta"]) == ("FactorVAE", 5.0, 6.0)
    assert "MIG" not in (exported[0] / "factor" / "README.md").read_text()
    assert "float16" in (exported[0] / "own" / "README.md").read_text()


def test_a_record_may_be_the_path_of_its_file(record, tmp_path):
    (tmp_path / "record.json").write_text(json.dumps(record))
    assert card.read_record(tmp_path / "record.json", make((8, 8, 1)))["id"] == record["id"]


# --- what is refused ------------------------------------------------------------------------------------------------


def one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_no_vae_no_grid_and_no_record_is_refused(record, tmp_path):
    vae = make((8, 8, 1))
    (tmp_path / "broken.json").write_text("{")
    other = {**record, "run": {**record["run"], "latent_dim": 10}}
    wrong = [
        (TypeError, "got Functional", (vae.encoder,), {}),
        (TypeError, "such as data.grid; got dict", (vae,), {"grid": {}}),
        (TypeError, "what tc.execute returned", (vae,), {"record": 3}),
        (ValueError, "no id and run", (vae,), {"record": {"mig": 1.0}}),
        (ValueError, "latent_dim is 10 there and 3 in the model", (vae,), {"record": other}),
        (ValueError, "none.json cannot be read", (vae,), {"record": tmp_path / "none.json"}),
        (ValueError, "broken.json cannot be read", (vae,), {"record": str(tmp_path / "broken.json")}),
    ]
    for kind, words, given, more in wrong:
        with pytest.raises(kind) as error:
            tc.export(*given, tmp_path / "new", **more)
        assert words in one_line(error)
    assert not (tmp_path / "new").exists()


def test_networks_that_call_python_are_refused(tmp_path):
    image = keras.Input((8, 8, 1))
    halved = keras.layers.Lambda(
        lambda x: tf.ensure_shape(tf.numpy_function(lambda a: a / 2, [x], tf.float32), x.shape),
        output_shape=lambda shape: shape,
    )
    outputs = keras.layers.Dense(6)(keras.layers.Flatten()(halved(image)))
    vae = tc.VAE(keras.Model(image, outputs), tc.networks.mlp((8, 8, 1), latent_dim=3, width=8)[1])
    with pytest.raises(ValueError, match="call Python") as error:
        tc.export(vae, tmp_path / "new")
    one_line(error)


def test_what_is_no_export_is_not_written_over(tmp_path, monkeypatch):
    monkeypatch.setattr(endpoints.Served, "__init__", lambda *_: pytest.fail("begun all the same"))
    vae = make((8, 8, 1))
    (tmp_path / "file").write_text("mine")
    (tmp_path / "held").mkdir()
    (tmp_path / "held" / "thesis.tex").write_text("mine")
    for name, words in (("file", "is a file"), ("held", "it holds thesis.tex")):
        with pytest.raises(FileExistsError, match=words) as error:
            tc.export(vae, tmp_path / name)
        one_line(error)
    assert (tmp_path / "held" / "thesis.tex").read_text() == (tmp_path / "file").read_text() == "mine"


# --- whole or not at all --------------------------------------------------------------------------------------------


def pretend(path, text="new"):
    """What an export writes, without a model."""
    directory.refuse_foreign(path)
    with directory.replacing(path) as temporary:
        (temporary / "assets").mkdir()
        for name in ("saved_model.pb", directory.README, f"assets/{card.JSON}"):
            (temporary / name).write_text(text)


def test_an_older_export_and_an_empty_directory_are_replaced_and_one_with_files_of_yours_is_not(tmp_path, monkeypatch):
    path = tmp_path / "a[b]"
    path.mkdir()
    for text in ("one", "two"):
        pretend(path, text)
        assert (path / "saved_model.pb").read_text() == text
    (path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"it holds notes.txt"):
        pretend(path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(FileExistsError, match=r"it holds notes.txt"):
        tc.export(None, "~/a[b]")
    assert [part.name for part in tmp_path.iterdir()] == ["a[b]"]


def test_an_export_that_fails_leaves_the_old_one_and_nothing_else(tmp_path, monkeypatch):
    pretend(tmp_path / "out", "old")
    vae = make((8, 8, 1))

    def cut(served, path, **_):
        (Path(path) / "saved_model.pb").write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(tf.saved_model, "save", cut)
    for path in (tmp_path / "out", tmp_path / "other"):
        with pytest.raises(KeyboardInterrupt):
            tc.export(vae, path)
    assert [part.name for part in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "saved_model.pb").read_text() == "old"


def killed(path, where):
    """A process of its own that is killed within an export; `where` is a function of `directory`, or "yield"."""
    child = os.fork()
    if child == 0:
        die = lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
        if where == "yield":
            with directory.replacing(path) as temporary:
                (temporary / "saved_model.pb").write_text("half")
                die()
        rename, done = os.rename, []

        def second(*args):
            done.append(args)
            return rename(*args) if len(done) == 1 else die()

        os.rename = second
        pretend(path)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_what_a_killed_export_left_goes_with_the_next_one(tmp_path):
    killed(tmp_path / "out", "yield")
    assert not (tmp_path / "out").exists()
    assert len(list(tmp_path.iterdir())) == 2
    pretend(tmp_path / "out")
    assert [part.name for part in tmp_path.iterdir()] == ["out"]


def test_an_export_killed_between_two_renames_loses_nothing(tmp_path):
    pretend(tmp_path / "out", "old")
    killed(tmp_path / "out", "rename")
    with pytest.raises(KeyboardInterrupt), directory.replacing(tmp_path / "out"):
        raise KeyboardInterrupt
    assert [part.name for part in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "saved_model.pb").read_text() == "old"


def test_an_export_leaves_alone_what_one_of_a_longer_name_left(tmp_path):
    pretend(tmp_path / "out.v2", "old")
    killed(tmp_path / "out.v2", "rename")
    pretend(tmp_path / "out", "other")
    with pytest.raises(KeyboardInterrupt), directory.replacing(tmp_path / "out.v2"):
        raise KeyboardInterrupt
    assert (tmp_path / "out.v2" / "saved_model.pb").read_text() == "old"


def test_an_export_leaves_alone_what_another_is_writing(tmp_path):
    with directory.replacing(tmp_path / "out") as mine:
        (mine / "saved_model.pb").write_text("mine")
        pretend(tmp_path / "out", "theirs")
        assert (mine / "saved_model.pb").read_text() == "mine"
        for name in ("assets", directory.README):
            os.rename(tmp_path / "out" / name, mine / name)
            (tmp_path / "out" / name).mkdir()
        (tmp_path / "out" / "assets" / card.JSON).write_text("theirs")
    assert (tmp_path / "out" / "saved_model.pb").read_text() == "mine"


# --- other runtimes -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["conv", "own"])
def converted(request, exported):
    """A model, its inputs, and what it gives when computed in float32."""
    from tcvae_tf.export import formats

    model, given, _ = exported[1][request.param]
    images = given["bytes"] / np.float32(255)
    with formats._in_float32(model):
        posterior = model.encode(images)
        return model, images, posterior.loc, posterior.scale, given["z"], model.decode(given["z"]).mean()


def test_onnx_gives_the_same(converted, tmp_path):
    pytest.importorskip("tf2onnx", reason="pip install -e '.[onnx]'")
    onnxruntime = pytest.importorskip("onnxruntime", reason="pip install -e '.[onnx]'")
    model, images, loc, scale, z, probabilities = converted
    encode, decode = (
        onnxruntime.InferenceSession(str(path)) for path in tc.export.onnx(model, tmp_path / "model.onnx")
    )
    for count in (1, len(images)):
        found = encode.run(["loc", "scale"], {"images": images[:count]})
        assert found[0] == pytest.approx(loc[:count].numpy(), abs=1e-5)
        assert found[1] == pytest.approx(scale[:count].numpy(), abs=1e-5)
    assert decode.run(["probabilities"], {"z": z})[0] == pytest.approx(probabilities.numpy(), abs=1e-5)


def test_litert_gives_the_same(converted, tmp_path):
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="pip install -e '.[litert]'")
    model, images, loc, scale, z, probabilities = converted
    [path] = tc.export.litert(model, tmp_path / "model.tflite")
    interpreter = litert.Interpreter(model_path=str(path))
    for count in (1, len(images)):
        found = interpreter.get_signature_runner("encode")(images=images[:count])
        assert found["loc"] == pytest.approx(loc[:count].numpy(), abs=1e-5)
        assert found["scale"] == pytest.approx(scale[:count].numpy(), abs=1e-5)
    found = interpreter.get_signature_runner("decode")(z=z)["probabilities"]
    assert found == pytest.approx(probabilities.numpy(), abs=1e-5)


def test_other_runtimes_leave_mixed_precision_as_it_was(exported):
    from tcvae_tf.export import formats

    model = exported[1]["own"][0]
    dense = [layer for layer in model.encoder.layers if isinstance(layer, keras.layers.Dense)]
    with formats._in_float32(model):
        assert {layer.compute_dtype for layer in dense} == {"float32"}
    assert {layer.compute_dtype for layer in dense} == {"float16"}


def test_a_missing_package_is_named_with_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(ImportError) as error:
        tc.export.onnx(make((8, 8, 1)), tmp_path / "model.onnx")
    assert one_line(error) == "onnx needs tf2onnx: pip install -e '.[onnx]'"
    monkeypatch.delattr(tf.lite, "TFLiteConverter")
    with pytest.raises(ImportError, match="TFLiteConverter: pip install"):
        tc.export.litert(make((8, 8, 1)), tmp_path / "model.tflite")
    assert not list(tmp_path.iterdir())


def test_export_is_callable_whichever_way_it_was_imported():
    import inspect

    import tcvae_tf.export as module
    from tcvae_tf.export import export

    assert callable(tc.export) and tc.export is module
    assert inspect.signature(tc.export) == inspect.signature(export)
    assert tc.export.onnx and tc.export.litert
