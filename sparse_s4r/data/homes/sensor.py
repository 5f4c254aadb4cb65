"""What a depth camera makes of an exact picture: every defect has its own switch."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from sparse_s4r.data.homes.blur import smear
from sparse_s4r.data.homes.frames import Shot
from sparse_s4r.structures import Camera
from sparse_s4r.structures.errors import UserError

Doubles = NDArray[np.float64]

# A Kinect: focal length 580 pixels at a width of 640, baseline 75 mm, disparity in eighths of a pixel.
_FOCAL, _BASELINE, _SUBPIXELS = 580.0, 0.075, 8.0


@dataclass(frozen=True)
class SensorModel:
    """Defects of a Kinect-like camera in the hand of a person; False switches one off.

    Attributes:
        quantisation: Depth in steps of an eighth pixel of disparity: z^2 / 348 metres, 3 mm at 1 m, 26 mm at 3 m.
        axial_noise: Gaussian noise of z-depth, 1.2 mm + 1.9 mm/m^2 (z - 0.4 m)^2.
        edges: Depth is lost within a pixel of a jump, at half of the pixels, and at grazing angles beyond about 75
            degrees; 0.4 % of all pixels are lost anywhere.
        range: Nothing is measured below 0.4 m or beyond 5 m.
        jitter: Written poses are off by up to about 4 mm and 0.15 degrees, drifting from frame to frame.
        exposure: Brightness drifts by up to 20 %, is clipped, and every pixel has noise of 1 %.
        blur: Colour is smeared by the motion during a fortieth of the time between two frames, at most 4 pixels.
        jpeg: Colour is stored with JPEG, quality 95, instead of PNG.

    Source:
        Nguyen, Izadi and Lovell, "Modeling Kinect sensor noise for improved 3D reconstruction and tracking", 2012
        (axial noise); Khoshelham and Elberink, "Accuracy and resolution of Kinect depth data", 2012 (quantisation).
    """

    quantisation: bool = True
    axial_noise: bool = True
    edges: bool = True
    range: bool = True
    jitter: bool = True
    exposure: bool = True
    blur: bool = True
    jpeg: bool = True

    def without(self, *names: str) -> SensorModel:
        """The model with some defects switched off.

        Raises:
            UserError: A name that is no defect.
        """
        known = [item.name for item in fields(self)]
        for name in names:
            if name not in known:
                raise UserError(f"sensor: expected defects out of {', '.join(known)}, got {name!r}")
        return replace(self, **dict.fromkeys(names, False))


KINECT = SensorModel()
EXACT = SensorModel().without(*(item.name for item in fields(SensorModel)))


def measure_depth(shot: Shot, model: SensorModel, rng: np.random.Generator) -> Doubles:
    """Depth image (H, W) in metres, 0 where nothing was measured."""
    depth, valid = shot.depth.copy(), shot.depth > 0
    if model.axial_noise:
        depth += (0.0012 + 0.0019 * (depth - 0.4) ** 2) * rng.standard_normal(depth.shape)
    if model.quantisation:
        steps = _SUBPIXELS * _FOCAL * _BASELINE
        depth = steps / np.maximum(np.rint(steps / np.maximum(depth, 0.05)), 1.0)
    if model.edges:
        lost = 0.004 + np.clip((0.26 - shot.cosine) / 0.16, 0.0, 1.0) + 0.5 * _jumps(shot.depth)
        valid &= rng.random(depth.shape) >= lost
    if model.range:
        valid &= (shot.depth >= 0.4) & (depth >= 0.4) & (depth <= 5.0)
    measured: Doubles = np.where(valid, depth, 0.0)
    return measured


def _jumps(depth: Doubles) -> NDArray[np.bool_]:
    """Pixels beside a jump of depth."""
    found = np.zeros(depth.shape, dtype=bool)
    for axis in (0, 1):
        rows = (slice(None),) * axis
        first, second = (*rows, slice(None, -1)), (*rows, slice(1, None))
        jump = np.abs(depth[first] - depth[second]) > 0.05 + 0.03 * np.minimum(depth[first], depth[second])
        found[first] |= jump
        found[second] |= jump
    return found


def take_color(
    shot: Shot, camera: Camera, following: Camera, model: SensorModel, gain: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Colour image (H, W, 3) of bytes.

    Args:
        shot: The exact picture.
        camera: Its camera.
        following: The camera of the frame that follows, which gives the motion.
        model: Defects.
        gain: Brightness, 1 = as it is.
        rng: Source of noise.
    """
    color = shot.color
    if model.blur:
        color = smear(color, shot.depth, camera, following, 1 / 40, 4.0)
    if model.exposure:
        color = color * np.float32(gain) + 0.01 * rng.standard_normal(color.shape, dtype=np.float32)
    return np.rint(np.clip(color, 0.0, 1.0) * 255).astype(np.uint8)


def drift(count: int, rng: np.random.Generator, size: float, step: float = 0.2) -> Doubles:
    """A slow random walk (count,) that is pulled back to 0 and stays within about ``size``."""
    values = np.zeros(count)
    for i in range(count):
        before = values[i - 1] if i else size * rng.uniform(-0.5, 0.5)
        values[i] = (1 - step) * before + step * size * 1.5 * rng.uniform(-1, 1)
    return values


def written_poses(cameras: list[Camera], model: SensorModel, rng: np.random.Generator) -> list[Doubles]:
    """Poses (4, 4) as tracking would give them."""
    poses = [camera.camera_to_world.numpy().copy() for camera in cameras]
    if not model.jitter:
        return poses
    shifts = np.stack([drift(len(poses), rng, 0.004) for _ in range(3)], axis=1)
    turns = np.stack([drift(len(poses), rng, np.radians(0.15)) for _ in range(3)], axis=1)
    for pose, shift, turn in zip(poses, shifts, turns, strict=True):
        pose[:3, :3] = pose[:3, :3] @ _rotation(turn)
        pose[:3, 3] += shift
    return poses


def _rotation(turn: Doubles) -> Doubles:
    """Rotation by a small rotation vector, exactly orthonormal."""
    angle = float(np.linalg.norm(turn))
    if angle == 0.0:
        return np.eye(3)
    x, y, z = turn / angle
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    rotation: Doubles = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return rotation
