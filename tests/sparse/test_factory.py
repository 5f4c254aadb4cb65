"""Engines by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sparse_s4r.sparse.builtin import BuiltinVoxels
from sparse_s4r.sparse.dense import DenseVoxels
from sparse_s4r.sparse.factory import ENGINES, expect_engine, make_voxels
from sparse_s4r.sparse.minkowski import MinkowskiVoxels
from sparse_s4r.structures.errors import UserError
from tests.sparse.scenes import needs_minkowski, scattered_cells

_CELLS = scattered_cells(20)
_FEATURES = torch.zeros(len(_CELLS), 1)
_ALL = ("builtin", "dense", "dense-masked", pytest.param("minkowski", marks=needs_minkowski))


@pytest.mark.parametrize(
    ("engine", "kind"),
    [
        ("builtin", BuiltinVoxels),
        ("dense", DenseVoxels),
        ("dense-masked", DenseVoxels),
        pytest.param("minkowski", MinkowskiVoxels, marks=needs_minkowski),
    ],
)
def test_engine_by_name(engine: str, kind: type) -> None:
    assert isinstance(make_voxels(engine, _CELLS, _FEATURES), kind)
    assert engine in ENGINES


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(UserError, match="expected one of builtin, dense, dense-masked, minkowski, got 'spconv'"):
        make_voxels("spconv", _CELLS, _FEATURES)


@pytest.mark.usefixtures("without_minkowski")
def test_a_missing_engine_is_not_replaced() -> None:
    for attempt in (lambda: expect_engine("minkowski"), lambda: make_voxels("minkowski", _CELLS, _FEATURES)):
        with pytest.raises(UserError, match=r"needs MinkowskiEngine, which is not installed; .*`make minkowski`"):
            attempt()


@pytest.mark.usefixtures("without_minkowski")
@pytest.mark.parametrize("fault", ["raise OSError('libopenblas.so.0: no such file')", "import nowhere_to_be_found"])
def test_an_engine_that_does_not_load_is_not_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: str
) -> None:
    (tmp_path / "MinkowskiEngine.py").write_text(fault)
    monkeypatch.delitem(sys.modules, "MinkowskiEngine")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"does not load \(.*(libopenblas|nowhere_to).*\); install it with `make mink"):
        expect_engine("minkowski")


def test_minkowski_engine_is_imported_only_when_asked_for() -> None:
    program = """
import sys
import torch
import sparse_s4r.cli.main
from sparse_s4r.sparse.factory import expect_engine, make_voxels
expect_engine("builtin")
make_voxels("builtin", torch.zeros(1, 4, dtype=torch.int64), torch.ones(1, 2))
assert not [name for name in sys.modules if "minkowskiengine" in name.lower()]
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("engine", _ALL)
def test_every_engine_refuses_what_is_no_set_of_cells(engine: str) -> None:
    with pytest.raises(ValueError, match=f"unique cells, got {len(_CELLS)} repeated"):
        make_voxels(engine, _CELLS.repeat(2, 1), _FEATURES.repeat(2, 1))
    with pytest.raises(ValueError, match=f"features: expected .*{len(_CELLS)}, C"):
        make_voxels(engine, _CELLS, _FEATURES[1:])
    with pytest.raises(ValueError, match="stride: expected a power of two"):
        make_voxels(engine, _CELLS, _FEATURES, stride=3)
    with pytest.raises(ValueError, match=r"expected integer \(N, 4\) \[batch, x, y, z\], got torch.float32"):
        make_voxels(engine, _CELLS.float(), _FEATURES)
    with pytest.raises(ValueError, match=r"expected cells within .*got \[0, 0, 131072, 0\]; use a larger voxel"):
        make_voxels(engine, torch.tensor([[0, 0, 1 << 17, 0]]), _FEATURES[:1])
