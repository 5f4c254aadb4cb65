"""The rays of a camera in the units of the search: voxels along, z-depth in metres as the parameter."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_s4r.render.blocks import BlockIndex
from sparse_s4r.structures import Camera, GridSpec


@dataclass(frozen=True)
class Rays:
    """Rays ``origin + t * direction`` in local voxel coordinates, where voxel i has its centre at i.

    Sample k of ray r lies at ``min(near + k * spacing[r], far)``; only samples ``first[r] <= k <= last[r]`` can
    meet the voxels.

    Attributes:
        origin: (3,) voxels.
        direction: (R, 3) voxels per metre of z-depth.
        spacing: (R,) metres of z-depth between samples.
        first: (R,) int64.
        last: (R,) int64, below ``first`` for a ray that misses the box.
        near: Metres of z-depth.
        far: Metres of z-depth.
    """

    origin: Tensor
    direction: Tensor
    spacing: Tensor
    first: Tensor
    last: Tensor
    near: float
    far: float


def cast_rays(
    camera: Camera,
    grid: GridSpec,
    index: BlockIndex,
    limits: tuple[float, float],
    step_voxels: float,
    dtype: torch.dtype,
) -> Rays:
    """The rays through all pixel centres of ``camera``, row by row.

    Args:
        camera: On the device of ``index``.
        grid: Placement of the voxels.
        index: The voxels to meet.
        limits: Near and far z-depth, metres.
        step_voxels: Distance of samples along the ray, voxels.
        dtype: Type of the search; the pose is subtracted in float64 before it is rounded.
    """
    near, far = limits
    center = grid.to_voxels(camera.center.double().unsqueeze(0))[0] - index.lower
    direction = (camera.ray_directions().double() / grid.voxel_size).view(-1, 3)
    spacing = (step_voxels / direction.norm(dim=1)).to(dtype)
    enter, leave = _box_interval(center, direction, index.size.double() - 1)
    count = torch.ceil((far - near) / spacing.double())
    # One sample of slack on both sides keeps the clipped march equal to the full one under rounding.
    first = torch.floor((enter - near) / spacing.double() - 1).clamp(min=0).minimum(count + 1)
    last = torch.ceil((leave - near) / spacing.double() + 1).clamp(min=-1).minimum(count)
    return Rays(center.to(dtype), direction.to(dtype), spacing, first.long(), last.long(), near, far)


def _box_interval(origin: Tensor, direction: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """Where the rays enter and leave the box [0, upper], (R,) each, metres; leave < enter for a miss."""
    safe = torch.where(direction == 0, torch.full_like(direction, 1e-300), direction)
    one, two = -origin / safe, (upper - origin) / safe
    enter = torch.minimum(one, two).amax(dim=1)
    leave = torch.maximum(one, two).amin(dim=1)
    # A far-away pair such as (inf, -inf) must not overflow the integers that follow.
    return enter.nan_to_num(-1e9).clamp(-1e9, 1e9), leave.nan_to_num(1e9).clamp(-1e9, 1e9)
