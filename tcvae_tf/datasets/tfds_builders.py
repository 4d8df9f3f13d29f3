"""The generated data sets as TensorFlow Datasets builders, registered by importing this module:

    import tensorflow_datasets as tfds
    import tcvae_tf.datasets.tfds_builders
    tfds.load("dsprites_generated"); tfds.load("faces3d")

Nothing is downloaded: `download_and_prepare`, which `tfds.load` calls when it is needed, writes what `tcvae_tf.load`
gives. TFDS shuffles when it prepares: images are told by their labels, not by their order.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from tcvae_tf import datasets
from tcvae_tf.datasets import dsprites, faces3d
from tcvae_tf.datasets.dataset import Dataset


class _Grid(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """A Dataset as examples: `image`, and of every factor `label_NAME`, its index, and `value_NAME`, what it means."""

    VERSION = tfds.core.Version("1.0.0")

    #: Values of each factor by the name of its feature, in the grid's order.
    values: ClassVar[dict[str, np.ndarray]]
    #: Of the images; the byte that stands for 1; where the data come from, and whom to cite.
    _shape: tuple[int, int, int]
    _white: int
    _home: str
    _citation: str

    def _data(self) -> Dataset:
        raise NotImplementedError

    def _info(self) -> tfds.core.DatasetInfo:
        features: dict[str, Any] = {"image": tfds.features.Image(shape=self._shape, encoding_format="png")}
        for name, values in self.values.items():
            features[f"label_{name}"] = tfds.features.ClassLabel(num_classes=len(values))
            features[f"value_{name}"] = tfds.features.Scalar(dtype=np.float32)
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features), homepage=self._home, citation=self._citation
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
        import tensorflow as tf

        data = self._data()
        for start in range(0, len(data.grid), 1024):
            cells = np.arange(start, min(start + 1024, len(data.grid)))
            pixels = np.rint(self._white * data.images(cells)).astype(np.uint8)
            # Encoded many at a time, not one by one as arrays would be.
            files = map(io.BytesIO, tf.io.encode_png(pixels).numpy())
            for cell, label, file in zip(cells.tolist(), data.grid.to_values(cells).tolist(), files, strict=True):
                yield cell, {"image": file, **self._labels(label)}

    def _labels(self, label: list[int]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for index, (name, values) in zip(label, self.values.items(), strict=True):
            found |= {f"label_{name}": index, f"value_{name}": np.float32(values[index])}
        return found


class DspritesGenerated(_Grid):
    """dSprites, generated from formulas: the features and values of TFDS' own `dsprites`, pixels 0 and 1."""

    values: ClassVar = {
        "shape": np.arange(1, 4),
        "scale": np.linspace(0.5, 1, 6),
        "orientation": np.linspace(0, 2 * np.pi, 40),
        "x_position": np.linspace(0, 1, 32),
        "y_position": np.linspace(0, 1, 32),
    }
    _shape, _white, _home = dsprites.IMAGE_SHAPE, 1, dsprites.HOME
    _citation = (
        "@misc{dsprites17, author = {Loic Matthey and Irina Higgins and Demis Hassabis and Alexander Lerchner}, "
        "title = {dSprites: Disentanglement testing Sprites dataset}, year = {2017}}"
    )

    def _data(self) -> Dataset:
        return datasets.load("dsprites", source="generated")


class Faces3d(_Grid):
    """3D faces, the rendered stand-in for the paper's, which are not free; angles in degrees.

    Results on it cannot be compared with the paper's.
    """

    values: ClassVar = {
        "identity": np.arange(faces3d.GRID.sizes[0]),
        "azimuth": np.array(faces3d.angles(faces3d.AZIMUTH, faces3d.GRID.sizes[1])),
        "elevation": np.array(faces3d.angles(faces3d.ELEVATION, faces3d.GRID.sizes[2])),
        "lighting": np.array(faces3d.angles(faces3d.LIGHTING, faces3d.GRID.sizes[3])),
    }
    _shape, _white, _home = faces3d.IMAGE_SHAPE, 255, ""
    _citation = "@misc{tcvae_tf, title = {tcvae_tf: the reproducibility package for beta-TCVAE}}"

    def _data(self) -> Dataset:
        return datasets.load("faces3d", source="generated")
