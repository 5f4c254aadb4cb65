"""Where rays meet the surface: the reference search in torch operations, the same on every device.

A ray goes from cell to cell. In a cell the interpolated distance along it is a cubic polynomial, whose first fall
through zero is the hit: nothing is sampled, so nothing is stepped over.

Source: Marmitt et al., "Fast and accurate ray-voxel intersection techniques for iso-surface ray tracing", 2004 (the
cubic, cut at its extrema).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_s4r.render.blocks import BLOCK_BITS, BLOCK_VOXELS
from sparse_s4r.render.corners import distance_fills, present_mask
from sparse_s4r.render.field import PARTIAL, SearchField
from sparse_s4r.render.rays import Rays

# Newton's steps, safeguarded by bisection, double the digits each time; the rest is for flat spots.
MAX_REFINEMENTS = 60
# Stands for a component of exactly 0, which never brings a ray to a wall.
NO_SLOPE = 1e-300


@dataclass(frozen=True)
class Found:
    """Where R rays meet the surface.

    Attributes:
        depth: (R,) float64 metres of z-depth, NaN for a miss.
        slot: (R,) int64 place of the cell in ``BlockIndex.rows``, -1 for a miss.
        along: (R, 3) float64 position within the cell, each in [0, 1]; 0 for a miss.
    """

    depth: Tensor
    slot: Tensor
    along: Tensor


@torch.no_grad()
def search(field: SearchField, rays: Rays) -> Found:
    """First front face along every ray: the first fall of the distance from above 0 to 0 or below.

    Args:
        field: Distances, on any device.
        rays: R rays on the same device.

    Returns:
        The hits. Not differentiable.
    """
    every = torch.arange(len(rays), device=field.values.device)
    found = Found(
        torch.full((len(rays),), torch.nan, dtype=torch.float64, device=every.device),
        torch.full_like(every, -1),
        torch.zeros(len(rays), 3, dtype=torch.float64, device=every.device),
    )
    walk = _enter(field, rays, every)
    while len(walk.ray):
        walk = _step(field, walk, found)
    return found


@dataclass(frozen=True)
class _Walk:
    """P rays under way: ray, origin, direction, depth now and at the end, cell, and the distance at the end of the
    cell before, NaN where that held no surface."""

    ray: Tensor
    origin: Tensor
    direction: Tensor
    depth: Tensor
    leave: Tensor
    cell: Tensor
    before: Tensor

    def select(self, keep: Tensor) -> _Walk:
        return _Walk(
            self.ray[keep],
            self.origin[keep],
            self.direction[keep],
            self.depth[keep],
            self.leave[keep],
            self.cell[keep],
            self.before[keep],
        )


def _enter(field: SearchField, rays: Rays, ray: Tensor) -> _Walk:
    """The rays where they enter the box of the voxels or the near limit."""
    origin, direction = rays.expand(ray)
    direction = torch.where(direction == 0, NO_SLOPE, direction)
    last = (field.index.size - 1).double()
    one, two = (0 - origin) / direction, (last - origin) / direction
    enter = torch.minimum(one, two).amax(dim=1).clamp(min=rays.near)
    leave = torch.maximum(one, two).amin(dim=1).clamp(max=rays.far)
    cell = torch.floor(origin + enter.unsqueeze(1) * direction)
    cell = torch.minimum(cell.clamp(min=0), last - 1).long()
    walk = _Walk(ray, origin, direction, enter, leave, cell, torch.full_like(enter, torch.nan))
    return walk.select((enter < leave) & (last >= 1).all())


def _step(field: SearchField, walk: _Walk, found: Found) -> _Walk:
    """Search the cell, or cross the empty cube, that every ray is in; the rays that go on."""
    block = field.index.find_blocks(walk.cell >> BLOCK_BITS, field.ways)
    bits = torch.where(block < 0, BLOCK_BITS - 1 - block, 0).unsqueeze(1)
    low = walk.cell >> bits << bits
    ahead = (walk.direction > 0).long() << bits
    wall, axis = ((low + ahead - walk.origin) * (1 / walk.direction)).min(dim=1)
    end = torch.maximum(walk.depth, torch.minimum(wall, walk.leave))
    going, before = _search_cells(field, walk, block, end, found)
    # Beyond the wall on its axis, and still in the range of the cube and of the box on the others: rounding, or a
    # place on the upper face of the box, must not lead out of them.
    last = field.index.size - 2
    after = torch.floor(walk.origin + end.unsqueeze(1) * walk.direction).long()
    after = torch.minimum(torch.minimum(torch.maximum(after, low), low + (1 << bits) - 1), last)
    beyond = torch.where(walk.direction > 0, low + (1 << bits), low - 1)
    after = after.scatter(1, axis.unsqueeze(1), beyond.gather(1, axis.unsqueeze(1)))
    going &= (wall < walk.leave) & (after >= 0).all(dim=1) & (after <= last).all(dim=1)
    moved = _Walk(walk.ray, walk.origin, walk.direction, end, walk.leave, after, before)
    return moved.select(going)


def _search_cells(field: SearchField, walk: _Walk, block: Tensor, end: Tensor, found: Found) -> tuple[Tensor, Tensor]:
    """Write the hits in the marked cells; which rays (P,) have none, and their distance at the end of the cell."""
    going = torch.ones_like(block, dtype=torch.bool)
    before = torch.full_like(walk.depth, torch.nan)
    inner = walk.cell & ((1 << BLOCK_BITS) - 1)
    slot = block * BLOCK_VOXELS + (inner[:, 0] << (2 * BLOCK_BITS) | inner[:, 1] << BLOCK_BITS | inner[:, 2])
    marked = block >= 0
    marked[marked.clone()] = field.cells[slot[marked]] > 0
    rows = marked.nonzero().squeeze(1)
    if not len(rows):
        return going, before
    part, slot, span = walk.select(rows), slot[rows], (end - walk.depth)[rows]
    start = (part.origin + part.depth.unsqueeze(1) * part.direction - part.cell).clamp(0, 1)
    cubic = _cubic(_corner_values(field, slot), start, span.unsqueeze(1) * part.direction)
    share = _first_fall(cubic, part.before, field.tolerance)
    before[rows] = _value(cubic, torch.ones_like(share))
    hit = ~torch.isnan(share)
    ray, share = part.ray[hit], share[hit].unsqueeze(1)
    found.depth[ray] = part.depth[hit] + share.squeeze(1) * span[hit]
    found.slot[ray] = slot[hit]
    found.along[ray] = (start[hit] + share * span[hit].unsqueeze(1) * part.direction[hit]).clamp(0, 1)
    going[rows[hit]] = False
    return going, before


def _corner_values(field: SearchField, slot: Tensor) -> Tensor:
    """Distances (P, 8) float64 at the corners of the marked cells at ``slot`` (P,), absent ones filled."""
    values = field.values[field.index.corner_slots(slot)].double()
    partial = (field.cells[slot] == PARTIAL).nonzero().squeeze(1)
    if len(partial):
        there = values[partial]
        fills = distance_fills().to(there.device)[present_mask(~torch.isnan(there))]
        values[partial] = (fills * there.nan_to_num().unsqueeze(1)).sum(dim=2)
    return values


def _cubic(corner: Tensor, start: Tensor, shift: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Coefficients (P,) of the interpolated distance at ``start + share * shift`` as a polynomial in ``share``."""
    c = corner.unbind(1)
    x, y, z = start.unbind(1)
    dx, dy, dz = shift.unbind(1)
    # The interpolant as a polynomial of the position.
    lx, ly, lz = c[4] - c[0], c[2] - c[0], c[1] - c[0]
    xy, xz, yz = c[6] - c[4] - ly, c[5] - c[4] - lz, c[3] - c[2] - lz
    xyz = c[7] - c[6] - c[5] + c[4] - yz
    # Its derivatives at the start.
    gx = lx + xy * y + xz * z + xyz * y * z
    gy = ly + xy * x + yz * z + xyz * x * z
    gz = lz + xz * x + yz * y + xyz * x * y
    hxy, hxz, hyz = xy + xyz * z, xz + xyz * y, yz + xyz * x
    value = c[0] + lx * x + ly * y + lz * z + xy * x * y + xz * x * z + yz * y * z + xyz * x * y * z
    return (
        value,
        gx * dx + gy * dy + gz * dz,
        hxy * dx * dy + hxz * dx * dz + hyz * dy * dz,
        xyz * dx * dy * dz,
    )


def _value(cubic: tuple[Tensor, Tensor, Tensor, Tensor], share: Tensor) -> Tensor:
    return cubic[0] + share * (cubic[1] + share * (cubic[2] + share * cubic[3]))


def _first_fall(cubic: tuple[Tensor, Tensor, Tensor, Tensor], before: Tensor, tolerance: float) -> Tensor:
    """Shares (P,) in [0, 1] of the first fall through zero, NaN where there is none.

    Between its extrema the cubic is monotonic, so every piece holds at most one zero. A fall between the end of the
    cell before (``before``) and the start of this one, by rounding or beside filled corners, is a hit at the start.
    So is a fall to the ``tolerance``: where corners are exactly 0 the end of a piece is 0 but for rounding, and the
    next cell, all behind the surface, is not marked.
    """
    zero, one = torch.zeros_like(before), torch.ones_like(before)
    # Extrema: 3 k3 s^2 + 2 k2 s + k1 = 0, by the formula that loses no digits.
    a, b, c = 3 * cubic[3], cubic[2], cubic[1]
    root = -(b + torch.where(b < 0, -1.0, 1.0) * (b * b - a * c).sqrt())
    # Beyond the cell, and of NaN, an extremum counts as the end.
    first, second = (torch.where((at > 0) & (at < 1), at, one) for at in (root / a, c / root))
    low, high = torch.minimum(first, second), torch.maximum(first, second)
    share = torch.where((before > 0) & (cubic[0] <= 0), zero, torch.nan)
    for left, right in ((zero, low), (low, high), (high, one)):
        below = _value(cubic, right)
        falls = torch.isnan(share) & (_value(cubic, left) > 0) & (below <= tolerance)
        share = torch.where(falls & (below > 0), right, share)
        rows = (falls & (below <= 0)).nonzero().squeeze(1)
        if len(rows):
            part = (cubic[0][rows], cubic[1][rows], cubic[2][rows], cubic[3][rows])
            share[rows] = _refine(part, left[rows], right[rows], tolerance)
    return share


def _refine(cubic: tuple[Tensor, Tensor, Tensor, Tensor], left: Tensor, right: Tensor, tolerance: float) -> Tensor:
    """The zero (P,) of the cubic between ``left``, where it is positive, and ``right``, by Newton's method.

    A step that leaves the bracket, which only a flat spot can cause, halves it instead.
    """
    above, below = _value(cubic, left), _value(cubic, right)
    share = left + (right - left) * (above / (above - below))
    for _ in range(MAX_REFINEMENTS):
        value = _value(cubic, share)
        todo = value.abs() > tolerance
        if not bool(todo.any()):
            break
        left, right = torch.where(value > 0, share, left), torch.where(value > 0, right, share)
        slope = cubic[1] + share * (2 * cubic[2] + share * 3 * cubic[3])
        newton = share - value / slope
        inside = (newton > left) & (newton < right)
        share = torch.where(todo, torch.where(inside, newton, 0.5 * (left + right)), share)
    return share
