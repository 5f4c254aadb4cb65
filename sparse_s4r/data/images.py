"""Pictures on disk: colour, 16-bit depth and labels, each error naming its file."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from sparse_s4r.structures.errors import DataError

# (width, height) in pixels.
Size = tuple[int, int]
# Largest value that a 16-bit depth image can hold.
DEPTH_LIMIT = 65535
# A picture of 8192 x 8192; cameras of rooms stay far below. A file can claim more in a few bytes.
MAX_PIXELS = 1 << 26
# Of PNG, 0 to 9: encodes in less than half the time of Pillow's 6, into files that are 2 to 6 % larger.
_COMPRESSION = 4
_DEPTH_MODES = ("I;16", "I;16B", "I;16L", "I")
_MASK_MODES = ("1", "L", "P", "RGB", "RGBA", "LA")
_LABEL_MODES = ("L", "P", "I;16", "I")
# What Pillow raises on damaged files: SyntaxError or ValueError for PNG, OSError for truncated ones, the others
# deep inside its parsers.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    OverflowError,
    EOFError,
    UnidentifiedImageError,
    Image.DecompressionBombError,
)


def load_color(path: Path, stream: IO[bytes] | None = None, size: Size | None = None) -> Tensor:
    """Colour image (H, W, 3) float32 RGB in [0, 1].

    Args:
        path: The file; named in errors.
        stream: The image's bytes where they are only a part of the file.
        size: Expected (width, height), checked before anything is decoded; None takes any.

    Raises:
        DataError: A missing, damaged or oversized image, or one of another kind or size.
    """
    image = _open(path, stream, "colour", size)
    if image.mode.startswith(("I", "F")):
        raise DataError(f"{path}: expected an 8-bit colour image, got mode {image.mode}; is this a depth image?")
    pixels = np.asarray(image.convert("RGB"), dtype=np.float32)
    return torch.from_numpy(pixels / np.float32(255))


def load_depth_values(path: Path, stream: IO[bytes] | None = None, size: Size | None = None) -> Tensor:
    """Raw numbers (H, W) int32 of a 16-bit single-channel depth image; see ``load_color``."""
    image = _open(path, stream, "depth", size)
    if image.mode not in _DEPTH_MODES:
        raise DataError(
            f"{path}: expected a 16-bit single-channel depth image, got mode {image.mode}; export depth as uint16 PNG"
        )
    values = np.asarray(image).astype(np.int32)
    if values.size and (values.min() < 0 or values.max() > DEPTH_LIMIT):
        raise DataError(f"{path}: expected depth values of 16 bits, got {values.min()} to {values.max()}")
    return torch.from_numpy(values)


def load_labels(path: Path, stream: IO[bytes] | None = None, largest: int = 255, size: Size | None = None) -> Tensor:
    """Label image (H, W) int64 in [0, ``largest``]; palette images give their indices; see ``load_color``."""
    image = _open(path, stream, "label", size)
    if image.mode not in _LABEL_MODES:
        raise DataError(f"{path}: expected a single-channel label image, got mode {image.mode}")
    values = np.asarray(image).astype(np.int64)
    if values.size and (values.min() < 0 or values.max() > largest):
        raise DataError(f"{path}: expected labels in [0, {largest}], got {values.min()} to {values.max()}")
    return torch.from_numpy(values)


def load_mask(path: Path, stream: IO[bytes] | None = None, size: Size | None = None) -> Tensor:
    """Mask image (H, W) bool: True where the image is not black; see ``load_color``."""
    image = _open(path, stream, "mask", size)
    if image.mode not in _MASK_MODES:
        raise DataError(f"{path}: expected a black and white mask image, got mode {image.mode}")
    return torch.from_numpy(np.asarray(image.convert("L")) > 0)


def image_size(path: Path, stream: IO[bytes] | None = None) -> Size:
    """(width, height) from the header of an image, without decoding it."""
    try:
        with Image.open(path if stream is None else stream) as image:
            return image.size
    except FileNotFoundError as error:
        raise DataError(f"{path}: the image does not exist") from error
    except _DAMAGE as error:
        raise DataError(f"{path}: expected a readable image, got an unreadable one ({error})") from error


def expect_few_pixels(path: Path, width: int, height: int) -> None:
    """Raise DataError, before anything is decoded, if an image claims no pixels or more than ``MAX_PIXELS``."""
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise DataError(
            f"{path}: expected an image of 1 to {MAX_PIXELS} pixels, got {width}x{height}; is its header damaged?"
        )


def save_color(path: Path, color: Tensor) -> None:
    """Write colour (H, W, 3) in [0, 1] as 8-bit RGB; the suffix chooses the format."""
    pixels = (color.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    Image.fromarray(pixels).save(path, compress_level=_COMPRESSION)


def save_depth(path: Path, depth: Tensor, scale: float) -> None:
    """Write z-depth (H, W) metres as uint16 multiples of ``scale`` metres.

    Raises:
        DataError: A depth that is negative, not finite or too large for 16 bits.
    """
    values = torch.round(depth.double() / scale)
    if not bool(torch.isfinite(values).all()) or (values.numel() and float(values.min()) < 0):
        raise DataError(f"{path}: expected finite depths >= 0 m, got NaN, infinity or a negative one")
    if values.numel() and float(values.max()) > DEPTH_LIMIT:
        raise DataError(
            f"{path}: expected depths up to {DEPTH_LIMIT * scale:g} m, got {float(depth.max()):g} m; "
            "use a larger depth_scale"
        )
    Image.fromarray(values.numpy().astype(np.uint16)).save(path, compress_level=_COMPRESSION)


def save_labels(path: Path, labels: Tensor) -> None:
    """Write labels (H, W) in [0, 255] as an 8-bit image."""
    Image.fromarray(labels.to(torch.uint8).numpy()).save(path)


def _open(path: Path, stream: IO[bytes] | None, role: str, size: Size | None) -> Image.Image:
    try:
        with Image.open(path if stream is None else stream) as image:
            expect_few_pixels(path, *image.size)
            _expect_size(path, image.size, size)
            image.load()
            return image
    except FileNotFoundError as error:
        raise DataError(f"{path}: the {role} image does not exist") from error
    except DataError:
        raise
    except _DAMAGE as error:
        raise DataError(
            f"{path}: expected a readable {role} image, got a damaged or truncated one ({error}); "
            "copy the file again or remove the frame"
        ) from error


def _expect_size(path: Path, size: Size, declared: Size | None) -> None:
    if declared is not None and size != declared:
        raise DataError(
            f"{path}: expected an image of {declared[0]}x{declared[1]} as declared, got {size[0]}x{size[1]}"
        )
