"""One scanned scene laid out several times, side by side: scenes of any size with the same surface per floor area."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from sparse_s4r.geometry.keys import pack_keys
from sparse_s4r.structures import BLOCK, CELL, ObservationGrid, SampleBox, SceneSample, SparseTSDF


def tile_step(observation: ObservationGrid) -> tuple[int, int]:
    """Distance in x and y, voxels, at which copies of what ``observation`` covers do not meet."""
    blocks = observation.block_coordinates[:, :2]
    x, y = ((blocks.amax(0) - blocks.amin(0) + 1) * BLOCK).tolist()
    # Whole cells of the coarsest level, and some between: a network sees each copy as it sees the first. Twice that
    # edge, so that the columns by which floor is counted fall alike on every copy.
    edge = 2 * CELL
    return (-(-x // edge) + 1) * edge, (-(-y // edge) + 1) * edge


def tile_scan(scan: SparseTSDF, rooms: int, step: tuple[int, int]) -> SparseTSDF:
    """``scan`` laid out ``rooms`` x ``rooms`` times at ``step`` voxels."""
    count = rooms * rooms
    coordinates = torch.cat([scan.coordinates + shift for shift in _shifts(rooms, step)])
    tiled = replace(
        scan,
        coordinates=coordinates,
        tsdf=scan.tsdf.repeat(count),
        weight=scan.weight.repeat(count),
        color=None if scan.color is None else scan.color.repeat(count, 1),
    )
    return tiled.select(torch.argsort(pack_keys(coordinates)))


def tile_observation(observation: ObservationGrid, rooms: int, step: tuple[int, int]) -> ObservationGrid:
    """``observation`` laid out as by ``tile_scan``; what lies between the copies is unknown."""
    blocks = torch.cat([observation.block_coordinates + shift // BLOCK for shift in _shifts(rooms, step)])
    state = observation.block_state.repeat(rooms * rooms)
    order = torch.argsort(pack_keys(blocks))
    # Rows of the mixed blocks' voxels, in the order in which these blocks stand afterwards.
    mixed = state == ObservationGrid.MIXED
    row = torch.cumsum(mixed, 0) - 1
    rows = row[order[mixed[order]]] % max(len(observation.voxel_state), 1)
    return ObservationGrid(observation.grid, blocks[order], state[order], observation.voxel_state[rows])


def tile_sample(sample: SceneSample, rooms: int) -> SceneSample:
    """A whole-scene sample laid out ``rooms`` x ``rooms`` times; its views look at the first copy."""
    step = tile_step(sample.target_observation)
    holes: list[SampleBox] = []
    for shift in _shifts(rooms, step):
        holes += [(lower + shift, upper + shift) for lower, upper in sample.holes]
    return replace(
        sample,
        input=tile_scan(sample.input, rooms, step),
        target=tile_scan(sample.target, rooms, step),
        input_observation=tile_observation(sample.input_observation, rooms, step),
        target_observation=tile_observation(sample.target_observation, rooms, step),
        holes=tuple(holes),
    )


def _shifts(rooms: int, step: tuple[int, int]) -> Iterator[Tensor]:
    for x in range(rooms):
        for y in range(rooms):
            yield torch.tensor([x * step[0], y * step[1], 0])
