"""Which frames look at a scan, or at a crop of one."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from sparse_s4r.render.near_surface import NearSurface
from sparse_s4r.structures import RGBDFrame, SparseTSDF


@torch.no_grad()
def overlap(frame: RGBDFrame, surface: NearSurface) -> float:
    """Share of the frame's valid depth samples that lie near the stored voxels of a scan.

    A sample is valid if its depth is finite and > 0. It is near if the centre of a stored voxel lies within
    ``surface.distance`` of its point. The denominator is the frame, not the scan, so a close-up of a crop scores
    higher than a view of the house.

    Args:
        frame: On the device of the scan.
        surface: The voxels of the scan, or of a crop of it; made once for many frames.

    Returns:
        A number in [0, 1]; 0 for a frame without valid depth. Not differentiable.

    Source: S4R section 3 (views with at least 5 % of their depth samples within 2 cm of near-surface voxels).
    """
    valid = (frame.depth > 0) & torch.isfinite(frame.depth)
    count = int(valid.sum())
    if count == 0:
        return 0.0
    points = frame.camera.unproject(frame.depth.double())[valid]
    return int(surface.contains(points).sum()) / count


def select_views(
    frames: Iterable[RGBDFrame],
    scan: SparseTSDF,
    count: int = 5,
    minimum: float = 0.05,
    distance: float | None = None,
) -> tuple[RGBDFrame, ...]:
    """The frames that overlap most with ``scan``, best first; equal ones in their given order.

    Args:
        frames: Candidates, on the device of the scan; read once, one at a time.
        scan: The scan, or a crop of it; its near-surface voxels are all that it stores, the band.
        count: At most so many.
        minimum: Smallest overlap, in [0, 1].
        distance: Largest one from a depth sample to the centre of a voxel, metres; None for 2 cm, or for one voxel
            where voxels are larger.

    Returns:
        Up to ``count`` frames; none where no frame reaches ``minimum``.

    Raises:
        ValueError: ``count`` < 1, ``minimum`` out of [0, 1], or a distance <= 0 or beyond 8 voxels.
    """
    if count < 1:
        raise ValueError(f"select_views: expected count >= 1, got {count}")
    if not (math.isfinite(minimum) and 0 <= minimum <= 1):
        raise ValueError(f"select_views: expected a share in [0, 1] as minimum, got {minimum}")
    surface = NearSurface(scan.grid, scan.coordinates, distance)
    scored = [(overlap(frame, surface), frame) for frame in frames]
    kept = sorted((pair for pair in scored if pair[0] >= minimum), key=lambda pair: -pair[0])
    return tuple(frame for _, frame in kept[:count])
