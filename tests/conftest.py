"""Shared by all tests: quiet TensorFlow, one thread each, and small data that stand for the large ones."""

import atexit
import os
import shutil
import tempfile
from importlib.metadata import version

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
# Most of the time of a small training is its compilation, whose threads have but two cores here.
if "XLA_FLAGS" not in os.environ:
    os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
    # The older emitters' programs are compiled in half the time. XLA ends a process that gives it a flag it has not.
    if [int(part) for part in version("tensorflow").split(".")[:2]] >= [2, 21]:
        os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false"
# And the same program is compiled but once in all processes: pytest's workers and those that tests start inherit this.
if "TF_XLA_FLAGS" not in os.environ:
    compiled = tempfile.mkdtemp(prefix="tcvae_tf-compiled-")
    atexit.register(shutil.rmtree, compiled, ignore_errors=True)
    os.environ["TF_XLA_FLAGS"] = f"--tf_xla_persistent_cache_directory={compiled}"

import numpy as np
import pytest

import tcvae_tf as tc
from tcvae_tf import memory

memory.collect_rarely()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def squares():
    """108 binary images of 8×8: a square of 3 sizes at 6×6 positions."""
    factors = np.stack(np.unravel_index(np.arange(108), (3, 6, 6)), axis=-1)
    images = np.zeros((108, 8, 8), np.uint8)
    for image, (size, x, y) in zip(images, factors, strict=True):
        image[y : y + size + 1, x : x + size + 1] = 1
    return tc.datasets.from_arrays(images, factors, names=("size", "x", "y"), name="squares")


#: Files whose tests wait for other processes or for compilers.
SLOW = (
    "test_tracing",
    "test_sweep",
    "test_models",
    "test_faults",
    "test_replicas",
    "test_keras_habits",
    "test_factor_vae",
    "test_runs",
    "test_export",
    "test_plan",
    "test_reproduce",
    "test_datasets",
    "test_docs",
    "test_custom",
    "test_table1",
    "test_compare",
    "test_readme",
)


def pytest_collection_modifyitems(items):
    """The slow files first: at the end no core then waits for the other."""
    places = {name: place for place, name in enumerate(SLOW)}
    items.sort(key=lambda item: places.get(item.path.stem, len(SLOW)))
