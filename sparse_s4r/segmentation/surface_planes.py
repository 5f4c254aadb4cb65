"""Normals of a depth image and its large upright planes."""

from __future__ import annotations

import torch
from torch import Tensor

_ANGLE_BINS = 72
_OFFSET_BIN = 0.06
_PLANES = 8
_INLIER = 0.06
# Relative step of depth that counts as an edge.
_EDGE = 0.06
# A wall has hardly anything behind it: at most this share of the frame's points lies deeper by _BEHIND metres.
_BEHIND = 0.2
_BEHIND_SHARE = 0.02


def point_normals(points: Tensor, valid: Tensor, eye: Tensor, step: int = 4, window: int = 7) -> tuple[Tensor, Tensor]:
    """Normals of a point image by central differences of local means.

    Args:
        points: (H, W, 3) world metres.
        valid: (H, W) bool, where a point is known.
        eye: (3,) camera centre; normals face it.
        step: Distance of the neighbours used, pixels; larger is smoother.
        window: Edge of the square over which points are averaged first, pixels, odd.

    Returns:
        Unit normals (H, W, 3), and (H, W) bool where they are known: the pixel and its four neighbours are valid and
        lie on one surface.
    """
    mean, enough = _local_mean(points, valid, window)
    rows, columns = torch.arange(valid.shape[0]), torch.arange(valid.shape[1])
    up, down = (rows - step).clamp_min(0), (rows + step).clamp_max(len(rows) - 1)
    left, right = (columns - step).clamp_min(0), (columns + step).clamp_max(len(columns) - 1)
    normal = torch.linalg.cross(mean[down] - mean[up], mean[:, right] - mean[:, left])
    length = normal.norm(dim=2)
    known = valid & enough & (length > 1e-12)
    known &= enough[up] & enough[down] & enough[:, left] & enough[:, right]
    known &= _is_smooth(mean, (points - eye).norm(dim=2), eye, step)
    normal = normal / length.clamp_min(1e-12).unsqueeze(2)
    towards = ((eye - points) * normal).sum(dim=2, keepdim=True)
    return torch.where(towards < 0, -normal, normal), known


def _is_smooth(mean: Tensor, distance: Tensor, eye: Tensor, step: int) -> Tensor:
    """True (H, W) where no edge of depth lies between a pixel's neighbours.

    The inverse of depth is linear across the picture of a plane, however slanted, so its second difference tells an
    edge from a slope; a pixel that differs from the mean around it lies on the edge itself.
    """
    inverse = 1.0 / (mean - eye).norm(dim=2).clamp_min(1e-3)
    smooth: Tensor = (distance * inverse - 1.0).abs() < _EDGE
    if min(inverse.shape) > 2 * step:
        bend = torch.zeros_like(inverse)
        inner = inverse[step:-step]
        bend[step:-step] = ((inverse[: -2 * step] + inverse[2 * step :] - 2 * inner) / inner).abs()
        inner = inverse[:, step:-step]
        across = ((inverse[:, : -2 * step] + inverse[:, 2 * step :] - 2 * inner) / inner).abs()
        bend[:, step:-step] = torch.maximum(bend[:, step:-step], across)
        smooth &= bend < _EDGE
    return smooth


def _local_mean(points: Tensor, valid: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """Mean (H, W, 3) of the valid points around each pixel, and (H, W) bool where a third of them is valid."""
    stacked = torch.cat([torch.where(valid.unsqueeze(2), points, 0.0), valid.unsqueeze(2).to(points.dtype)], dim=2)
    pooled = torch.nn.functional.avg_pool2d(
        stacked.permute(2, 0, 1), window, stride=1, padding=window // 2, count_include_pad=False
    ).permute(1, 2, 0)
    share = pooled[..., 3]
    return pooled[..., :3] / share.clamp_min(1e-6).unsqueeze(2), share > 1 / 3


def wall_distance(points: Tensor, normals: Tensor, known: Tensor, height: Tensor, up: Tensor) -> Tensor:
    """Distance (H, W) in metres to the nearest wall plane of the frame; infinite where there is none.

    A wall is an upright plane that reaches over 1 m above the floor or fills a tenth of the frame, with almost no
    point of the frame behind it.

    Args:
        points: (H, W, 3) world metres.
        normals: (H, W, 3) unit normals towards the camera.
        known: (H, W) bool, where a normal is known.
        height: (H, W) metres above the floor.
        up: (3,) upward unit vector.
    """
    first = torch.linalg.cross(up, torch.eye(3)[int(up.abs().argmin())])
    first = first / first.norm()
    second = torch.linalg.cross(up, first)
    upright = known & ((normals @ up).abs() < 0.35)
    plan = torch.stack([points[known] @ first, points[known] @ second], dim=1)
    candidates = upright[known]
    facing = torch.stack([normals[known] @ first, normals[known] @ second], dim=1)
    distance = torch.full(known.shape, torch.inf)
    everywhere = torch.stack([points @ first, points @ second], dim=2)
    for _ in range(_PLANES):
        plane = _strongest_plane(plan[candidates], facing[candidates])
        if plane is None:
            break
        direction, offset = plane
        depth = plan @ direction - offset
        member = (depth.abs() < _INLIER) & (facing @ direction > 0.85) & candidates
        candidates &= ~((depth.abs() < 2 * _INLIER) & (facing @ direction > 0.7))
        behind = float((depth < -_BEHIND).float().mean())
        if not bool(member.any()):
            continue
        large = float(member.float().mean()) > 0.1 or float(height[known][member].amax()) > 1.0
        if behind < _BEHIND_SHARE and large:
            gap = (everywhere @ direction - offset).abs()
            # Furniture that touches the wall differs in its normal; where that is unknown, nearness decides.
            fits = ~known | ((normals @ up).abs() < 0.5)
            distance = torch.where(fits, torch.minimum(distance, gap), distance)
    return distance


def _strongest_plane(plan: Tensor, facing: Tensor) -> tuple[Tensor, Tensor] | None:
    """Direction (2,) and offset () of the upright plane with most votes of floor-plan points; None if weak."""
    if len(plan) < 100:
        return None
    facing = torch.nn.functional.normalize(facing, dim=1)
    angle = torch.atan2(facing[:, 1], facing[:, 0])
    angle_bin = torch.floor(angle / (2 * torch.pi) * _ANGLE_BINS).long() % _ANGLE_BINS
    middle = (torch.arange(_ANGLE_BINS) + 0.5) / _ANGLE_BINS * 2 * torch.pi
    directions = torch.stack([middle.cos(), middle.sin()], dim=1)
    offset = (plan * directions[angle_bin]).sum(dim=1)
    offset_bin = ((offset - offset.min()) / _OFFSET_BIN).long()
    columns = int(offset_bin.max()) + 1
    votes = torch.bincount(angle_bin * columns + offset_bin, minlength=_ANGLE_BINS * columns)
    best = int(votes.argmax())
    if int(votes[best]) < 50:
        return None
    members = angle_bin * columns + offset_bin == best
    # Two rounds of refitting, since a bin cuts its plane.
    direction, level = facing[members].mean(dim=0), offset[members].median()
    for _ in range(2):
        direction = direction / direction.norm()
        near = ((plan @ direction - level).abs() < _INLIER) & (facing @ direction > 0.9)
        if int(near.sum()) < 50:
            break
        direction = facing[near].mean(dim=0)
        direction = direction / direction.norm()
        level = (plan[near] @ direction).median()
    return direction / direction.norm(), level
