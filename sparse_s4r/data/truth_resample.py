"""A truth known on one voxel grid, on another one that may be turned and shifted against it."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from sparse_s4r.geometry.fusion import BAND
from sparse_s4r.geometry.hash import VoxelHash
from sparse_s4r.geometry.keys import pack_keys, unpack_keys
from sparse_s4r.geometry.trilinear import sample_trilinear
from sparse_s4r.structures import GridSpec, SparseTSDF
from sparse_s4r.structures.truth import SceneTruth

# Voxels that are worked on at a time: bounds the memory of large homes.
_CHUNK = 1 << 18
# Centres of two grids that agree to this share of a voxel are one point; a turn by float64 is off by 1e-12.
_SAME = 1e-5


def resample_truth(truth: SceneTruth, grid: GridSpec, source_to_world: Tensor) -> SceneTruth:
    """Give a truth on the voxels of ``grid``.

    Where both grids have the same centres (shifts by whole voxels, turns by right angles), the numbers are taken as
    they are. Elsewhere the distance is trilinear where the eight voxels around are known; at the rim of the band it is
    that of the nearest known voxel (around the centre, or beside it if the band is wider than a voxel), carried on
    along the gradient there: differences to those of the six voxels beside it that are known, zero along an axis on
    which neither is. Label and colour are those of the nearest known voxel.

    Args:
        truth: The truth on a grid of its own world.
        grid: Grid of the result, in the scene's world.
        source_to_world: (4, 4) rigid, from the truth's world to the scene's.

    Returns:
        Voxels with a distance below 0.95 truncations of ``grid`` and, if the truth is a band, below its; sorted by
        (x, y, z). With another voxel size the same distances at other places: nothing is averaged.
    """
    source = truth.field.grid
    motion = source_to_world.double()
    found = _Aligned.find(source, grid, motion)
    if found is not None:
        moved = replace(truth.field, grid=grid, coordinates=truth.field.coordinates @ found.turn.T + found.shift)
        result = SceneTruth(moved, truth.labels, truth.band)
    else:
        result = _interpolated(truth, grid, motion)
    result = result.select(result.field.tsdf.abs() < BAND * grid.truncation)
    return result.select(torch.argsort(pack_keys(result.field.coordinates)))


class _Aligned:
    """Voxel i of one grid is voxel ``turn @ i + shift`` of the other."""

    def __init__(self, turn: Tensor, shift: Tensor) -> None:
        self.turn, self.shift = turn, shift

    @classmethod
    def find(cls, source: GridSpec, grid: GridSpec, motion: Tensor) -> _Aligned | None:
        if abs(source.voxel_size / grid.voxel_size - 1) > 1e-9:
            return None
        turn = motion[:3, :3].round()
        moved = source.centers(torch.zeros(1, 3), dtype=torch.float64) @ motion[:3, :3].T + motion[:3, 3]
        first = grid.to_voxels(moved)[0]
        shift = first.round()
        # A turn that is off by this much is off by a voxel only 100,000 voxels away.
        if float((motion[:3, :3] - turn).abs().max()) > 1e-9 or float((first - shift).abs().max()) > _SAME:
            return None
        return cls(turn.long(), shift.long())


def _interpolated(truth: SceneTruth, grid: GridSpec, motion: Tensor) -> SceneTruth:
    source, voxels = truth.field.grid, VoxelHash(truth.field.coordinates)
    is_band = truth.band > source.voxel_size
    cells = _around(truth.field.coordinates, 1) if is_band else truth.field.coordinates
    inverse = torch.linalg.inv(motion)
    gradient = _gradient(truth.field, voxels)
    # A centre of the one grid within a voxel of the other lies within half a diagonal of that voxel's centre.
    reach = math.ceil(0.5 * math.sqrt(3) * source.voxel_size / grid.voxel_size)
    coordinates, distances, rows = list[Tensor](), list[Tensor](), list[Tensor]()
    for candidates in torch.split(_candidates(cells, source, grid, motion, reach), _CHUNK):
        at = unpack_keys(candidates)
        centers = grid.centers(at, dtype=torch.float64)
        positions = source.to_voxels(centers @ inverse[:3, :3].T + inverse[:3, 3])
        row = _nearest_rows(truth.field, voxels, positions, 1 if is_band else 0)
        near = row >= 0
        at, positions, row = at[near], positions[near], row[near]
        value, inside = sample_trilinear(voxels, truth.field.tsdf.double()[:, None], positions)
        step = positions - truth.field.coordinates[row]
        rim = truth.field.tsdf.double()[row] + (gradient[row] * step).sum(dim=1)
        distance = torch.where(inside, value[:, 0], rim)
        keep = distance.abs() < truth.band if is_band else torch.ones_like(inside)
        coordinates.append(at[keep])
        distances.append(distance[keep].float())
        rows.append(row[keep])
    row = torch.cat(rows)
    color = None if truth.field.color is None else truth.field.color[row]
    field = SparseTSDF(grid, torch.cat(coordinates), torch.cat(distances), torch.ones(len(row)), color)
    return SceneTruth(field, truth.labels[row], truth.band)


def _around(coordinates: Tensor, reach: int) -> Tensor:
    """All voxels within ``reach`` along every axis of those given, (M, 3)."""
    for axis in range(3):
        steps = torch.zeros(2 * reach + 1, 1, 3, dtype=torch.int64)
        steps[:, 0, axis] = torch.arange(-reach, reach + 1)
        coordinates = unpack_keys(torch.unique(pack_keys((coordinates + steps).reshape(-1, 3))))
    return coordinates


def _candidates(cells: Tensor, source: GridSpec, grid: GridSpec, motion: Tensor, reach: int) -> Tensor:
    """Keys of the voxels of ``grid`` whose centre may lie within one of the ``cells`` of ``source``; sorted."""
    axis = torch.arange(1 - reach, reach + 1)
    corners = torch.cartesian_prod(axis, axis, axis)
    parts = []
    for chunk in torch.split(cells, _CHUNK):
        centers = source.centers(chunk, dtype=torch.float64) @ motion[:3, :3].T + motion[:3, 3]
        base = torch.floor(grid.to_voxels(centers)).long()
        parts.append(torch.unique(pack_keys((base[:, None] + corners).view(-1, 3))))
    return torch.unique(torch.cat(parts)) if parts else torch.empty(0, dtype=torch.int64)


def _nearest_rows(field: SparseTSDF, voxels: VoxelHash, positions: Tensor, reach: int) -> Tensor:
    """Row (P,) of the voxel that holds each position, else of the nearest within ``reach``; -1 for none."""
    base = torch.floor(positions + 0.5).long()
    row = voxels.rows(base)
    lost = (row < 0).nonzero().squeeze(1)
    best = torch.full((len(lost),), torch.inf, dtype=torch.float64)
    axis = torch.arange(-reach, reach + 1)
    for offset in torch.cartesian_prod(axis, axis, axis):
        other = voxels.rows(base[lost] + offset)
        distance = ((base[lost] + offset) - positions[lost]).square().sum(dim=1)
        closer = (other >= 0) & (distance < best)
        best = torch.where(closer, distance, best)
        row[lost] = torch.where(closer, other, row[lost])
    return row


def _gradient(field: SparseTSDF, voxels: VoxelHash) -> Tensor:
    """Change (N, 3) float64 of the distance per voxel along each axis, from the neighbours that are known."""
    values = field.tsdf.double()
    result = torch.zeros(len(field), 3, dtype=torch.float64)
    for axis in range(3):
        step = torch.zeros(3, dtype=torch.int64)
        step[axis] = 1
        up, down = voxels.rows(field.coordinates + step), voxels.rows(field.coordinates - step)
        rise = torch.where(up >= 0, values[up] - values, 0.0) + torch.where(down >= 0, values - values[down], 0.0)
        known = (up >= 0).long() + (down >= 0).long()
        # A distance changes by no more than the step.
        result[:, axis] = (rise / known.clamp(min=1)).clamp(-field.grid.voxel_size, field.grid.voxel_size)
    return result
