"""The TFDS builders: registered by import, offline, every cell once, with the images that `tc.load` gives."""

import hashlib

import numpy as np
import pytest

import tcvae_tf as tc
from tcvae_tf.datasets import dsprites, faces3d

tfds = pytest.importorskip("tensorflow_datasets")

#: A few values of each factor, and the sha256 of their images, bytes in the grid's order.
PARTS = {
    "dsprites_generated": (
        {"shape": [1, 2], "scale": [0, 5], "orientation": [3], "posX": [0, 31], "posY": [7, 16]},
        "84bd5c9062d3be604a912b1aab9e2139dc8c5cc8446d0ac37aeb5a1348b7acc2",
    ),
    "faces3d": (
        {"identity": [0, 7], "azimuth": [2], "elevation": [0, 10], "lighting": [0, 5]},
        "938c15c8888183d4dc66a96bdf3f26f192d61cf21b26f19519f51095fcc427ab",
    ),
}


@pytest.fixture
def part(request, monkeypatch):
    """The data of a builder, with which it prepares so much alone."""
    from tcvae_tf.datasets import tfds_builders

    name, (chosen, _) = request.param, PARTS[request.param]
    if name == "faces3d":
        grid, cells = faces3d.GRID.select(chosen)
        data = tc.Dataset(faces3d.render(cells), grid, faces3d.IMAGE_SHAPE)
        builder = tfds_builders.Faces3d
    else:
        data, builder = tc.load("dsprites", source="generated").select(chosen), tfds_builders.DspritesGenerated
    monkeypatch.setattr(builder, "_data", lambda self: data)
    return name, data


@pytest.mark.parametrize("part", list(PARTS), indirect=True)
def test_a_builder_holds_every_image_once_by_its_labels(part, tmp_path):
    name, data = part
    examples = list(tfds.as_numpy(tfds.load(name, data_dir=tmp_path, split="train")))
    labels = [f"label_{factor}" for factor in tfds.builder(name, data_dir=tmp_path).values]
    cells = data.grid.to_indices([[example[label] for label in labels] for example in examples])
    assert sorted(cells) == list(range(len(data)))
    images = np.stack([examples[i]["image"] for i in np.argsort(cells)])
    assert hashlib.sha256(images.tobytes()).hexdigest() == PARTS[name][1]
    white = 1 if name == "dsprites_generated" else 255
    assert np.array_equal(images, np.rint(white * data.images(np.arange(len(data)))))


def test_features_are_those_of_tfds_own_dsprites():
    from tcvae_tf.datasets import tfds_builders

    ours, theirs = (tfds.builder(name).info.features for name in ("dsprites_generated", "dsprites"))
    assert set(ours) == set(theirs)
    assert {name: (ours[name].shape, ours[name].dtype) for name in theirs if name[:5] in ("image", "label")} == {
        name: (theirs[name].shape, theirs[name].dtype) for name in theirs if name[:5] in ("image", "label")
    }
    for factor, size in zip(tfds_builders.DspritesGenerated.values, dsprites.GRID.sizes, strict=True):
        assert ours[f"label_{factor}"].num_classes == size
    assert list(tfds_builders.Faces3d.values) == list(faces3d.GRID.names)
