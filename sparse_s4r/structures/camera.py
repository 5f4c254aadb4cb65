"""Pinhole camera: OpenCV axes (x right, y down, z forward), metres, integer coordinates at pixel centres."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sparse_s4r.structures.checks import expect_same_device, expect_tensor

# A pose read from text with four decimals is off by up to about 1e-4; beyond 1e-2 it is not a rotation.
ROTATION_TOLERANCE = 1e-2


@dataclass(frozen=True)
class Camera:
    """One pinhole camera.

    Attributes:
        intrinsics: (3, 3) float64, pixels; pixel (0, 0) has its centre at coordinate (0, 0).
        camera_to_world: (4, 4) float64, metres.
        width: Image width in pixels.
        height: Image height in pixels.

    Raises:
        ValueError: Wrong shapes, non-finite values, a focal length <= 0, an empty image or a pose
            that is no rigid motion.
    """

    intrinsics: Tensor
    camera_to_world: Tensor
    width: int
    height: int

    def __post_init__(self) -> None:
        expect_tensor("Camera.intrinsics", self.intrinsics, (3, 3), floating=True)
        expect_tensor("Camera.camera_to_world", self.camera_to_world, (4, 4), floating=True)
        expect_same_device(intrinsics=self.intrinsics, camera_to_world=self.camera_to_world)
        if self.width < 1 or self.height < 1:
            raise ValueError(f"Camera: expected an image of at least 1x1 pixel, got {self.width}x{self.height}")
        _expect_intrinsics(self.intrinsics)
        expect_rigid("Camera.camera_to_world", self.camera_to_world)

    @property
    def center(self) -> Tensor:
        """Optical centre in the world, (3,) metres."""
        return self.camera_to_world[:3, 3]

    def resized(self, width: int, height: int) -> Camera:
        """The camera of the same picture resampled to ``width`` x ``height`` pixels: c' = (c + 0.5) s - 0.5."""
        sx, sy = width / self.width, height / self.height
        scale = self.intrinsics.new_tensor([[sx, 0.0, 0.5 * sx - 0.5], [0.0, sy, 0.5 * sy - 0.5], [0.0, 0.0, 1.0]])
        return replace(self, intrinsics=scale @ self.intrinsics, width=width, height=height)

    def to(self, device: torch.device | str) -> Camera:
        """The same camera with its tensors on ``device``."""
        return replace(self, intrinsics=self.intrinsics.to(device), camera_to_world=self.camera_to_world.to(device))

    def project(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Project world points.

        Args:
            points: (P, 3) metres, world.

        Returns:
            Pixel coordinates (P, 2) as (column, row), and z-depth (P,) in metres; a point with z <= 0 lies
            behind the camera and its pixel means nothing. Differentiable.
        """
        pose = self.camera_to_world.to(points.dtype)
        local = (points - pose[:3, 3]) @ pose[:3, :3]
        image = local @ self.intrinsics.to(points.dtype).T
        return image[:, :2] / image[:, 2:], local[:, 2]

    def ray_directions(self) -> Tensor:
        """World directions through all pixel centres, scaled so that the ray parameter is z-depth.

        Returns:
            (height, width, 3) in the type of the intrinsics: ``center + t * direction`` has z-depth t metres.
        """
        like = self.intrinsics
        row = torch.arange(self.height, dtype=like.dtype, device=like.device)
        column = torch.arange(self.width, dtype=like.dtype, device=like.device)
        rows, columns = torch.meshgrid(row, column, indexing="ij")
        pixels = torch.stack([columns, rows, torch.ones_like(rows)], dim=-1)
        to_world = self.camera_to_world[:3, :3] @ torch.linalg.inv(like)
        directions: Tensor = pixels @ to_world.T
        return directions

    def unproject(self, depth: Tensor) -> Tensor:
        """World points (height, width, 3) in metres of a z-depth image (height, width) in metres."""
        expect_tensor("depth", depth, (self.height, self.width), floating=True)
        directions = self.ray_directions().to(depth.dtype)
        return self.center.to(depth.dtype) + depth.unsqueeze(-1) * directions


def expect_rigid(name: str, pose: Tensor) -> None:
    """Raise ValueError, naming ``name`` and the defect, unless ``pose`` (4, 4) is a finite rigid motion."""
    if not bool(torch.isfinite(pose).all()):
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity; the frame's tracking was lost")
    bottom = pose.new_tensor([0.0, 0.0, 0.0, 1.0])
    if not torch.allclose(pose[3], bottom):
        raise ValueError(f"{name}: expected the last row 0 0 0 1, got {pose[3].tolist()}; is the matrix transposed?")
    rotation = pose[:3, :3].double()
    deviation = float((rotation @ rotation.T - torch.eye(3, dtype=torch.float64, device=pose.device)).abs().max())
    determinant = float(torch.linalg.det(rotation))
    if deviation > ROTATION_TOLERANCE or determinant < 0:
        raise ValueError(
            f"{name}: expected a rotation (R R^T = 1, det = 1), got a deviation of {deviation:.3g} and a "
            f"determinant of {determinant:.3g}; remove scale or mirroring from the pose"
        )


def _expect_intrinsics(intrinsics: Tensor) -> None:
    if not bool(torch.isfinite(intrinsics).all()) or float(intrinsics[0, 0]) <= 0 or float(intrinsics[1, 1]) <= 0:
        raise ValueError(f"Camera.intrinsics: expected finite numbers and focal lengths > 0, got {intrinsics.tolist()}")
