"""Data sets: the exact dSprites, its sources, the cache, the order of batches, and what bad input is told."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

import tcvae_tf as tc
from tcvae_tf.datasets import cache, dsprites

REAL_IMAGES = Path(__file__).resolve().parents[2] / "shared" / "data" / "real_dsprites.npz"


@pytest.fixture(scope="module")
def full():
    return tc.load("dsprites", source="generated")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv("TCVAE_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def small_dsprites(home, monkeypatch):
    """dSprites cut to 2 × 1 × 2 × 2 × 2 cells, so that its readers can be fed with files made here."""
    grid = tc.FactorGrid(dsprites.GRID.names, (2, 1, 2, 2, 2), ("posX", "posY"))
    monkeypatch.setattr(dsprites, "GRID", grid)
    images = np.random.default_rng(1).integers(0, 2, (16, 64, 64), np.uint8)
    return home, images


def write_official(path, images, **changes):
    classes = np.concatenate([np.zeros((16, 1), np.int64), dsprites.GRID.to_values(np.arange(16))], axis=1)
    np.savez_compressed(path, **{"imgs": images, "latents_classes": classes, **changes})


def test_generated_dsprites_has_the_golden_hash(full):
    digest = hashlib.sha256()
    for start in range(0, len(full), 2**14):
        digest.update(np.unpackbits(full.storage[start : start + 2**14], axis=1))
    assert digest.hexdigest() == dsprites.SHA256_UNPACKED
    assert hashlib.sha256(full.storage.data).hexdigest() == dsprites.SHA256_PACKED


def test_white_pixels_of_each_shape(full):
    counts = np.bitwise_count(full.storage).reshape(3, -1).sum(axis=1, dtype=np.int64)
    assert counts.tolist() == [53_612_886, 42_070_950, 32_645_028]


@pytest.mark.skipif(not REAL_IMAGES.exists(), reason="needs original dSprites images, which are not in this repository")
def test_generated_images_equal_the_original_ones(full):
    with np.load(REAL_IMAGES) as real:
        indices = full.grid.to_indices(real["factors"])
        assert np.array_equal(full.storage[indices], real["packed"])
        assert len(indices) == 392


def test_orientation_39_is_orientation_0(full):
    images = full.storage.reshape(*full.grid.sizes, -1)
    assert np.array_equal(images[:, :, 0], images[:, :, 39])


def test_images_are_float_and_in_c_order(full):
    indices = full.grid.to_indices([[0, 5, 0, 0, 31], [2, 0, 0, 31, 0]])
    images = full.images(indices)
    assert images.shape == (2, 64, 64, 1)
    assert images.dtype == np.float32
    assert set(np.unique(images)) == {0, 1}
    rows, columns = np.nonzero(images[0, :, :, 0])
    assert rows.mean() > 40  # posY 31 is at the bottom
    assert columns.mean() < 24  # posX 0 is at the left


def test_the_paper_scores_four_factors_and_not_shape():
    assert dsprites.GRID.scored == ("scale", "orientation", "posX", "posY")


# --- the order of batches -------------------------------------------------------------------------------------------


def test_each_pass_is_the_next_epoch_and_the_order_a_function_of_seed_and_epoch(squares):
    stream = squares.batches(10, seed=3)
    for epoch in range(3):
        passed = np.concatenate([batch.numpy() for batch in stream])
        assert np.array_equal(passed, squares.storage[squares.order(3, epoch)[:100]])
    resumed = next(iter(squares.batches(10, seed=3, first_epoch=2)))
    assert np.array_equal(resumed, squares.storage[squares.order(3, 2)[:10]])


def test_a_pass_can_begin_within_an_epoch_and_the_next_is_whole(squares):
    stream = squares.batches(10, seed=3, first_epoch=2, first_step=7)
    for epoch, begin in ((2, 70), (3, 0)):
        passed = np.concatenate([batch.numpy() for batch in stream])
        assert np.array_equal(passed, squares.storage[squares.order(3, epoch)[begin:100]])


def test_orders_differ_between_seeds_and_between_epochs_and_are_permutations(squares):
    orders = [squares.order(seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    for order in orders:
        assert np.array_equal(np.sort(order), np.arange(108))
    assert len({order.tobytes() for order in orders}) == 4


def test_the_ragged_last_batch_is_dropped(squares):
    assert squares.steps_per_epoch(10) == 10
    assert [len(batch) for batch in squares.batches(10)] == [10] * 10


def test_cells_of_weight_zero_are_never_drawn_and_others_by_their_weight():
    weights = np.array([0.0, 0.2, 0.8])
    grid = tc.FactorGrid(("a",), (3,), weights=weights)
    data = tc.datasets.from_arrays(np.eye(2, 4).reshape(2, 2, 2), [[1], [2]], grid=grid)
    assert len(data) == 2
    drawn = np.concatenate([data.order(0, epoch) for epoch in range(2000)])
    assert np.bincount(drawn, minlength=3) / 4000 == pytest.approx([0, 0.2, 0.8], abs=0.02)


def test_weights_leave_the_images_alone_and_epochs_draw_by_them(squares):
    weights = np.arange(108) / np.arange(108).sum()
    data = squares.weighted(weights)
    assert data.storage is squares.storage and data.sha256 == squares.sha256
    assert data.grid.scored == squares.grid.scored and np.array_equal(data.grid.weights, weights)
    assert squares.grid.weights is None
    assert len(data) == 107  # the first image cannot occur
    drawn = np.concatenate([data.order(0, epoch) for epoch in range(300)])
    assert np.bincount(drawn, minlength=108) / len(drawn) == pytest.approx(weights, abs=0.003)


def test_equal_weights_give_the_order_of_a_permutation(squares):
    data = squares.weighted(np.full(108, 1 / 108))
    assert np.array_equal(np.sort(data.order(1, 2)), np.arange(108))


def test_a_cell_that_cannot_occur_stays_so(squares):
    weights = np.full(108, 1 / 107)
    weights[3] = 0
    holed = squares.weighted(weights)
    with pytest.raises(ValueError, match="squares-weighted: 1 cells cannot occur, and may have no image; give them"):
        holed.weighted(np.full(108, 1 / 108))
    assert len(holed.weighted(weights)) == 107


def test_who_gave_the_weights_cannot_change_them(squares):
    weights = np.full(108, 1 / 108)
    data = squares.weighted(weights)
    weights[:] = 0
    assert data.grid.weights.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("indices", "error", "message"),
    [
        ([[0, 1], [2, 3]], ValueError, r"one or a list of them, flat in C order; got \(2, 2\)"),
        ([0.0, 1.0], TypeError, "integers, flat in C order; got float64"),
        ([True] * 108, TypeError, "integers, flat in C order; got bool"),
    ],
)
def test_images_are_asked_for_by_flat_integers(squares, full, indices, error, message):
    for data in (squares, full):
        with pytest.raises(error, match=message):
            data.images(indices)


def test_one_image_and_no_image_may_be_asked_for(squares, full):
    assert squares.images(5).shape == (1, 8, 8, 1) and np.array_equal(squares.images(-1), squares.images([107]))
    assert squares.images([]).shape == (0, 8, 8, 1) and full.images([]).shape == (0, 64, 64, 1)


def test_weights_that_do_not_fit_the_images_are_refused(squares):
    with pytest.raises(ValueError, match=r"weights must have shape \(108,\)"):
        squares.weighted(np.full(54, 1 / 54))


@pytest.mark.parametrize("batch_size", [0, 109])
def test_a_batch_that_does_not_fit_is_refused(squares, batch_size):
    with pytest.raises(ValueError, match=f"batch_size {batch_size} does not fit squares with 108 images"):
        squares.batches(batch_size)


# --- decoding -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jit", [True, False])
def test_decoding_on_the_device_gives_the_images(squares, jit):
    import tensorflow as tf

    decode = tf.function(lambda batch: tc.datasets.decode(batch, squares.image_shape), jit_compile=jit)
    assert np.array_equal(decode(tf.constant(squares.storage)), squares.images(np.arange(108)))


def test_images_whose_pixels_fill_no_whole_byte_are_packed_too(rng):
    import tensorflow as tf

    images = rng.integers(0, 2, (6, 3, 5), np.uint8)
    data = tc.datasets.from_arrays(images, np.arange(6))
    assert data.storage.shape == (6, 2)
    assert np.array_equal(data.images(np.arange(6))[..., 0], images)
    assert np.array_equal(tc.datasets.decode(tf.constant(data.storage), (3, 5, 1))[..., 0], images)


def test_bytes_are_divided_by_255_and_floats_pass(rng):
    floats = rng.integers(0, 256, (5, 3, 4, 2)) / np.float32(255)
    data = tc.datasets.from_arrays(floats, np.arange(5))
    assert data.storage.shape == (5, 3, 4, 2)
    assert np.allclose(data.images(np.arange(5)), floats, atol=1e-7)
    assert np.allclose(tc.datasets.decode(data.storage, (3, 4, 2)), floats, atol=1e-7)
    assert np.array_equal(tc.datasets.decode(floats, (3, 4, 2)), floats.astype(np.float32))


def test_decode_refuses_images_of_another_shape():
    with pytest.raises(ValueError, match="do not fit a model for"):
        tc.datasets.decode(np.zeros((2, 5, 5, 1), np.float32), (4, 4, 1))


# --- from_arrays ----------------------------------------------------------------------------------------------------


def test_from_arrays_puts_images_into_c_order_whatever_their_order(squares, rng):
    shuffled = rng.permutation(108)
    again = tc.datasets.from_arrays(
        squares.images(shuffled), squares.grid.to_values(shuffled) * 1.5 - 2, names=("size", "x", "y")
    )
    assert np.array_equal(again.storage, squares.storage)
    assert again.grid == squares.grid


@pytest.mark.parametrize(
    ("images", "factors", "kind", "message"),
    [
        (np.zeros((4, 3), "f4"), np.arange(4), ValueError, r"images must be \[n, H, W\]"),
        (np.zeros((4, 2, 2), "i4"), np.arange(4), TypeError, "dtype int32; convert"),
        (np.full((4, 2, 2), 1.5), np.arange(4), ValueError, r"must lie in \[0, 1\]; got 1.5 to 1.5"),
        (np.full((4, 2, 2), np.nan), np.arange(4), ValueError, r"must lie in \[0, 1\]; got nan"),
        (np.zeros((4, 2, 2)), np.arange(3), ValueError, "a row for each of the 4 images"),
        (np.zeros((2, 2, 2)), [[0.5], [np.nan]], ValueError, "factors must be finite"),
        (np.zeros((15, 2, 2)), np.arange(60).reshape(15, 4) / 7, ValueError, "round continuous ones"),
        (np.zeros((3, 2, 2)), [[0, 0], [0, 1], [1, 0]], ValueError, r"1 grid cells missing.*'factor_0': 1.*add"),
        (np.zeros((4, 2, 2)), [[0, 0], [0, 1], [1, 0], [1, 0]], ValueError, "1 grid cells doubled"),
    ],
)
def test_from_arrays_names_what_is_wrong_in_one_line(images, factors, kind, message):
    with pytest.raises(kind, match=message) as error:
        tc.datasets.from_arrays(images, factors)
    assert "\n" not in str(error.value)


# --- sources --------------------------------------------------------------------------------------------------------


def test_the_official_npz_is_read_and_preferred(small_dsprites):
    home, images = small_dsprites
    write_official(home / dsprites.OFFICIAL_FILE, images)
    data = tc.load("dsprites")
    assert data.source == "npz"
    assert np.array_equal(data.images(np.arange(16))[..., 0], images)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"imgs": np.zeros((15, 64, 64), np.uint8)}, r"'imgs' is uint8 \(15, 64, 64\)"),
        ({"imgs": np.zeros((16, 64, 64), np.float32)}, "'imgs' is float32"),
        ({"imgs": np.full((16, 64, 64), 255, np.uint8)}, "value 255, not only 0 and 1"),
        ({"latents_classes": np.zeros((16, 6), np.int64)}, "not the dSprites grid in C order"),
    ],
)
def test_a_wrong_official_file_is_named_with_the_remedy(small_dsprites, changes, message):
    home, images = small_dsprites
    write_official(home / "wrong.npz", images, **changes)
    with pytest.raises(ValueError, match=f"wrong.npz: .*{message}.*source='generated'"):
        tc.load("dsprites", path=home / "wrong.npz", source="npz")


def test_a_missing_or_broken_file_is_named(small_dsprites):
    home, images = small_dsprites
    with pytest.raises(FileNotFoundError, match=r"none.npz: no such file; put .*npz from https.*source='generated'"):
        tc.load("dsprites", path=home / "none.npz", source="npz")
    write_official(home / "whole.npz", images)
    whole = (home / "whole.npz").read_bytes()
    damaged = bytearray(whole)
    damaged[2000:2100] = bytes(100)
    for content in (b"<html>not found</html>", whole[:3000], bytes(damaged)):
        (home / "broken.npz").write_bytes(content)
        with pytest.raises(
            ValueError, match=r"broken.npz: (is no npz file|cannot be read).*source='generated'"
        ) as error:
            tc.load("dsprites", path=home / "broken.npz", source="npz")
        assert "\n" not in str(error.value)


def test_tfds_images_are_placed_by_their_labels(small_dsprites, monkeypatch):
    h5py = pytest.importorskip("h5py")
    tfds = pytest.importorskip("tensorflow_datasets")
    home, images = small_dsprites
    classes = np.concatenate([np.zeros((16, 1), np.int64), dsprites.GRID.to_values(np.arange(16))], axis=1)
    with h5py.File(home / "dsprites.h5", "w") as file:
        file["imgs"] = images
        file["latents/classes"] = classes
        file["latents/values"] = np.concatenate([np.ones((16, 2)), classes[:, 2:] / 50], axis=1)
    monkeypatch.setattr(tfds.download.DownloadManager, "download", lambda self, url: home / "dsprites.h5")
    monkeypatch.setattr(tfds.download.DownloadManager, "download_and_extract", lambda self, url: home / "dsprites.h5")
    with pytest.raises(FileNotFoundError, match="TFDS has no prepared dsprites"):
        tc.load("dsprites", path=home / "tfds", source="tfds")
    tfds.builder("dsprites", data_dir=home / "tfds").download_and_prepare()
    (here,) = (home / "tfds" / "dsprites").iterdir()
    here.rename(here.with_name("2.9.0"))  # a version that the installed TFDS does not know
    data = tc.load("dsprites", path=home / "tfds", source="tfds")
    assert np.array_equal(data.images(np.arange(16))[..., 0], images)
    assert tc.load("dsprites", path=home / "tfds").source == "tfds"


def test_the_newest_version_that_tfds_prepared_is_taken(tmp_path):
    """Not the one that the installed TFDS would prepare, which may not be there."""
    for name in ("2.0.0", "10.0.0", "9.0.1", "11.0.0.incompleteABC", "12.0.0"):
        (tmp_path / "dsprites" / name).mkdir(parents=True)
    assert dsprites.prepared_by_tfds(tmp_path) is None
    for name in ("2.0.0", "10.0.0", "9.0.1", "11.0.0.incompleteABC"):
        (tmp_path / "dsprites" / name / "features.json").touch()
    assert dsprites.prepared_by_tfds(tmp_path) == tmp_path / "dsprites" / "10.0.0"


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'dsprites'"):
        tc.load("dsprite")
    with pytest.raises(ValueError, match="did you mean 'generated'"):
        tc.load("dsprites", source="generate")


# --- the cache ------------------------------------------------------------------------------------------------------


def build(write):
    build.calls += 1
    write(0, np.arange(12, dtype=np.uint8).reshape(4, 3))


@pytest.fixture
def entry(home):
    build.calls = 0
    array, digest = cache.cached("entry", (4, 3), build)
    assert np.array_equal(array, np.arange(12).reshape(4, 3))
    return home / "entry.npy", digest


def test_a_second_call_reads_what_the_first_wrote(entry):
    assert cache.cached("entry", (4, 3), build)[1] == entry[1]
    assert build.calls == 1


def damage_last_byte(path):
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")


def cut(path):
    path.write_bytes(path.read_bytes()[:-5])


def empty(path):
    path.write_bytes(b"")


def drop_checksum(path):
    path.with_suffix(".json").unlink()


def halve_checksum(path):
    path.with_suffix(".json").write_text('{"sha256": ')


@pytest.mark.parametrize("damage", [damage_last_byte, cut, empty, drop_checksum, halve_checksum])
def test_a_damaged_entry_is_noticed_named_and_rebuilt(entry, damage, caplog):
    path, digest = entry
    damage(path)
    array, again = cache.cached("entry", (4, 3), build)
    assert "entry.npy is half-written or corrupted" in caplog.text
    assert (build.calls, again) == (2, digest)
    assert np.array_equal(array, np.arange(12).reshape(4, 3))
    assert json.loads(path.with_suffix(".json").read_text())["sha256"] == digest


def test_an_old_entry_is_hashed_once_in_a_process_and_again_when_it_has_changed(entry):
    path, digest = entry

    def hashed(seconds):
        os.utime(path, (seconds, seconds))
        before = cache.digest_once.cache_info().misses
        assert cache.cached("entry", (4, 3), build)[1] == digest
        return cache.digest_once.cache_info().misses - before

    assert [hashed(1e9), hashed(1e9), hashed(1e9 + 1)] == [1, 0, 1]
    damage_last_byte(path)
    assert hashed(1e9 + 2) == 1
    assert build.calls == 2


def test_a_build_that_stops_half_way_leaves_no_entry(home):
    def stops(write):
        write(0, np.zeros((2, 3), np.uint8))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.cached("entry", (4, 3), stops)
    assert [path.name for path in home.iterdir()] == ["entry.lock"]


def test_content_with_another_digest_than_promised_is_refused(home):
    build.calls = 0
    with pytest.raises(RuntimeError, match="built with sha256"):
        cache.cached("entry", (4, 3), build, sha256="0" * 64)


# --- rows of a file -------------------------------------------------------------------------------------------------


@pytest.fixture
def mapped(tmp_path, rng):
    """An array, and the map of a file that holds it."""
    array = rng.integers(256, size=(50, 3, 7), dtype=np.uint8)
    np.save(tmp_path / "a.npy", array)
    return array, np.load(tmp_path / "a.npy", mmap_mode="r")


@pytest.mark.parametrize("rows", [[3], [4, 5, 6], [9, 2, 3, 49, 0, 0, 1], range(50), [], [-1, 2], [False, True] * 25])
def test_rows_are_those_of_the_array_however_they_are_read(mapped, rows):
    array, file = mapped
    rows = np.array(rows, dtype=None if len(rows) else int)
    for source in (array, file, file[::-1]):
        assert np.array_equal(cache.take(source, rows), np.asarray(source)[rows])


def test_rows_are_read_from_the_file_and_not_through_the_map(mapped, monkeypatch):
    array, file = mapped
    monkeypatch.setattr(np.memmap, "__getitem__", None)
    assert np.array_equal(cache.take(file, np.array([7, 8, 3])), array[[7, 8, 3]])


def test_rows_outlive_their_file(mapped, tmp_path):
    array, file = mapped
    (tmp_path / "a.npy").unlink()
    assert np.array_equal(cache.take(file, np.array([7, 8, 3])), array[[7, 8, 3]])
    (tmp_path / "a.npy").write_bytes(b"another file")
    assert np.array_equal(cache.take(file, np.array([7, 8, 3])), array[[7, 8, 3]])


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16])
def test_rows_may_be_numbered_by_small_integers(tmp_path, kind):
    """Their places in the file are beyond what these hold."""
    np.save(
        tmp_path / "rows.npy",
        np.arange(200 * 4096, dtype=np.uint32).astype(np.uint8).reshape(200, 4096)
        + np.arange(200, dtype=np.uint8)[:, None],
    )
    array = np.load(tmp_path / "rows.npy", mmap_mode="r")
    rows = np.array([1, 100, 199], kind)
    assert np.array_equal(cache.take(array, rows), np.asarray(array)[rows])


def test_a_row_that_is_not_there_is_an_error(mapped):
    with pytest.raises(IndexError):
        cache.take(mapped[1], np.array([50]))


def test_what_is_no_name_no_grid_and_no_seed_is_told(squares):
    with pytest.raises(ValueError, match="unknown data set None; choose from dsprites"):
        tc.load(None)
    with pytest.raises(TypeError, match=r"grid must be a tc\.FactorGrid, or leave it out; got \(3, 4\)"):
        tc.datasets.from_arrays(np.zeros((12, 4, 4)), np.arange(12), grid=(3, 4))
    with pytest.raises(TypeError, match="integer"):
        squares.batches(4, seed=None)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def f(:", r"data set 'faulty_0:f': .* \(faulty_0.py, line 1\)"),
        ("def f(): return 1 / 0", r"ZeroDivisionError: division by zero \(faulty_1.py, line 1\)"),
        ("import nosuchlib", r"data set 'faulty_2:f': No module named 'nosuchlib'$"),
        ("x = 1 / 0", r"ZeroDivisionError: division by zero \(faulty_3.py, line 1\)"),
        ("import numpy\nnumpy.nothing", r"AttributeError: .*'nothing' \(faulty_4.py, line 2\)$"),
        ("import numpy\ndef f(): return numpy.zeros(-1)", r"negative dimensions"),
        ("def g(): pass", "has no attribute 'f'; give module:function as Python would import it"),
        ("def f(x): pass", r"TypeError: f\(\) missing 1 required positional argument: 'x'$"),
    ],
)
def test_what_is_wrong_with_a_function_of_one_s_own_is_said_in_a_line(tmp_path, monkeypatch, source, message):
    place = message.split("faulty_")[1][0] if "faulty_" in message else str(len(source))
    (tmp_path / f"faulty_{place}.py").write_text(source + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=message):
        tc.load(f"faulty_{place}:f")


@pytest.mark.parametrize("options", [{"path": "x.npz"}, {"source": "npz"}])
def test_a_function_of_one_s_own_takes_no_path_and_no_source(options):
    with pytest.raises(ValueError, match="my:squares is a function of yours, which takes no path and no source"):
        tc.load("my:squares", **options)


def test_a_cache_that_cannot_be_written_in_is_read_where_it_is_whole(tmp_path, monkeypatch):
    def build(write):
        write(0, np.ones((2, 3), np.uint8))

    def refused(path, *rest):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setenv("TCVAE_CACHE", str(tmp_path))
    _, digest = cache.cached("whole", (2, 3), build)
    monkeypatch.setattr(cache.files, "locked", refused)
    array, again = cache.cached("whole", (2, 3), None)
    assert again == digest and array.sum() == 6
    with pytest.raises(PermissionError, match=r"cannot write in .*; set TCVAE_CACHE to another"):
        cache.cached("other", (2, 3), build)
