"""The one differentiable step: what a ray sees at its hit, from the eight voxels around it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_s4r.render.blocks import BLOCK_BITS, CORNERS, BlockIndex


@dataclass(frozen=True)
class Hits:
    """Rays at their hits.

    Attributes:
        ray: (P,) int64 pixel, row by row.
        depth: (P,) metres of z-depth, from the search.
        direction: (P, 3) voxels per metre of z-depth.
        rows: (P, 8) int64 voxel rows of the corners.
        along: (P, 3) position within the cell, each in [0, 1).
    """

    ray: Tensor
    depth: Tensor
    direction: Tensor
    rows: Tensor
    along: Tensor


@torch.no_grad()
def locate_hits(index: BlockIndex, origin: Tensor, direction: Tensor, depth: Tensor) -> Hits:
    """The hits among R rays.

    Args:
        index: Which voxels there are.
        origin: (3,) local voxels.
        direction: (R, 3) voxels per metre.
        depth: (R,) metres, NaN for a miss.
    """
    ray = (~torch.isnan(depth)).nonzero().squeeze(1)
    position = origin + depth[ray].unsqueeze(1) * direction[ray]
    low = torch.floor(position)
    block = index.find_blocks(low.long() >> BLOCK_BITS)
    rows = index.rows[index.corner_slots(block.clamp(min=0), low.long())].long()
    # Rounding may put a hit on the face of its cell into the next one, whose corners need not all be there.
    keep = (block >= 0) & (rows >= 0).all(dim=1)
    ray, position, low, rows = ray[keep], position[keep], low[keep], rows[keep]
    return Hits(ray, depth[ray], direction[ray], rows, position - low)


def corner_weights(along: Tensor) -> Tensor:
    """Trilinear weights (P, 8) of the corners at ``along`` (P, 3); differentiable."""
    axes = _axis_weights(along)
    return axes[0] * axes[1] * axes[2]


def corner_slopes(along: Tensor) -> Tensor:
    """Derivatives (P, 8, 3) of ``corner_weights`` with respect to ``along`` (P, 3); differentiable."""
    x, y, z = _axis_weights(along)
    sign = torch.tensor(CORNERS, dtype=along.dtype, device=along.device) * 2 - 1
    return torch.stack([sign[:, 0] * y * z, x * sign[:, 1] * z, x * y * sign[:, 2]], dim=2)


def hit_depth(corner: Tensor, hits: Hits, voxel_size: float, min_cosine: float) -> Tensor:
    """Depth (P,) in metres with its derivative by the implicit function theorem.

    On s(t) = 0 the depth moves by dt/ds_i = -w_i / (grad s . d). One Newton step with the slope held fixed has
    this derivative, and the value of the search up to its tolerance.

    Args:
        corner: (P, 8) distances at the corners, metres; receives the gradient.
        hits: Where the rays hit.
        voxel_size: Metres.
        min_cosine: Slopes along the ray flatter than this, in metres per metre, count as this: a grazing ray has
            a gradient at most 1 / min_cosine times that of a frontal one, and never the wrong sign.
    """
    with torch.no_grad():
        slope = torch.einsum("pc,pca,pa->p", corner, corner_slopes(hits.along), hits.direction)
        flattest = -min_cosine * voxel_size * hits.direction.norm(dim=1)
        slope = torch.minimum(slope, flattest)
    return hits.depth - (corner * corner_weights(hits.along)).sum(dim=1) / slope


def hit_normal(corner: Tensor, along: Tensor) -> Tensor:
    """Unit gradient (P, 3) of the interpolated distances ``corner`` (P, 8) at ``along`` (P, 3); differentiable."""
    gradient = torch.einsum("pc,pca->pa", corner, corner_slopes(along))
    return torch.nn.functional.normalize(gradient, dim=1)


def _axis_weights(along: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    upper = torch.tensor(CORNERS, dtype=torch.bool, device=along.device)
    x, y, z = (torch.where(upper[:, a], along[:, a : a + 1], 1 - along[:, a : a + 1]) for a in range(3))
    return x, y, z
