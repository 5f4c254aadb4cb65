"""Voxels by the name of their engine."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from sparse_s4r.sparse.builtin import BuiltinVoxels
from sparse_s4r.sparse.sites import Sites
from sparse_s4r.sparse.tensor import VoxelTensor
from sparse_s4r.structures.errors import UserError

ENGINES = ("builtin", "dense", "dense-masked", "minkowski")
EngineName = Literal["builtin", "dense", "dense-masked", "minkowski"]


def make_voxels(engine: str, coordinates: Tensor, features: Tensor, stride: int = 1) -> VoxelTensor:
    """Voxels of ``engine``, rows in the order given.

    Args:
        engine: "builtin" or "dense-masked" (slow reference).
        coordinates: (N, 4) integer cells [batch, x, y, z] of ``stride`` voxels, unique.
        features: (N, C) float.
        stride: Edge of a cell in voxels, a power of two.

    Raises:
        UserError: The engine is unknown or not available.
        ValueError: Wrong shapes, a coordinate out of range, or a cell that stands twice.
    """
    if engine == "builtin":
        return BuiltinVoxels(Sites.of(coordinates, stride), features)
    if engine == "minkowski":
        raise UserError(
            'engine: "minkowski" is not available yet in this version; use "builtin". '
            "(Its adapter will need MinkowskiEngine, built by `make minkowski`.)"
        )
    raise UserError(f"engine: expected one of {', '.join(ENGINES)}, got {engine!r}")
