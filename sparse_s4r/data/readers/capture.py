"""A capture: posed colour and depth files that are decoded one frame at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from sparse_s4r.data.images import image_size, load_color, load_depth_values, load_labels
from sparse_s4r.data.readers.text import load_matrix
from sparse_s4r.data.registration import fill_gaps, register_depth
from sparse_s4r.data.resize import resize_frame
from sparse_s4r.structures import IGNORE_LABEL, Camera, RGBDFrame
from sparse_s4r.structures.camera import expect_rigid
from sparse_s4r.structures.errors import DataError


@dataclass(frozen=True)
class Calibration:
    """The cameras of a capture.

    Attributes:
        color: (3, 3) intrinsics of the colour camera, pixels.
        depth: (3, 3) intrinsics of the depth camera; None when depth is registered to colour already.
        depth_to_color: (4, 4) from the depth camera's frame to the colour camera's, metres.
        pose_is_depth: True when the poses are the depth camera's; they are moved to the colour camera.
        source: The file the intrinsics come from, or how else they are known; named in errors.
    """

    color: Tensor
    source: str
    depth: Tensor | None = None
    depth_to_color: Tensor | None = None
    pose_is_depth: bool = False


@dataclass(frozen=True)
class CaptureFrame:
    """Files of one frame; the pose stands in its own file or, with all others, in ``pose``."""

    name: str
    color: Path
    depth: Path
    pose_file: Path
    pose: Tensor | None = None
    labels: Path | None = None


@dataclass(frozen=True)
class Capture:
    """Posed RGB-D frames on disk, in capture order; nothing is decoded until asked for.

    Attributes:
        layout: Name of the layout.
        name: Name of the capture.
        frames: Files of each frame.
        calibration: Cameras, shared by all frames.
        depth_scale: Metres per unit of the depth images.
        invalid_depth: Depth numbers that, beside 0, mean "no measurement".
        repair_gaps: Fill one-pixel gaps of the depth images.
        up: Declared up direction (3,) in the capture's world; None if the layout does not say.
        class_names: Names of the label values; None for a capture without label images.
        notes: What the user should know of how the capture was read.
    """

    layout: str
    name: str
    frames: tuple[CaptureFrame, ...]
    calibration: Calibration
    depth_scale: float = 0.001
    invalid_depth: tuple[int, ...] = ()
    repair_gaps: bool = False
    up: Tensor | None = None
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def names(self) -> tuple[str, ...]:
        """Frame names in capture order."""
        return tuple(frame.name for frame in self.frames)

    def every(self, step: int) -> Capture:
        """Every ``step``-th frame, from the first."""
        return replace(self, frames=self.frames[::step])

    def select(self, indices: list[int]) -> Capture:
        """The frames at ``indices``."""
        return replace(self, frames=tuple(self.frames[index] for index in indices))

    def pose(self, index: int) -> Tensor:
        """Camera-to-world (4, 4) float64 of the colour camera.

        Raises:
            DataError: No pose, lost tracking (NaN, infinity, zeros), or a matrix that is no rigid motion.
        """
        frame = self.frames[index]
        pose = frame.pose if frame.pose is not None else load_matrix(frame.pose_file, "a pose", 4, 4)
        if not bool(torch.isfinite(pose).all()):
            raise DataError(f"{frame.pose_file}: frame {frame.name}: the pose holds NaN or infinity: tracking was lost")
        if not bool(pose[:3].any()):
            raise DataError(f"{frame.pose_file}: frame {frame.name}: the pose is all zeros: tracking was lost")
        try:
            expect_rigid("pose", pose)
        except ValueError as error:
            raise DataError(f"{frame.pose_file}: frame {frame.name}: {error}") from error
        if self.calibration.pose_is_depth and self.calibration.depth_to_color is not None:
            pose = pose @ torch.linalg.inv(self.calibration.depth_to_color)
        return pose

    def sizes(self, index: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """(width, height) of the colour and of the depth image, from their headers."""
        return image_size(self.frames[index].color), image_size(self.frames[index].depth)

    def read_frame(self, index: int, width: int | None = None) -> RGBDFrame:
        """Decode one frame, with depth in the pixels of the colour camera.

        Args:
            index: Position in ``frames``.
            width: Resize to this width, keeping the aspect; None keeps the size. Depth of a camera of its own is
                warped straight to the new size.

        Raises:
            DataError: A missing or damaged file, images whose sizes do not fit, a bad pose, or no valid depth.
        """
        frame = self.frames[index]
        color = load_color(frame.color)
        labels = None if frame.labels is None else self._labels(frame.labels)
        height_pixels, width_pixels = color.shape[:2]
        camera = Camera(self.calibration.color, self.pose(index), width_pixels, height_pixels)
        depth = self._depth(frame.depth)
        _expect_size(frame.labels, labels, color, frame.color)
        if self.calibration.depth is None:
            _expect_size(frame.depth, depth, color, frame.color)
            return resize_frame(RGBDFrame(frame.name, camera, color, depth, labels), width)
        empty = torch.zeros((height_pixels, width_pixels))
        resized = resize_frame(RGBDFrame(frame.name, camera, color, empty, labels), width)
        registered = register_depth(
            depth,
            self.calibration.depth,
            resized.camera.intrinsics,
            torch.eye(4) if self.calibration.depth_to_color is None else self.calibration.depth_to_color,
            resized.camera.width,
            resized.camera.height,
        )
        return replace(resized, depth=registered)

    def _depth(self, path: Path) -> Tensor:
        values = load_depth_values(path)
        for invalid in self.invalid_depth:
            values = torch.where(values == invalid, 0, values)
        if not bool(values.any()):
            raise DataError(f"{path}: expected a depth image with measurements, got one without a single valid pixel")
        depth = (values.double() * self.depth_scale).float()
        return fill_gaps(depth) if self.repair_gaps else depth

    def _labels(self, path: Path) -> Tensor:
        labels = load_labels(path)
        count = len(self.class_names or ())
        wrong = labels[(labels >= count) & (labels != IGNORE_LABEL)]
        if len(wrong):
            raise DataError(
                f"{path}: expected labels below {count}, the number of class_names, or {IGNORE_LABEL} for none; "
                f"got {int(wrong[0])}"
            )
        return labels


def _expect_size(path: Path | None, image: Tensor | None, color: Tensor, color_path: Path) -> None:
    if path is None or image is None or image.shape[:2] == color.shape[:2]:
        return
    raise DataError(
        f"{path}: expected the size of {color_path.name}, {color.shape[1]}x{color.shape[0]}, got "
        f"{image.shape[1]}x{image.shape[0]}; if depth has a camera of its own, "
        "give its intrinsics (depth_intrinsics.txt)"
    )
