"""Voxels by the name of their engine."""

from __future__ import annotations

from torch import Tensor

from sparse_s4r.sparse.box import Box
from sparse_s4r.sparse.builtin import BuiltinVoxels
from sparse_s4r.sparse.dense import DenseVoxels
from sparse_s4r.sparse.sites import Sites
from sparse_s4r.sparse.tensor import VoxelTensor
from sparse_s4r.structures import LEVELS
from sparse_s4r.structures.errors import UserError

ENGINES = ("builtin", "dense", "dense-masked", "minkowski")


def expect_engine(engine: str) -> None:
    """Raise UserError, with what to use instead, unless ``engine`` can be used."""
    if engine == "minkowski":
        raise UserError(
            'engine: "minkowski" is not available yet in this version, whether or not MinkowskiEngine is installed '
            '(`make minkowski` will do that); use "builtin"'
        )
    if engine not in ENGINES:
        raise UserError(f"engine: expected one of {', '.join(ENGINES)}, got {engine!r}")


def make_voxels(
    engine: str,
    coordinates: Tensor,
    features: Tensor,
    stride: int = 1,
    box: tuple[Tensor, Tensor] | None = None,
    levels: int = LEVELS,
) -> VoxelTensor:
    """Voxels of ``engine``.

    Args:
        engine: "builtin"; "dense-masked", the slow reference with the same results; or "dense", the baseline in
            which every cell of the box is a site.
        coordinates: (N, 4) integer cells [batch, x, y, z] of ``stride`` voxels, unique.
        features: (N, C) float.
        stride: Edge of a cell in voxels, a power of two.
        box: Voxels at the lower and, exclusive, upper corner, (3,) integer each, of the dense engines' box, which
            is then widened to multiples of 2^levels voxels; None: around ``coordinates``.
        levels: Halvings from stride 1 that the dense engines' box must allow.

    Returns:
        Voxels with the rows as given; of the baseline, with all cells of the box, row-major.

    Raises:
        UserError: The engine is unknown or not available.
        ValueError: Wrong shapes, a coordinate out of range, or a cell that stands twice.
    """
    expect_engine(engine)
    sites = Sites.of(coordinates, stride)
    if engine == "builtin":
        return BuiltinVoxels(sites, features)
    cells = coordinates.long()
    return DenseVoxels.of(Box.around(cells, stride, levels, box), cells, features, masked=engine == "dense-masked")
