"""The order of rooms: who may import whom, and what may be imported only where it is used."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "tcvae_tf"

#: A module may import from its own room and from rooms above it.
ROOMS = [
    {"version", "files", "memory", "provenance", "tracing", "words"},
    {"factors", "convolutions", "networks", "distributions"},
    {"replicas", "minibatch"},
    {"objective"},
    {"datasets"},
    {"models"},
    {"factor_vae"},
    {"custom"},
    {"codes"},
    {"metrics"},
    {"pictures"},
    {"export", "callbacks"},
    {"settings"},
    {"runs"},
    {"executors"},
    {"plan", "worker"},
    {"live"},
    {"sweep"},
    {"scoring", "explore", "cleaning", "compare"},
    {"cli"},
    {"__main__"},
]
#: Leaves: what they may import, and from which room on they may be imported.
LEAVES = {"plots": ({"files"}, "callbacks"), "results": ({"files"}, "sweep")}
#: Modules that must not reach TensorFlow when they are imported.
LIGHT = [
    "version",
    "files",
    "words",
    "provenance",
    "factors",
    "codes",
    "metrics",
    "settings",
    "runs",
    "executors",
    "live",
    "plan",
    "worker",
    "sweep",
    "results",
    "plots",
    "cleaning",
    "cli",
    "explore",
    "pictures",
    "compare",
    "scoring",
    "datasets",
]
HEAVY = {"tensorflow", "keras", "tensorflow_probability", "tensorflow_datasets", "sklearn", "ray", "matplotlib"}


def room(name):
    return next(place for place, names in enumerate(ROOMS) if name in names)


def module_name(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path):
    """Names of the package's modules that a file imports, at any depth, and of other packages at module level."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    ours, others = set(), set()
    top = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            full = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            full = [alias.name for alias in node.names]
        else:
            continue
        parts = [name.split(".") for name in full]
        ours |= {name[1] for name in parts if name[0] == "tcvae_tf" and len(name) > 1}
        others |= {name[0] for name in parts if node in top}
    return ours, others


FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_the_list_of_rooms(path):
    name = module_name(path)
    ours, _ = imported(path)
    for other in ours - {name}:
        if name in LEAVES:
            assert other in LEAVES[name][0], f"{name} is a leaf and imports {other}"
        elif other in LEAVES:
            assert room(name) >= room(LEAVES[other][1]), f"{name} comes before those that may import {other}"
        elif name == "networks":
            assert room(other) == 0 or other == "convolutions"
        else:
            assert room(other) <= room(name), f"{name} imports {other}, which comes after it"
            assert room(other) < room(name) or room(name) in (0, 1), f"{name} imports {other} of the same room"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_packages_are_imported_where_they_are_used(path):
    _, others = imported(path)
    numerical = {"networks", "convolutions", "distributions", "replicas", "minibatch", "objective", "tracing"}
    allowed = numerical | {"models", "factor_vae", "callbacks", "export"}
    if path.stem == "tfds_builders":  # builders exist by being imported; nothing else imports them
        assert others & HEAVY == {"tensorflow_datasets"}
        return
    if module_name(path) not in allowed:
        assert not others & HEAVY
    assert not others & {"tensorflow_datasets", "sklearn", "ray", "matplotlib"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_plots_draws_and_nobody_uses_tfp_layers(path):
    text = path.read_text(encoding="utf-8")
    assert "tfp.layers" not in text
    if module_name(path) != "plots":
        assert "import matplotlib" not in text


def test_light_modules_do_not_reach_tensorflow():
    code = "import sys\nimport tcvae_tf\n"
    code += "\n".join(f"import tcvae_tf.{name}" for name in LIGHT)
    code += (
        "\nimport reproduce.__main__\nsys.exit(str(sorted({'tensorflow', 'keras', 'matplotlib'} & set(sys.modules))))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert found.stderr.strip() == "[]"


def test_every_public_name_resolves():
    import tcvae_tf as tc

    for name in tc.__all__:
        assert getattr(tc, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = tc.nonsense


@pytest.mark.parametrize(
    "settings",
    [
        "import os; os.environ['KERAS_BACKEND'] = 'numpy'",
        # Imported first, by its settings file.
        "import sys, types; chosen = types.SimpleNamespace(backend=lambda: 'numpy');"
        "sys.modules['keras'] = types.SimpleNamespace(config=chosen)",
    ],
)
def test_another_keras_backend_gets_one_clear_line(settings):
    code = f"{settings}; import tcvae_tf.networks"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = found.stderr.strip().splitlines()[-1]
    assert last.endswith("tcvae_tf needs Keras' TensorFlow backend, not 'numpy'; set KERAS_BACKEND=tensorflow")
