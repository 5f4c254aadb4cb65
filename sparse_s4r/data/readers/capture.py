"""A capture: posed colour and depth images that are decoded one frame at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from sparse_s4r.data.readers import stored as store
from sparse_s4r.data.readers.calibration import Calibration
from sparse_s4r.data.readers.decode import FrameImages, decode_depth, to_frame
from sparse_s4r.data.readers.stored import StoredImage
from sparse_s4r.data.readers.text import load_matrix
from sparse_s4r.structures import IGNORE_LABEL, RGBDFrame
from sparse_s4r.structures.camera import expect_rigid
from sparse_s4r.structures.errors import DataError

# Turns OpenCV camera axes (y down, z forward) into OpenGL's (y up, z backward) and back.
_FLIP = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))


@dataclass(frozen=True)
class CaptureFrame:
    """Images and pose of one frame.

    Attributes:
        name: Identifier within the capture.
        color: Colour image; ``stored(path)`` is the image that fills a file.
        depth: Depth image.
        pose_file: The file of the pose; read when asked for unless ``pose`` is there, and named in errors.
        pose: (4, 4) float64 as the layout has it, unchecked; None to read it from ``pose_file``.
        labels: Label image in the pixels of the colour image.
        calibration: Cameras of this frame; None for those of the capture.
        mask: Image in the pixels of the colour image; where it is black, depth is ignored.
        confidence: Confidence of each depth pixel; see ``Capture.min_confidence``.
        timestamp: Seconds, on any clock.
    """

    name: str
    color: StoredImage
    depth: StoredImage
    pose_file: Path
    pose: Tensor | None = None
    labels: StoredImage | None = None
    calibration: Calibration | None = None
    mask: StoredImage | None = None
    confidence: StoredImage | None = None
    timestamp: float | None = None


@dataclass(frozen=True)
class Capture:
    """Posed RGB-D frames on disk, in capture order; nothing is decoded until asked for.

    Attributes:
        layout: Name of the layout.
        name: Name of the capture.
        frames: What each frame consists of.
        calibration: Cameras of all frames that bring none of their own; the first frame's if all do.
        depth_scale: Metres per unit of the depth images.
        invalid_depth: Depth numbers that, beside 0, mean "no measurement"; for 16-bit images.
        repair_gaps: Fill one-pixel gaps of the depth images.
        up: Declared up direction (3,) in the capture's world, after ``axis_alignment``; None if it is not known.
        class_names: Names of the label values; None for a capture without label images.
        notes: What the user should know of how the capture was read.
        axes: Camera axes of the poses: "opencv" (y down, z forward) or "opengl" (y up, z backward).
        world_to_camera: True when the poses map the world to the camera.
        axis_alignment: (4, 4) float64 rigid, applied on the left of all poses; None for none.
        label_map: (V,) int64: the class of each value in the label images, ``IGNORE_LABEL`` for none; None if the
            values are the classes.
        min_confidence: Depth with less confidence than this is dropped.
        source: The folder or file that was opened; None for a capture made in memory.
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
    axes: Literal["opencv", "opengl"] = "opencv"
    world_to_camera: bool = False
    axis_alignment: Tensor | None = None
    label_map: Tensor | None = None
    min_confidence: int = 1
    source: Path | None = None

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

    def calibration_of(self, index: int) -> Calibration:
        """Cameras of one frame."""
        return self.frames[index].calibration or self.calibration

    def stored_pose(self, index: int) -> Tensor:
        """The pose (4, 4) float64 as the layout has it: its axes, its direction, of its camera, not aligned.

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
        return pose

    def pose(self, index: int) -> Tensor:
        """Camera-to-world (4, 4) float64 of the colour camera, OpenCV axes, aligned.

        Raises:
            DataError: As ``stored_pose``.
        """
        pose = self.stored_pose(index)
        if self.world_to_camera:
            pose = torch.linalg.inv(pose)
        if self.axes == "opengl":
            pose = pose @ _FLIP
        calibration = self.calibration_of(index)
        if calibration.pose_is_depth and calibration.depth_to_color is not None:
            pose = pose @ torch.linalg.inv(calibration.depth_to_color)
        return pose if self.axis_alignment is None else self.axis_alignment @ pose

    def sizes(self, index: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """(width, height) of the colour and of the depth image, as declared or from their headers."""
        return store.image_size(self.frames[index].color), store.image_size(self.frames[index].depth)

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
        decoded = FrameImages(
            store.load_color(frame.color),
            decode_depth(frame.depth, self.depth_scale, self.invalid_depth, frame.confidence, self.min_confidence),
            None if frame.labels is None else self._labels(frame.labels),
            None if frame.mask is None else store.load_mask(frame.mask),
        )
        for image, pixels in ((frame.labels, decoded.labels), (frame.mask, decoded.mask)):
            _expect_size(image, pixels, decoded.color, frame.color)
        calibration = self.calibration_of(index)
        if calibration.depth is None and not calibration.depth_has_own_size:
            _expect_size(frame.depth, decoded.depth, decoded.color, frame.color)
        calibration.expect_fit(decoded.color_size, decoded.depth_size)
        return to_frame(frame.name, decoded, calibration, self.pose(index), width, self.repair_gaps)

    def read_picture(self, index: int) -> tuple[Tensor, Tensor | None]:
        """Colour (H, W, 3) in [0, 1] and labels (H, W) int64 of one frame, without its depth and pose.

        Raises:
            DataError: A missing or damaged file, or images of two sizes.
        """
        frame = self.frames[index]
        color = store.load_color(frame.color)
        labels = None if frame.labels is None else self._labels(frame.labels)
        _expect_size(frame.labels or frame.color, labels, color, frame.color)
        return color, labels

    def _labels(self, image: StoredImage) -> Tensor:
        values = store.load_labels(image, IGNORE_LABEL if self.label_map is None else 65535)
        if self.label_map is not None:
            largest = int(values.max()) if values.numel() else 0
            if largest >= len(self.label_map):
                raise DataError(
                    f"{image}: expected label values below {len(self.label_map)}, which have a class, got {largest}"
                )
            return self.label_map[values]
        count = len(self.class_names or ())
        wrong = values[(values >= count) & (values != IGNORE_LABEL)]
        if len(wrong):
            raise DataError(
                f"{image}: expected labels below {count}, the number of class_names, or {IGNORE_LABEL} for none; "
                f"got {int(wrong[0])}"
            )
        return values


def _expect_size(image: StoredImage | None, pixels: Tensor | None, color: Tensor, color_image: StoredImage) -> None:
    if image is None or pixels is None or pixels.shape[:2] == color.shape[:2]:
        return
    raise DataError(
        f"{image}: expected the size of {color_image.name}, {color.shape[1]}x{color.shape[0]}, got "
        f"{pixels.shape[1]}x{pixels.shape[0]}; if depth has a camera of its own, "
        "give its intrinsics (depth_intrinsics.txt)"
    )
