"""Which frames look at a scan, or at a crop of one."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from sparse_s4r.geometry.hash import VoxelHash
from sparse_s4r.structures import RGBDFrame, SparseTSDF

# A voxel within this many voxels of the surface counts as near it: 2 cm at the paper's voxel size.
NEAR_SURFACE_VOXELS = 1.0


@torch.no_grad()
def overlap(frame: RGBDFrame, scan: SparseTSDF, voxels: VoxelHash) -> float:
    """Share of the frame's valid depth samples that lie in a voxel of ``scan`` within one voxel of the surface.

    The denominator is the frame, not the scan, so a close-up of a crop scores higher than a view of the house.

    Args:
        frame: On the device of the scan.
        scan: The scan, or a crop of it.
        voxels: ``VoxelHash(scan.coordinates)``, made once for many frames.

    Returns:
        A number in [0, 1]; 0 for a frame without depth. Not differentiable.

    Source: S4R section 4 (views with at least 5 % of their depth samples within 2 cm of near-surface voxels).
    """
    valid = frame.depth > 0
    if not bool(valid.any()):
        return 0.0
    points = frame.camera.unproject(frame.depth.double())[valid]
    row = voxels.rows(scan.grid.indices(points))
    row = row[row >= 0]
    near = scan.tsdf[row].abs() <= NEAR_SURFACE_VOXELS * scan.grid.voxel_size
    return int(near.sum()) / int(valid.sum())


def select_views(
    frames: Iterable[RGBDFrame], scan: SparseTSDF, count: int = 5, minimum: float = 0.05
) -> tuple[RGBDFrame, ...]:
    """The frames that overlap most with ``scan``, best first; equal ones in their given order.

    Args:
        frames: Candidates, on the device of the scan.
        scan: The scan, or a crop of it.
        count: At most so many.
        minimum: Smallest overlap, in [0, 1].

    Returns:
        Up to ``count`` frames; none where no frame reaches ``minimum``.

    Raises:
        ValueError: ``count`` < 1 or ``minimum`` out of [0, 1].
    """
    if count < 1:
        raise ValueError(f"select_views: expected count >= 1, got {count}")
    if not 0 <= minimum <= 1:
        raise ValueError(f"select_views: expected a share in [0, 1] as minimum, got {minimum}")
    voxels = VoxelHash(scan.coordinates)
    scored = [(overlap(frame, scan, voxels), frame) for frame in frames]
    kept = sorted((pair for pair in scored if pair[0] >= minimum), key=lambda pair: -pair[0])
    return tuple(frame for _, frame in kept[:count])
