"""The whole truth about a home on a voxel grid: distance, colour and class near every surface, seen or not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparse_s4r.data.homes.frames import HomeScene
from sparse_s4r.data.homes.surface import Surface
from sparse_s4r.data.homes.voxel_loops import closest_points, fill, nearest
from sparse_s4r.structures import GridSpec, SparseTSDF

# Distances are kept to this share of the truncation, like those of a fused scan.
BAND = 0.95
# Voxels along x that are worked on at a time: bounds the memory of large homes.
_SLAB = 96

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class HomeTruth:
    """Everything about a home at the voxels near its surface.

    Attributes:
        field: Exact signed distances, metres, and the colour of the nearest surface point; ``weight`` is 1. Positive in
            the air of rooms and openings, negative in solids, in walls and outside.
        labels: (N,) uint8 class of the nearest surface point, or ``IGNORE_LABEL``.
        class_names: Names of the label values.
        taxonomy: Name of the list of classes.
        fine_labels: (N,) uint8 of ``classes.FINE_NAMES``.
        instances: (N,) int16 object of the nearest surface point; the shell of each room is one.
    """

    field: SparseTSDF
    labels: Tensor
    class_names: tuple[str, ...]
    taxonomy: str
    fine_labels: Tensor
    instances: Tensor


@dataclass(frozen=True)
class VoxelTruth:
    """The truth before it is labelled: field, and the owner of the nearest surface point of every voxel (N,)."""

    field: SparseTSDF
    owner: NDArray[np.int64]


def home_grid(surface: Surface, voxel_size: float, truncation_voxels: float = 3.0) -> GridSpec:
    """A grid whose box holds the surface and its band."""
    low = surface.triangles.reshape(-1, 3).min(axis=0) - truncation_voxels * voxel_size
    return GridSpec.around(torch.from_numpy(low), voxel_size, truncation_voxels)


def voxelise(scene: HomeScene, grid: GridSpec) -> VoxelTruth:
    """Exact signed distance and colour at every voxel within 0.95 truncations of the surface.

    Args:
        scene: The home.
        grid: Placement of the voxels.
    """
    surface = scene.surface
    band, size = BAND * grid.truncation, grid.voxel_size
    corners = surface.triangles.reshape(-1, 3)
    low = np.floor((corners.min(axis=0) - band - np.array(grid.origin)) / size).astype(np.int64)
    high = np.floor((corners.max(axis=0) + band - np.array(grid.origin)) / size).astype(np.int64)
    span = surface.triangles[:, :, 0].min(axis=1) - band, surface.triangles[:, :, 0].max(axis=1) + band
    cells, distances, numbers = list[NDArray[np.int64]](), list[NDArray[np.float32]](), list[NDArray[np.int64]]()
    for start in range(int(low[0]), int(high[0]) + 1, _SLAB):
        first = np.array([start, low[1], low[2]])
        shape = (min(_SLAB, int(high[0]) + 1 - start), *(high - low + 1)[1:])
        corner = (first + 0.5) * size + np.array(grid.origin)
        rows = np.flatnonzero((span[1] >= corner[0]) & (span[0] <= corner[0] + (shape[0] - 1) * size))
        distance = np.full(shape, np.inf, dtype=np.float32)
        number = np.full(shape, -1, dtype=np.int32)
        nearest(distance, number, corner, size, surface.triangles, surface.normals, rows, band)
        air = np.zeros(shape, dtype=np.uint8)
        fill(air, corner, size, *surface.air.tables, 1)
        fill(air, corner, size, *surface.solids.tables, 0)
        near = number >= 0
        cells.append(np.argwhere(near) + first)
        distances.append(np.where(air[near] == 1, distance[near], -distance[near]))
        numbers.append(number[near].astype(np.int64))
    return _gather(scene, grid, np.concatenate(cells), np.concatenate(distances), np.concatenate(numbers))


def _gather(
    scene: HomeScene, grid: GridSpec, cells: NDArray[np.int64], distance: NDArray[np.float32], number: NDArray[np.int64]
) -> VoxelTruth:
    centers = (cells + 0.5) * grid.voxel_size + np.array(grid.origin)
    points = closest_points(centers, scene.surface.triangles, number)
    # A voxel's colour stands for its cross-section.
    colors = scene.shader.colors(points, number, np.full(len(points), grid.voxel_size))
    field = SparseTSDF(
        grid, torch.from_numpy(cells), torch.from_numpy(distance), torch.ones(len(cells)), torch.from_numpy(colors)
    )
    return VoxelTruth(field, scene.surface.owner[number])
