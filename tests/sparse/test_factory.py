"""Engines by name."""

from __future__ import annotations

import pytest
import torch

from sparse_s4r.sparse.builtin import BuiltinVoxels
from sparse_s4r.sparse.dense import DenseVoxels
from sparse_s4r.sparse.factory import ENGINES, make_voxels
from sparse_s4r.structures.errors import UserError
from tests.sparse.scenes import scattered_cells

_CELLS = scattered_cells(20)
_FEATURES = torch.zeros(len(_CELLS), 1)


@pytest.mark.parametrize(
    ("engine", "kind"), [("builtin", BuiltinVoxels), ("dense", DenseVoxels), ("dense-masked", DenseVoxels)]
)
def test_engine_by_name(engine: str, kind: type) -> None:
    assert isinstance(make_voxels(engine, _CELLS, _FEATURES), kind)
    assert engine in ENGINES


def test_engines_that_cannot_be_had_are_not_replaced() -> None:
    with pytest.raises(UserError, match=r'"minkowski" is not available yet .*make minkowski.* use "builtin"'):
        make_voxels("minkowski", _CELLS, _FEATURES)
    with pytest.raises(UserError, match="expected one of builtin, dense, dense-masked, minkowski, got 'spconv'"):
        make_voxels("spconv", _CELLS, _FEATURES)


@pytest.mark.parametrize("engine", ["builtin", "dense", "dense-masked"])
def test_every_engine_refuses_what_is_no_set_of_cells(engine: str) -> None:
    with pytest.raises(ValueError, match=f"unique cells, got {len(_CELLS)} repeated"):
        make_voxels(engine, _CELLS.repeat(2, 1), _FEATURES.repeat(2, 1))
    with pytest.raises(ValueError, match=f"features: expected .*{len(_CELLS)}, C"):
        make_voxels(engine, _CELLS, _FEATURES[1:])
    with pytest.raises(ValueError, match="stride: expected a power of two"):
        make_voxels(engine, _CELLS, _FEATURES, stride=3)
