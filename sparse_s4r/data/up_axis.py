"""The up direction of a capture, and the turn that makes it +z."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sparse_s4r.structures import RGBDFrame

# Cameras are held upright within this angle on average.
_CONE = math.cos(math.radians(45))
# Normals within this angle of each other belong to one direction: depth noise spreads them by a few degrees.
_PEAK = math.cos(math.radians(6))
_CANDIDATES = 500
_PER_FRAME = 4000
# Fewer normals than this say nothing.
_MIN_NORMALS = 200


def estimate_up(frames: Sequence[RGBDFrame]) -> tuple[Tensor, str]:
    """Up direction from the way cameras are held, refined by floors, tables and ceilings.

    The mean of the cameras' up axes gives a first guess. Of all surface normals within 45 degrees of it or of its
    opposite, the most frequent direction is taken, frequent and near the guess counting alike.

    Args:
        frames: A sample spread over the capture.

    Returns:
        Unit vector (3,) float64 in the capture's world, and a line that says how it was found.
    """
    ups = torch.stack([-frame.camera.camera_to_world[:3, 1].double() for frame in frames])
    guess = torch.nn.functional.normalize(ups.mean(dim=0), dim=0)
    normals = torch.cat([_normals(frame) for frame in frames])
    normals = normals * torch.sign(normals @ guess).unsqueeze(1)
    normals = normals[normals @ guess > _CONE]
    if len(normals) < _MIN_NORMALS:
        return guess, f"up: mean of the cameras' up axes, {_show(guess)}; too little horizontal surface to refine it"
    candidates = normals[:: max(1, len(normals) // _CANDIDATES)]
    votes = (candidates @ normals.T > _PEAK).sum(dim=1) * (candidates @ guess)
    up = candidates[int(votes.argmax())]
    for _ in range(5):
        up = torch.nn.functional.normalize(normals[normals @ up > _PEAK].mean(dim=0), dim=0)
    angle = math.degrees(math.acos(min(1.0, float(up @ guess))))
    share = float((normals @ up > _PEAK).double().mean())
    return up, (
        f"up: {_show(up)}, from {share:.0%} of {len(normals)} normals, {angle:.1f} degrees off the cameras' mean"
    )


def rotation_to_z(up: Tensor) -> Tensor:
    """The smallest rotation (4, 4) float64 that turns ``up`` (3,) to +z; exact for coordinate axes."""
    x, y, z = torch.nn.functional.normalize(up.double(), dim=0).tolist()
    turn = torch.eye(4, dtype=torch.float64)
    if z < -1 + 1e-12:
        turn[1, 1] = turn[2, 2] = -1.0
        return turn
    # Rodrigues' formula for the rotation about up x e_z.
    scale = 1 / (1 + z)
    turn[:3, :3] = torch.tensor(
        [[1 - x * x * scale, -x * y * scale, -x], [-x * y * scale, 1 - y * y * scale, -y], [x, y, z]],
        dtype=torch.float64,
    )
    return turn


def rotation_about_z(degrees: float) -> Tensor:
    """The rotation (4, 4) float64 by ``degrees`` about +z, from +x towards +y; exact for multiples of 90."""
    quarters = degrees / 90
    if quarters == round(quarters):
        cosine, sine = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[round(quarters) % 4]
    else:
        cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = torch.eye(4, dtype=torch.float64)
    turn[:2, :2] = torch.tensor([[cosine, -sine], [sine, cosine]], dtype=torch.float64)
    return turn


def _normals(frame: RGBDFrame) -> Tensor:
    """Unit normals (P, 3) float64 where depth is smooth; the sign is arbitrary."""
    depth = frame.depth.double()
    points = frame.camera.unproject(depth)
    around = torch.stack([depth[1:-1, :-2], depth[1:-1, 2:], depth[:-2, 1:-1], depth[2:, 1:-1]])
    nearest = around.amin(dim=0)
    smooth = (nearest > 0) & (around.amax(dim=0) - nearest < 0.05 * nearest)
    across = (points[1:-1, 2:] - points[1:-1, :-2])[smooth]
    along = (points[2:, 1:-1] - points[:-2, 1:-1])[smooth]
    normals = torch.nn.functional.normalize(torch.linalg.cross(across, along), dim=1)
    return normals[:: max(1, len(normals) // _PER_FRAME)]


def _show(direction: Tensor) -> str:
    return "(" + ", ".join(f"{value:.3f}" for value in direction.tolist()) + ")"
