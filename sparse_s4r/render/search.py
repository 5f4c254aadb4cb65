"""Where rays meet the surface: the reference search in torch operations, the same on every device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_s4r.render.blocks import BLOCK_BITS, BlockIndex
from sparse_s4r.render.rays import Rays
from sparse_s4r.structures import BLOCK

# A step that leaves an empty block lands this part of a step early, so that rounding cannot skip a sample: float32
# resolves 10,000 steps to some thousandths of one.
EXIT_SLACK = 1e-2


@dataclass(frozen=True)
class SearchField:
    """Signed distances in blocks.

    Attributes:
        index: Which voxels there are.
        values: ((B + 1) * 512,) float32 or float64 metres, NaN where absent.
        tolerance: Metres; a crossing is refined until the distance is below it.
        refinements: At most so many refinements of a crossing.
    """

    index: BlockIndex
    values: Tensor
    tolerance: float
    refinements: int

    def sample(self, block: Tensor, position: Tensor) -> Tensor:
        """Interpolated distances (P,) at local ``position`` (P, 3) voxels in cells that start in ``block`` (P,).

        NaN where one of the eight corners is absent.
        """
        low = torch.floor(position)
        corner = self.values[self.index.corner_slots(block, low.long())]
        along = position - low
        x, y, z = along[:, 0:1], along[:, 1:2], along[:, 2:3]
        corner = corner[:, :4] * (1 - x) + corner[:, 4:] * x
        corner = corner[:, :2] * (1 - y) + corner[:, 2:] * y
        return (corner[:, :1] * (1 - z) + corner[:, 1:] * z).squeeze(1)

    def sample_anywhere(self, position: Tensor) -> Tensor:
        """As ``sample``, at points whose block is not known; NaN in empty blocks too."""
        block = self.index.find_blocks(torch.floor(position).long() >> BLOCK_BITS)
        value = torch.full_like(position[:, 0], torch.nan)
        inside = block >= 0
        value[inside] = self.sample(block[inside], position[inside])
        return value


@torch.no_grad()
def make_search_field(index: BlockIndex, tsdf: Tensor, voxel_size: float) -> SearchField:
    """Lay the distances ``tsdf`` (N,) metres out in the blocks of ``index``."""
    double = tsdf.dtype == torch.float64
    values = torch.full_like(index.rows, torch.nan, dtype=torch.float64 if double else torch.float32)
    values[index.slots] = tsdf.detach().to(values.dtype)
    # float32 resolves a depth of 5 m to 5e-7 m, so a finer tolerance than 1e-5 voxels would never be reached.
    tolerance, refinements = (1e-12 * voxel_size, 60) if double else (1e-5 * voxel_size, 8)
    return SearchField(index, values, tolerance, refinements)


@torch.no_grad()
def search(field: SearchField, rays: Rays) -> Tensor:
    """First front face along every ray.

    Args:
        field: Distances.
        rays: R rays.

    Returns:
        (R,) z-depth in metres of the first crossing from + to - between two consecutive samples whose cells
        have all eight corners; NaN for a miss. Not differentiable.
    """
    result = torch.full_like(rays.spacing, torch.nan)
    ray = (rays.first <= rays.last).nonzero().squeeze(1)
    step = rays.first[ray]
    before = torch.full_like(rays.spacing[ray], torch.nan)
    while len(ray):
        depth = _sample_depth(rays, ray, step)
        position = rays.origin + depth.unsqueeze(1) * rays.direction[ray]
        block = field.index.find_blocks(torch.floor(position).long() >> BLOCK_BITS)
        filled = block >= 0
        value = torch.full_like(depth, torch.nan)
        value[filled] = field.sample(block[filled], position[filled])
        crossing = ((before > 0) & (value <= 0)).nonzero().squeeze(1)
        if len(crossing):
            rows = ray[crossing]
            start = _sample_depth(rays, rows, step[crossing] - 1)
            result[rows] = _refine(field, rays, rows, (start, depth[crossing]), (before[crossing], value[crossing]))
        after = torch.where(filled, step + 1, _first_step_outside(rays, ray, position, block, step))
        going = torch.isnan(result[ray]) & (after <= rays.last[ray])
        ray, step, before = ray[going], after[going], value[going]
    return result


def _sample_depth(rays: Rays, ray: Tensor, step: Tensor) -> Tensor:
    return (rays.near + step.to(rays.spacing.dtype) * rays.spacing[ray]).clamp(max=rays.far)


def _first_step_outside(rays: Rays, ray: Tensor, position: Tensor, block: Tensor, step: Tensor) -> Tensor:
    """The first sample behind the empty cube around ``position`` that the mark ``block`` tells of."""
    edge = (BLOCK << (-1 - block).clamp(min=0)).to(position.dtype).unsqueeze(1)
    direction = rays.direction[ray]
    wall = (torch.floor(position / edge) + (direction > 0).to(position.dtype)) * edge
    leave = torch.where(direction == 0, torch.inf, (wall - rays.origin) / direction).amin(dim=1)
    ahead = torch.ceil((leave - rays.near) / rays.spacing[ray] - EXIT_SLACK)
    return torch.maximum(ahead.long(), step + 1)


def _refine(
    field: SearchField, rays: Rays, ray: Tensor, bracket: tuple[Tensor, Tensor], value: tuple[Tensor, Tensor]
) -> Tensor:
    """Root (P,) within ``bracket`` by regula falsi (Illinois variant); NaN if a corner is absent on the way."""
    result = torch.full_like(bracket[0], torch.nan)
    left, right = bracket
    above, below = value
    side = torch.zeros_like(ray)
    open_ = torch.arange(len(ray), device=ray.device)
    for turn in range(field.refinements):
        middle = left + above / (above - below) * (right - left)
        found = field.sample_anywhere(rays.origin + middle.unsqueeze(1) * rays.direction[ray])
        done = (found.abs() <= field.tolerance) | torch.isnan(found) | (turn == field.refinements - 1)
        result[open_[done]] = torch.where(torch.isnan(found), torch.nan, middle)[done]
        front = found > 0
        # Illinois: an end that stays twice counts half, which keeps the convergence superlinear.
        above, below = (
            torch.where(front, found, torch.where(side < 0, above * 0.5, above)),
            torch.where(front, torch.where(side > 0, below * 0.5, below), found),
        )
        left, right = torch.where(front, middle, left), torch.where(front, right, middle)
        side = torch.where(front, 1, -1)
        keep = ~done
        if not bool(keep.any()):
            break
        left, right, above, below, side, ray, open_ = (
            part[keep] for part in (left, right, above, below, side, ray, open_)
        )
    return result
