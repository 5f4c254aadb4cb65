"""Pictures on disk: colour, 16-bit depth and 8-bit labels, each error naming its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from sparse_s4r.structures.errors import DataError

# Largest value that a 16-bit depth image can hold.
DEPTH_LIMIT = 65535
_DEPTH_MODES = ("I;16", "I;16B", "I;16L", "I")
_LABEL_MODES = ("L", "P", "I;16", "I")


def load_color(path: Path) -> Tensor:
    """Colour image (H, W, 3) float32 RGB in [0, 1]."""
    image = _open(path, "colour")
    if image.mode.startswith(("I", "F")):
        raise DataError(f"{path}: expected an 8-bit colour image, got mode {image.mode}; is this a depth image?")
    pixels = np.asarray(image.convert("RGB"), dtype=np.float32)
    return torch.from_numpy(pixels / np.float32(255))


def load_depth_values(path: Path) -> Tensor:
    """Raw numbers (H, W) int32 of a 16-bit single-channel depth image."""
    image = _open(path, "depth")
    if image.mode not in _DEPTH_MODES:
        raise DataError(
            f"{path}: expected a 16-bit single-channel depth image, got mode {image.mode}; export depth as uint16 PNG"
        )
    values = np.asarray(image).astype(np.int32)
    if values.size and (values.min() < 0 or values.max() > DEPTH_LIMIT):
        raise DataError(f"{path}: expected depth values of 16 bits, got {values.min()} to {values.max()}")
    return torch.from_numpy(values)


def load_labels(path: Path) -> Tensor:
    """Label image (H, W) int64 in [0, 255]; palette images give their indices."""
    image = _open(path, "label")
    if image.mode not in _LABEL_MODES:
        raise DataError(f"{path}: expected a single-channel label image, got mode {image.mode}")
    values = np.asarray(image).astype(np.int64)
    if values.size and (values.min() < 0 or values.max() > 255):
        raise DataError(f"{path}: expected labels in [0, 255], got {values.min()} to {values.max()}")
    return torch.from_numpy(values)


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) from the header of an image, without decoding it."""
    try:
        with Image.open(path) as image:
            return image.size
    except FileNotFoundError as error:
        raise DataError(f"{path}: the image does not exist") from error
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: expected a readable image, got an unreadable one ({error})") from error


def save_color(path: Path, color: Tensor) -> None:
    """Write colour (H, W, 3) in [0, 1] as 8-bit RGB; the suffix chooses the format."""
    pixels = (color.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    Image.fromarray(pixels).save(path)


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
    Image.fromarray(values.numpy().astype(np.uint16)).save(path)


def save_labels(path: Path, labels: Tensor) -> None:
    """Write labels (H, W) in [0, 255] as an 8-bit image."""
    Image.fromarray(labels.to(torch.uint8).numpy()).save(path)


def _open(path: Path, role: str) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except FileNotFoundError as error:
        raise DataError(f"{path}: the {role} image does not exist") from error
    # Pillow reports a damaged PNG as SyntaxError or ValueError, a truncated file as OSError.
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{path}: expected a readable {role} image, got a damaged or truncated one ({error}); "
            "copy the file again or remove the frame"
        ) from error
