"""From the decoded images of a capture's frame to an RGBDFrame: invalid depth, lens, registration, size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from sparse_s4r.data.readers import stored as store
from sparse_s4r.data.readers.calibration import Calibration, intrinsics
from sparse_s4r.data.readers.stored import StoredImage
from sparse_s4r.data.registration import fill_gaps, register_depth
from sparse_s4r.data.resample import resample_depth
from sparse_s4r.data.resize import resize_frame
from sparse_s4r.data.undistort import Undistortion, undistortion
from sparse_s4r.structures import IGNORE_LABEL, Camera, RGBDFrame
from sparse_s4r.structures.errors import DataError


@dataclass(frozen=True)
class FrameImages:
    """What a frame's files hold.

    Attributes:
        color: (H, W, 3) float RGB in [0, 1].
        depth: (h, w) float metres, 0 = missing, in its own pixels.
        labels: (H, W) int64, or None.
        mask: (H, W) bool, False where depth is to be ignored; or None.
    """

    color: Tensor
    depth: Tensor
    labels: Tensor | None = None
    mask: Tensor | None = None

    @property
    def color_size(self) -> tuple[int, int]:
        """(width, height) of colour."""
        return self.color.shape[1], self.color.shape[0]

    @property
    def depth_size(self) -> tuple[int, int]:
        """(width, height) of depth."""
        return self.depth.shape[1], self.depth.shape[0]


def decode_depth(
    image: StoredImage,
    scale: float,
    invalid: tuple[int, ...] = (),
    confidence: StoredImage | None = None,
    min_confidence: int = 1,
) -> Tensor:
    """Depth (h, w) float32 metres, 0 where there is none.

    Missing are: 0, the ``invalid`` numbers of 16-bit images, NaN, infinities and negative numbers of float images,
    and pixels whose confidence is below ``min_confidence``.

    Raises:
        DataError: A damaged file, a confidence image of another size, or no valid pixel.
    """
    values = store.load_depth(image)
    if values.is_floating_point():
        values = torch.where(torch.isfinite(values) & (values > 0), values, 0.0)
    else:
        for number in invalid:
            values = torch.where(values == number, 0, values)
    if confidence is not None:
        levels = store.load_confidence(confidence)
        if levels.shape != values.shape:
            raise DataError(
                f"{confidence}: expected the size of {image.name}, {values.shape[1]}x{values.shape[0]}, got "
                f"{levels.shape[1]}x{levels.shape[0]}"
            )
        values = torch.where(levels >= min_confidence, values, 0)
    if not bool(values.any()):
        raise DataError(f"{image}: expected a depth image with measurements, got one without a single valid pixel")
    return (values.double() * scale).float()


def to_frame(
    name: str, images: FrameImages, calibration: Calibration, pose: Tensor, width: int | None, repair_gaps: bool
) -> RGBDFrame:
    """One frame with everything in the pixels of an undistorted colour camera.

    Args:
        name: The frame's name.
        images: What its files hold.
        calibration: Cameras that fit the images.
        pose: Camera-to-world (4, 4) of the colour camera, OpenCV axes.
        width: Width of the result; None for the colour image's.
        repair_gaps: Fill one-pixel gaps of the depth image.
    """
    if repair_gaps:
        images = replace(images, depth=fill_gaps(images.depth))
    images = _undistorted(images, calibration)
    camera = Camera(calibration.color, pose, *images.color_size)
    in_place = calibration.depth is None and images.depth_size == images.color_size
    depth = images.depth if in_place else torch.zeros(images.color.shape[:2])
    frame = resize_frame(RGBDFrame(name, camera, images.color, depth, images.labels), width)
    if not in_place:
        frame = replace(frame, depth=_fitted(images, calibration, frame.camera))
    if images.mask is None:
        return frame
    # Picks the same pixels as ``resize_frame`` does for depth and labels.
    size = (frame.camera.height, frame.camera.width)
    mask = interpolate(images.mask[None, None].float(), size, mode="nearest-exact")[0, 0]
    return replace(frame, depth=torch.where(mask > 0, frame.depth, 0.0))


def _fitted(images: FrameImages, calibration: Calibration, camera: Camera) -> Tensor:
    """Depth of a camera or size of its own in the pixels of ``camera``."""
    if calibration.depth is None:
        focal = float(calibration.color.diagonal()[:2].min()) * images.depth_size[0] / images.color_size[0]
        return resample_depth(images.depth, focal, camera.width, camera.height)
    motion = torch.eye(4) if calibration.depth_to_color is None else calibration.depth_to_color
    return register_depth(images.depth, calibration.depth, camera.intrinsics, motion, camera.width, camera.height)


def _undistorted(images: FrameImages, calibration: Calibration) -> FrameImages:
    """Colour and what is registered to it without the colour camera's distortion."""
    if not any(calibration.distortion):
        return images
    lens = _lens(calibration.color, calibration.distortion, images.color_size)
    depth = images.depth
    if calibration.depth is None:
        color_camera = Camera(calibration.color, torch.eye(4, dtype=torch.float64), *images.color_size)
        matrix = color_camera.resized(*images.depth_size).intrinsics
        depth = _lens(matrix, calibration.distortion, images.depth_size).pick(depth)
    return FrameImages(
        lens.average(images.color),
        depth,
        None if images.labels is None else lens.pick(images.labels, IGNORE_LABEL),
        None if images.mask is None else lens.pick(images.mask),
    )


def _lens(matrix: Tensor, distortion: tuple[float, ...], size: tuple[int, int]) -> Undistortion:
    fx, fy, cx, cy = matrix[0, 0].item(), matrix[1, 1].item(), matrix[0, 2].item(), matrix[1, 2].item()
    return _cached_lens((fx, fy, cx, cy), distortion, size)


# One for colour and one for depth: nearly all captures have one camera for all frames.
@lru_cache(maxsize=2)
def _cached_lens(
    camera: tuple[float, float, float, float], distortion: tuple[float, ...], size: tuple[int, int]
) -> Undistortion:
    return undistortion(intrinsics(*camera), distortion, *size)
