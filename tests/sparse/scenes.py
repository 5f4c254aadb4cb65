"""Sites and features for the tests of the engines."""

from __future__ import annotations

import importlib.util
import os

import numpy as np
import pytest
import torch
from torch import Tensor

from sparse_s4r.sparse.tensor import VoxelTensor
from tests.oracles.sparse_conv import Field

# MinkowskiEngine takes minutes to build; where it must be there, a missing one fails the tests that otherwise skip.
needs_minkowski = pytest.mark.skipif(
    os.environ.get("S4R_REQUIRE_MINKOWSKI") != "1" and importlib.util.find_spec("MinkowskiEngine") is None,
    reason="MinkowskiEngine is not installed: make minkowski",
)
# The engines that promise the same results, as parameters of a test.
ENGINES = ("builtin", "dense-masked", pytest.param("minkowski", marks=needs_minkowski))


def scattered_cells(count: int, extent: int = 8, scenes: int = 2, seed: int = 0) -> Tensor:
    """Up to ``count`` unique cells (N, 4) in no order, around zero, so that half of the coordinates are negative."""
    generator = torch.Generator().manual_seed(seed)
    spatial = torch.randint(-extent // 2, extent // 2, (count, 3), generator=generator)
    batch = torch.randint(0, scenes, (count, 1), generator=generator)
    cells = torch.unique(torch.cat([batch, spatial], dim=1), dim=0)
    return cells[torch.randperm(len(cells), generator=generator)]


def shell_cells(radius: int) -> Tensor:
    """Cells (N, 4) of a spherical shell three cells thick, in lexicographic order: a scan in small."""
    axis = torch.arange(-radius - 2, radius + 3)
    cells = torch.cartesian_prod(axis, axis, axis)
    distance = cells.double().norm(dim=1)
    return torch.nn.functional.pad(cells[(distance - radius).abs() <= 1.5], (1, 0))


def field_of(coordinates: Tensor, features: Tensor) -> Field:
    """Rows by cell, for the oracle."""
    values: np.ndarray = features.detach().double().numpy()
    return {tuple(cell): values[row] for row, cell in enumerate(coordinates.tolist())}


def assert_field(voxels: VoxelTensor, expected: Field, atol: float = 1e-12) -> None:
    """Assert equal sites and features; 1e-12 is some hundred roundings of float64 at magnitudes of ten."""
    got = field_of(voxels.coordinates, voxels.features)
    assert got.keys() == expected.keys()
    for cell, value in expected.items():
        np.testing.assert_allclose(got[cell], value, rtol=0, atol=atol, err_msg=f"at {cell}")


def in_cell_order(voxels: VoxelTensor) -> tuple[Tensor, Tensor]:
    """Coordinates and features sorted by (batch, x, y, z), as engines differ in the order of rows."""
    key = voxels.coordinates + 1024
    order = torch.argsort(((key[:, 0] * 2048 + key[:, 1]) * 2048 + key[:, 2]) * 2048 + key[:, 3])
    return voxels.coordinates[order], voxels.features[order]
