"""Parts of a scene: scans, observations and frames cut to a box of voxels."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from sparse_s4r.structures import (
    BLOCK,
    CELL,
    GridSpec,
    ObservationGrid,
    RGBDFrame,
    SampleBox,
    SampleMotion,
    SparseTSDF,
)


def draw_box(
    scan: SparseTSDF, target: SparseTSDF, motion: SampleMotion, crop: float, generator: torch.Generator
) -> SampleBox:
    """A column around a random voxel of ``scan``, in the moved scene and on its coarse lattice.

    Args:
        scan: The input as the scene has it.
        target: The fuller scan: the box has its full height.
        motion: Moves both.
        crop: Edge in x and y, metres; at least two coarse cells, so that the coarsest level has neighbours.
        generator: Of the choice.
    """
    row = int(torch.randint(len(scan), (1,), generator=generator))
    center = motion.coordinates(scan.coordinates[row : row + 1])[0]
    cells = max(2, round(crop / (scan.grid.voxel_size * CELL)))
    lower = torch.div(center, CELL, rounding_mode="floor") - cells // 2
    upper = lower + cells
    heights = target.coordinates[:, 2]
    bottom, top = int(heights.min()) + motion.shift[2], int(heights.max()) + motion.shift[2]
    lower[2], upper[2] = bottom // CELL, top // CELL + 1
    return lower * CELL, upper * CELL


def inside(coordinates: Tensor, box: SampleBox) -> Tensor:
    """True (N,) where voxels (N, 3) lie in ``box``."""
    lower, upper = box
    # Column by column: a table of three columns is compared several times slower.
    within = [(column >= low) & (column < high) for column, low, high in zip(coordinates.T, lower, upper, strict=True)]
    result: Tensor = within[0] & within[1] & within[2]
    return result


def rows_inside(coordinates: Tensor, box: SampleBox) -> Tensor:
    """Rows (M,) of the voxels (N, 3), sorted by x, that lie in ``box``."""
    bounds = torch.stack([box[0][0], box[1][0]]).to(coordinates.dtype)
    first, last = torch.searchsorted(coordinates[:, 0].contiguous(), bounds).tolist()
    rows: Tensor = inside(coordinates[first:last], box).nonzero().squeeze(1) + first
    return rows


def crop_scan(scan: SparseTSDF, box: SampleBox) -> SparseTSDF:
    """The voxels of ``scan`` in ``box``."""
    return scan.select(rows_inside(scan.coordinates, box))


def crop_observation(observation: ObservationGrid, box: SampleBox) -> ObservationGrid:
    """The blocks of ``observation`` that meet ``box``."""
    lower, upper = box
    first, last = torch.div(lower, BLOCK, rounding_mode="floor"), -torch.div(-upper, BLOCK, rounding_mode="floor")
    rows = rows_inside(observation.block_coordinates, (first, last))
    mixed = observation.block_state == ObservationGrid.MIXED
    voxel_rows = (torch.cumsum(mixed, 0) - 1)[rows][mixed[rows]]
    return replace(
        observation,
        block_coordinates=observation.block_coordinates[rows],
        block_state=observation.block_state[rows],
        voxel_state=observation.voxel_state[voxel_rows],
    )


def mask_outside(frame: RGBDFrame, grid: GridSpec, box: SampleBox) -> RGBDFrame:
    """The frame without the depth of surface outside ``box``: what stands there cannot be rendered."""
    voxels = grid.indices(frame.camera.unproject(frame.depth).reshape(-1, 3))
    return replace(frame, depth=torch.where(inside(voxels, box).view_as(frame.depth), frame.depth, 0.0))


def cut_holes(
    scan: SparseTSDF, count: int, size: float, generator: torch.Generator
) -> tuple[SparseTSDF, tuple[SampleBox, ...]]:
    """``scan`` without the voxels of ``count`` random boxes around voxels of it, and these boxes; never without all.

    Args:
        scan: The input.
        count: Number of boxes.
        size: Their largest edge, metres.
        generator: Of the choice.
    """
    keep, holes = torch.ones(len(scan), dtype=torch.bool), []
    # Free space beside the removed surface would give it away: the boxes reach beyond the band.
    margin = math.ceil(scan.grid.truncation_voxels)
    for _ in range(count):
        center = scan.coordinates[int(torch.randint(len(scan), (1,), generator=generator))]
        share = 0.3 + 0.7 * torch.rand(3, generator=generator)
        half = (share * size / (2 * scan.grid.voxel_size)).long()
        keep &= ~inside(scan.coordinates, (center - half, center + half + 1))
        holes.append((center - half - margin, center + half + margin + 1))
    return (scan.select(keep), tuple(holes)) if bool(keep.any()) else (scan, ())
