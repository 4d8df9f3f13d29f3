"""The paper's networks."""

import subprocess
import sys

import keras
import numpy as np
import pytest

import tcvae_tf as tc


def test_the_mlp_has_the_paper_s_layers_and_size():
    encoder, decoder = tc.networks.mlp((64, 64, 1))
    first, second, last = (layer for layer in encoder.layers if layer.get_weights())
    assert [layer.output.shape[-1] for layer in (first, second, last)] == [1200, 1200, 20]
    assert [layer.output.shape[-1] for layer in decoder.layers if layer.get_weights()] == [1200, 1200, 1200, 4096]
    assert [layer.activation.__name__ for layer in (first, second, last)] == ["relu", "relu", "linear"]
    assert {layer.activation.__name__ for layer in decoder.layers[1:-2]} == {"tanh"}
    assert round(encoder.count_params() / 1e6, 1) == 6.4
    assert round(decoder.count_params() / 1e6, 1) == 7.8


def test_shapes_follow_the_image_and_the_latents():
    encoder, decoder = tc.networks.mlp((5, 6, 2), latent_dim=3, width=4)
    assert encoder(np.zeros((7, 5, 6, 2))).shape == (7, 6)
    assert decoder(np.zeros((7, 3))).shape == (7, 5, 6, 2)


def test_pytorch_s_initial_values_are_uniform_within_one_over_the_root_of_fan_in():
    encoder, _ = tc.networks.mlp((20, 20, 1), width=300, seed=1)
    first, second, _ = (layer for layer in encoder.layers if layer.get_weights())
    for layer, fan_in in ((first, 400), (second, 300)):
        bound = 1 / np.sqrt(fan_in)
        for values in layer.get_weights():
            assert np.abs(values).max() <= bound
            assert values.std() == pytest.approx(bound / np.sqrt(3), rel=0.1)


def test_a_seed_fixes_the_weights_and_layers_do_not_share_them():
    def weights(seed):
        return [value for model in tc.networks.mlp((4, 4, 1), 3, 16, seed=seed) for value in model.get_weights()]

    assert all(np.array_equal(a, b) for a, b in zip(weights(5), weights(5), strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(weights(5), weights(6), strict=True))
    decoder = tc.networks.mlp((4, 4, 1), 16, 16, seed=5)[1]
    kernels = [layer.get_weights()[0] for layer in decoder.layers if layer.get_weights()]
    assert not any(np.array_equal(kernels[0], other) for other in kernels[1:])


@pytest.mark.parametrize("initializer", tc.networks.INITIALIZERS)
def test_the_two_widest_kernels_have_their_shorter_axis_first_and_the_numbers_of_their_transposes(initializer):
    encoder, decoder = tc.networks.mlp((5, 6, 1), 3, 4, initializer, seed=2)
    kernel, bias = encoder.layers[2].get_weights()
    logits, offsets = decoder.get_layer("logits").get_weights()
    assert (kernel.shape, logits.shape) == ((4, 30), (4, 30))
    images, codes = np.random.default_rng(0).random((7, 5, 6, 1), "f4"), np.random.default_rng(1).random((7, 3), "f4")
    inner = keras.Model(encoder.input, encoder.layers[2].output)(images).numpy()
    assert np.allclose(inner, np.maximum(images.reshape(7, 30) @ kernel.T + bias, 0), atol=1e-6)
    before = keras.Model(decoder.input, decoder.layers[-3].output)(codes).numpy()
    assert np.allclose(decoder(codes).numpy().reshape(7, 30), before @ logits + offsets, atol=1e-6)
    for layer, found in ((encoder.layers[2], kernel), (decoder.get_layer("logits"), logits)):
        drawn = layer.kernel_initializer.initializer
        again = type(drawn).from_config(drawn.get_config())(found.shape[::-1])
        assert np.array_equal(found, keras.ops.convert_to_numpy(again).T)


def test_keras_initial_values_are_available():
    encoder, _ = tc.networks.mlp((4, 4, 1), width=8, initializer="keras")
    assert np.all(encoder.layers[2].get_weights()[1] == 0)


@pytest.mark.parametrize("name", ["mlp", "conv", "conv_plain"])
def test_a_head_of_log_variances_gives_half_of_what_a_head_of_log_scales_gives(name):
    images = np.random.default_rng(0).uniform(size=(5, 16, 16, 1)).astype("f4")
    shape = {"image_shape": (16, 16, 1), "latent_dim": 3, "width": 8, "seed": 0}
    (plain, decoder), (halved, same) = (getattr(tc.networks, name)(**shape, head=head) for head in tc.networks.HEADS)
    loc, log_scale = np.split(plain(images).numpy(), 2, axis=1)
    assert np.array_equal(halved(images).numpy(), np.concatenate([loc, log_scale / 2], axis=1))
    assert all(np.array_equal(a, b) for a, b in zip(decoder.get_weights(), same.get_weights(), strict=True))
    assert [layer.name for layer in halved.layers if layer.name.startswith("loc_and")] == [
        "loc_and_log_variance",
        "loc_and_log_scale",
    ]


def test_a_head_of_log_variances_is_saved_with_the_network(tmp_path):
    encoder, _ = tc.networks.mlp((4, 4, 1), 2, 8, seed=0, head="log_variance")
    encoder.save(tmp_path / "encoder.keras")
    images = np.ones((3, 4, 4, 1), "f4")
    assert np.array_equal(keras.models.load_model(tmp_path / "encoder.keras")(images), encoder(images))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 0}, "at least 1"),
        ({"initializer": "torch"}, "choose from pytorch, keras"),
        ({"head": "variance"}, "unknown head 'variance'; choose from log_scale, log_variance"),
    ],
)
def test_bad_settings_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        tc.networks.mlp((4, 4, 1), **arguments)


# --- convolutional networks -----------------------------------------------------------------------------------------


def convolutions(model):
    kinds = ("block_conv2d", "loc_and", "logits", "dense")
    return [layer for layer in model.layers if layer.name.startswith(kinds)]


def test_the_convolutional_networks_have_the_paper_s_layers():
    encoder, decoder = tc.networks.conv((64, 64, 1))
    assert [layer.output.shape[1:] for layer in convolutions(encoder)] == [
        (32, 32, 32),
        (16, 16, 32),
        (8, 8, 64),
        (4, 4, 64),
        (1, 1, 512),
        (1, 1, 20),
    ]
    assert [layer.output.shape[1:] for layer in convolutions(decoder)] == [
        (1, 1, 512),
        (4, 4, 64),
        (8, 8, 64),
        (16, 16, 32),
        (32, 32, 32),
        (64, 64, 1),
    ]
    normalised = [layer for model in (encoder, decoder) for layer in model.layers if "batch_norm" in layer.name]
    assert {(layer.momentum, layer.epsilon) for layer in normalised} == {(0.9, 1e-5)}
    assert len(normalised) == 10


def test_factor_vae_s_convolutional_networks_have_a_dense_layer_and_no_normalisation():
    encoder, decoder = tc.networks.conv_plain((64, 64, 1))
    assert [layer.output.shape[-1] for layer in convolutions(encoder)] == [32, 32, 64, 64, 128, 20]
    assert [layer.output.shape[-1] for layer in convolutions(decoder)] == [128, 1024, 64, 32, 32, 1]
    assert not [layer for model in (encoder, decoder) for layer in model.layers if "batch_norm" in layer.name]


@pytest.mark.parametrize("make", [tc.networks.conv, tc.networks.conv_plain])
def test_convolutions_take_any_multiple_of_16_and_scale_with_width(make):
    encoder, decoder = make((32, 48, 3), latent_dim=3, width=32)
    assert (encoder.output_shape, decoder.output_shape) == ((None, 6), (None, 32, 48, 3))
    assert encoder(np.zeros((2, 32, 48, 3))).shape == (2, 6)
    full = sum(model.count_params() for model in make((64, 64, 1)))
    assert sum(model.count_params() for model in make((64, 64, 1), width=64)) < 0.4 * full


def test_transposed_kernels_start_as_pytorch_s_do_by_the_fan_in_of_their_outputs():
    _, decoder = tc.networks.conv((64, 64, 1), seed=1)
    for layer, fan_in in zip(convolutions(decoder), (512, 1024, 1024, 512, 512, 16), strict=True):
        for values in layer.get_weights():
            assert np.abs(values).max() <= 1 / np.sqrt(fan_in)
        assert layer.get_weights()[0].std() == pytest.approx(1 / np.sqrt(3 * fan_in), rel=0.1)


@pytest.mark.parametrize("make", [tc.networks.conv, tc.networks.conv_plain])
def test_images_that_cannot_be_halved_four_times_are_refused(make):
    with pytest.raises(ValueError, match=r"multiples of 16.*\(28, 28, 1\); pad or resize the images, or use mlp"):
        make((28, 28, 1))


def test_the_discriminator_has_the_paper_s_shape():
    net = tc.networks.discriminator()
    assert net.count_params() == 11 * 1000 + 5 * 1001 * 1000 + 1001 * 2
    assert [layer.negative_slope for layer in net.layers if "leaky" in layer.name] == [pytest.approx(0.2)] * 6
    one, two = (tc.networks.discriminator(3, 4, 2, seed=5).get_weights() for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    with pytest.raises(ValueError, match="sizes must be at least 1"):
        tc.networks.discriminator(layers=0)


def test_saved_models_load_where_only_the_model_was_imported(tmp_path):
    """In a process of its own: whatever made the layers and initial values here has not been imported there."""
    for name in ("mlp", "conv_plain"):
        vae = tc.VAE(*getattr(tc.networks, name)((16, 16, 1), latent_dim=2, width=8, seed=0), seed=0)
        vae.compile()
        vae.save(tmp_path / f"{name}.keras")
    code = "import keras; from tcvae_tf import VAE; print(*(type(keras.models.load_model(f'{n}.keras')).__name__"
    code += " for n in ('mlp', 'conv_plain')))"
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.stdout.strip() == "VAE VAE", found.stderr[-500:]


def test_sizes_may_be_numpy_s_integers_and_no_fractions():
    encoder, decoder = tc.networks.mlp((4, 4, 1), latent_dim=np.int64(2), width=np.int32(8))
    assert (encoder.output_shape, decoder.input_shape) == ((None, 4), (None, 2))
    with pytest.raises(TypeError, match="integer"):
        tc.networks.mlp((4, 4, 1), latent_dim=2.5)
