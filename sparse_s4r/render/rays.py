"""The rays of cameras in the units of the search: voxels along, z-depth in metres as the parameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_s4r.structures import Camera, GridSpec


@dataclass(frozen=True)
class Rays:
    """The rays ``origin + t * direction`` through all pixel centres of some cameras, row by row, camera by camera.

    Local voxel coordinates, where voxel i has its centre at i. All numbers are float64: a camera far from the
    scene's origin loses nothing.

    Attributes:
        origins: (V, 3) voxels.
        matrices: (V, 3, 3); matrix @ (column, row, 1) is the direction in voxels per metre of z-depth.
        widths: (V,) int64 pixels per row.
        starts: (V + 1,) int64, the first ray of every camera and the number R of all.
        near: Metres of z-depth.
        far: Metres of z-depth.
    """

    origins: Tensor
    matrices: Tensor
    widths: Tensor
    starts: Tensor
    near: float
    far: float

    def __len__(self) -> int:
        return int(self.starts[-1])

    def expand(self, ray: Tensor) -> tuple[Tensor, Tensor]:
        """Origins and directions, (P, 3) each, of the rays ``ray`` (P,) int64."""
        camera = torch.searchsorted(self.starts, ray, right=True) - 1
        pixel = ray - self.starts[camera]
        width = self.widths[camera]
        column, row = (pixel % width).double(), torch.div(pixel, width, rounding_mode="floor").double()
        matrix = self.matrices[camera]
        # Written out, so that the compiled search can round in the same order.
        direction = matrix[:, :, 0] * column.unsqueeze(1) + matrix[:, :, 1] * row.unsqueeze(1) + matrix[:, :, 2]
        return self.origins[camera], direction


def cast_rays(cameras: Sequence[Camera], grid: GridSpec, lower: Tensor, near: float, far: float) -> Rays:
    """The rays of ``cameras``, at least one.

    Args:
        cameras: On the device of ``lower``.
        grid: Placement of the voxels.
        lower: (3,) int64 voxel coordinates that are local (0, 0, 0).
        near: Smallest z-depth, metres.
        far: Largest z-depth, metres.
    """
    centers = torch.stack([camera.center.double() for camera in cameras])
    matrices = [
        camera.camera_to_world[:3, :3].double() @ torch.linalg.inv(camera.intrinsics.double()) / grid.voxel_size
        for camera in cameras
    ]
    sizes = torch.tensor([camera.width * camera.height for camera in cameras], device=lower.device)
    return Rays(
        grid.to_voxels(centers) - lower,
        torch.stack(matrices),
        torch.tensor([camera.width for camera in cameras], device=lower.device),
        torch.cat([sizes.new_zeros(1), sizes.cumsum(0)]),
        near,
        far,
    )
