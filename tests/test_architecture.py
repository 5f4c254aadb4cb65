"""The rules of the code base, and proof that each of the checkers can complain."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import architecture

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / architecture.PACKAGE
MODULES = {architecture.module_name(path, ROOT): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}
TESTS = {architecture.module_name(path, ROOT): path.read_text() for path in sorted((ROOT / "tests").rglob("*.py"))}
CONFIG_MODULE = f"{architecture.PACKAGE}.config"
LOSS_CONFIG_MODULE = f"{architecture.PACKAGE}.config_loss"
MAX_FILE_LINES, MAX_FUNCTION_LINES = 350, 60

needs_config = pytest.mark.skipif(CONFIG_MODULE not in MODULES, reason="sparse_s4r/config.py is not written yet")
needs_cli = pytest.mark.skipif("sparse_s4r.cli.main" not in MODULES, reason="sparse_s4r/cli/main.py is not written yet")


def _none(complaints: list[str]) -> None:
    assert not complaints, "\n" + "\n".join(complaints)


def test_something_is_checked() -> None:
    assert {"sparse_s4r.structures.grid", "sparse_s4r.geometry.keys"} <= set(MODULES)
    assert "tests.test_architecture" in TESTS


def test_imports_follow_the_dependency_direction() -> None:
    _none([c for module, text in MODULES.items() for c in architecture.wrong_imports(text, module)])


def test_oracles_import_no_production_code() -> None:
    oracles = {module: text for module, text in TESTS.items() if module.startswith("tests.oracles.")}
    _none([c for module, text in oracles.items() for c in architecture.production_imports(text, module)])


def test_every_test_asserts() -> None:
    _none([c for module, text in TESTS.items() for c in architecture.tests_without_assertion(text, module)])


def test_everything_public_has_a_docstring() -> None:
    _none([c for module, text in MODULES.items() for c in architecture.undocumented(text, module)])


def test_files_and_functions_stay_small() -> None:
    sources = [*PACKAGE.rglob("*.py"), *(ROOT / "tools").rglob("*.py"), *(ROOT / "third_party").rglob("*.py")]
    named = [(str(path.relative_to(ROOT)), path.read_text()) for path in sources]
    _none([c for name, text in named for c in architecture.oversized(text, name, MAX_FILE_LINES, MAX_FUNCTION_LINES)])


@needs_config
def test_every_config_field_is_read() -> None:
    readers = [text for module, text in MODULES.items() if architecture.reads_config(text, module)]
    assert readers, "expected at least one module that imports the config"
    sections = [text for module, text in MODULES.items() if module in (CONFIG_MODULE, LOSS_CONFIG_MODULE)]
    assert len(sections) == 2
    _none([complaint for text in sections for complaint in architecture.unread_fields(text, readers)])


@needs_config
def test_every_shipped_config_loads() -> None:
    from sparse_s4r.config import Config, load_config

    paths = sorted((ROOT / "configs").glob("**/*.yaml"))
    assert paths, "expected at least one file in configs/"
    for path in paths:
        assert isinstance(load_config(path), Config), path


@needs_cli
def test_the_command_starts_without_heavy_imports() -> None:
    # `s4r --help` and a mistyped option must answer at once; torch and open3d take seconds to import.
    script = "import json, sys, sparse_s4r.cli.main; print(json.dumps(sorted(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    heavy = {"torch", "open3d", "numpy", "scipy", "trimesh", "lightning_fabric", "tensorboard"}
    _none([f"sparse_s4r.cli.main imports {name}" for name in sorted(heavy & set(json.loads(result.stdout)))])


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("sparse_s4r.structures.grid", "from sparse_s4r.geometry.keys import pack_keys"),
        ("sparse_s4r.render.rays", "def f():\n    import sparse_s4r.models.scene_net as net"),
        ("sparse_s4r.losses.depth", "from sparse_s4r import render"),
        ("sparse_s4r.losses.depth", "from ..render import rays"),
        ("sparse_s4r.losses.depth", "import importlib\nimportlib.import_module('sparse_s4r.render')"),
        ("sparse_s4r.data.scene", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import sparse_s4r.config"),
        ("sparse_s4r.build", "from sparse_s4r.checkpoint import save_checkpoint"),
        ("sparse_s4r.checkpoint", "from sparse_s4r.models import scene_net"),
        ("sparse_s4r.training.loop", "from sparse_s4r.cli import main"),
        ("sparse_s4r.cli.main", "import tools.compare_backbones"),
        ("sparse_s4r.__init__", "from sparse_s4r.structures import Camera"),
        ("sparse_s4r.helpers.misc", ""),
    ],
)
def test_a_wrong_import_is_found(module: str, text: str) -> None:
    assert len(architecture.wrong_imports(text, module)) == 1


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("sparse_s4r.geometry.hash", "import torch\nfrom sparse_s4r.geometry.keys import pack_keys"),
        ("sparse_s4r.models.scene_net", "from ..sparse import layers\nfrom . import heads"),
        ("sparse_s4r.build", "from sparse_s4r.config import Config\nfrom sparse_s4r.models import scene_net"),
        ("sparse_s4r.cli.train", "from sparse_s4r import __version__\nfrom sparse_s4r.training import loop"),
    ],
)
def test_a_right_import_is_not(module: str, text: str) -> None:
    assert architecture.wrong_imports(text, module) == []


def test_an_oracle_that_imports_the_package_is_found() -> None:
    text = "import numpy\nfrom sparse_s4r.geometry import hash"
    assert architecture.production_imports(text, "tests.oracles.conv") == [
        "tests.oracles.conv:2 imports sparse_s4r.geometry.hash"
    ]


@pytest.mark.parametrize(
    "body",
    [
        "print(1)",
        "assert True",
        "helper()",
        "compute_assertion()",
        "test_other()",
    ],
)
def test_a_test_without_assertion_is_found(body: str) -> None:
    helpers = "def helper():\n    return 1\n\ndef test_other():\n    test_it()\n    helper()\n\n"
    text = f"{helpers}def test_it():\n    {body}\n"
    assert any("test_it asserts nothing" in complaint for complaint in architecture.tests_without_assertion(text, "t"))


@pytest.mark.parametrize(
    "body",
    [
        "assert 1 + 1 == 2",
        "torch.testing.assert_close(a, b)",
        "helper()",
        "with pytest.raises(ValueError):\n        f()",
        "torch.autograd.gradcheck(f, x)",
    ],
)
def test_a_test_with_assertion_is_not(body: str) -> None:
    text = f"def helper():\n    assert f()\n\n\ndef test_it():\n    {body}\n"
    assert architecture.tests_without_assertion(text, "t") == []


def test_what_lacks_a_docstring_is_found() -> None:
    public = "class A:\n    def f(self): ...\n    def _g(self): ...\ndef h():\n    def inner(): ...\n"
    text = f"{public}class _B:\n    def f(self): ...\n"
    assert architecture.undocumented(text, "m") == [
        "m: the module has no docstring",
        "m:1 A has no docstring",
        "m:2 A.f has no docstring",
        "m:4 h has no docstring",
    ]


def test_what_is_too_long_is_found() -> None:
    text = "def f():\n" + "    x = 1\n" * 10
    assert architecture.oversized(text, "m", 10, 10) == [
        "m: 11 lines, expected at most 10; split it",
        "m:1 f: 11 lines, expected at most 10",
    ]
    assert architecture.oversized(text, "m", 11, 11) == []


def test_a_config_field_that_is_not_read_is_found() -> None:
    config = "class Grid(BaseModel):\n    size: float = 1.0\n    origin: float = 0.0\n    KINDS: ClassVar[int] = 3\n"
    written_only = "def f(c):\n    c.origin = 2\n    return c.size"
    assert architecture.unread_fields(config, [written_only]) == ["Grid.origin is read nowhere"]


def test_only_modules_that_can_hold_a_config_count_as_readers() -> None:
    assert architecture.reads_config("from sparse_s4r.config import Config", "sparse_s4r.build")
    assert architecture.reads_config("from sparse_s4r import checkpoint", "sparse_s4r.cli.predict")
    assert not architecture.reads_config("from sparse_s4r.structures import Camera", "sparse_s4r.data.scene")
