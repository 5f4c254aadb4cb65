"""Voxels by the name of their engine."""

from __future__ import annotations

from torch import Tensor

from sparse_s4r.sparse import morton
from sparse_s4r.sparse.box import Box
from sparse_s4r.sparse.builtin import BuiltinVoxels
from sparse_s4r.sparse.dense import DenseVoxels
from sparse_s4r.sparse.minkowski import MinkowskiVoxels
from sparse_s4r.sparse.minkowski_maps import MinkowskiSites, load_engine
from sparse_s4r.sparse.sites import Sites
from sparse_s4r.sparse.tensor import VoxelTensor
from sparse_s4r.structures import LEVELS
from sparse_s4r.structures.errors import UserError

ENGINES = ("builtin", "dense", "dense-masked", "minkowski")


def expect_engine(engine: str) -> None:
    """Raise UserError, with what to use instead, unless ``engine`` can be used."""
    if engine not in ENGINES:
        raise UserError(f"engine: expected one of {', '.join(ENGINES)}, got {engine!r}")
    if engine == "minkowski":
        load_engine()


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
        engine: "builtin"; "minkowski", which needs MinkowskiEngine; "dense-masked", the slow reference with the same
            results; or "dense", the baseline in which every cell of the box is a site.
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
    if engine == "minkowski":
        return _make_minkowski(coordinates, features, stride)
    sites = Sites.of(coordinates, stride)
    if engine == "builtin":
        return BuiltinVoxels(sites, features)
    cells = coordinates.long()
    return DenseVoxels.of(Box.around(cells, stride, levels, box), cells, features, masked=engine == "dense-masked")


def _make_minkowski(coordinates: Tensor, features: Tensor, stride: int) -> MinkowskiVoxels:
    """Without the keys of ``Sites``, which need a sort: MinkowskiEngine finds repeated cells as it hashes them."""
    is_table = coordinates.dim() == 2 and coordinates.shape[1] == 4 and not coordinates.dtype.is_floating_point
    if is_table and bool(morton.in_range(coordinates, stride).all()):
        found = MinkowskiSites.of(coordinates, stride)
        if found is not None:
            return MinkowskiVoxels(found, features)
    # Says what is wrong.
    Sites.of(coordinates, stride)
    raise RuntimeError("coordinates: MinkowskiEngine took unique cells for repeated ones")
