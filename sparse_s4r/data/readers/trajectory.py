"""Streams that are joined by time: images with images, and images with poses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation, Slerp

# Between two poses further apart than this, seconds, a hand-held camera can have moved anywhere.
MAX_GAP = 0.1


def join_times(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64], max_difference: float
) -> npt.NDArray[np.int64]:
    """Pairs of entries that are nearest in time, each used once; the closest pairs are made first.

    Args:
        first: (N,) seconds, ascending.
        second: (M,) seconds, ascending.
        max_difference: Entries further apart are no pair, seconds.

    Returns:
        (P, 2) positions in ``first``, ascending, and in ``second``.
    """
    after = np.searchsorted(second, first)
    # Entries of one stream that share a neighbour compete for it, so that two on each side are looked at.
    places = after[:, None] + np.arange(-2, 2)
    inside = (places >= 0) & (places < len(second))
    gaps = np.abs(second[np.clip(places, 0, len(second) - 1)] - first[:, None])
    row, column = np.nonzero(inside & (gaps <= max_difference))
    order = np.argsort(gaps[row, column], kind="stable")
    free_first, free_second = np.ones(len(first), bool), np.ones(len(second), bool)
    pairs = []
    for one, other in zip(row[order].tolist(), places[row, column][order].tolist(), strict=True):
        if free_first[one] and free_second[other]:
            free_first[one] = free_second[other] = False
            pairs.append((one, other))
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


def interpolate_poses(
    times: npt.NDArray[np.float64],
    poses: npt.NDArray[np.float64],
    wanted: npt.NDArray[np.float64],
    max_difference: float,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Poses at other times: positions linear, rotations along the shortest arc.

    Where the poses before and after are more than ``MAX_GAP`` apart, or one is missing, the nearest pose is taken if it
    is at most ``max_difference`` away.

    Args:
        times: (N,) seconds, in any order; of equal ones the first counts. N >= 1.
        poses: (N, 7) position in metres and unit quaternion (x, y, z, w).
        wanted: (M,) seconds.
        max_difference: Seconds.

    Returns:
        (M, 4, 4) poses, and (M,) True where there is one; the others hold NaN.
    """
    times, order = np.unique(times, return_index=True)
    poses = poses[order]
    after = np.searchsorted(times, wanted).clip(1, max(1, len(times) - 1))
    before = after - 1
    after = np.minimum(after, len(times) - 1)
    inside = (times[before] <= wanted) & (wanted <= times[after]) & (times[after] - times[before] <= MAX_GAP)
    nearest = np.where(wanted - times[before] <= times[after] - wanted, before, after)
    near = np.abs(times[nearest] - wanted) <= max_difference
    at = np.where(inside, wanted, times[nearest])
    result = np.full((len(wanted), 4, 4), np.nan)
    known = inside | near
    rotations = Rotation.from_quat(poses[:, 3:])
    turned = Slerp(times, rotations)(at) if len(times) > 1 else rotations[np.zeros(len(at), int)]
    result[known] = np.eye(4)
    result[known, :3, :3] = turned.as_matrix()[known]
    result[known, :3, 3] = np.stack([np.interp(at, times, poses[:, axis]) for axis in range(3)], axis=1)[known]
    return result, known
