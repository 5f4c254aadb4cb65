"""Where the bytes of an image lie, and their decoding; never more is read or allocated than the file can hold."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from sparse_s4r.data import images
from sparse_s4r.data.readers import float_images
from sparse_s4r.data.readers.archive import read_member
from sparse_s4r.structures.errors import DataError

# "image" is whatever Pillow reads; "npy" and "exr" carry their size; the raw ones need ``StoredImage.size``, lie row
# by row from the top and are little-endian.
Encoding = Literal[
    "image", "npy", "exr", "raw_uint8", "raw_uint16", "raw_float32", "zlib_uint16", "lzfse_uint8", "lzfse_float32"
]
_TYPES: dict[str, np.dtype[Any]] = {"uint8": np.dtype("u1"), "uint16": np.dtype("<u2"), "float32": np.dtype("<f4")}
# More than any image below ``images.MAX_PIXELS`` needs in a sensible encoding.
_MAX_BYTES = 4 * images.MAX_PIXELS


@dataclass(frozen=True)
class StoredImage:
    """Bytes of one image: a file, a part of a file, or a member of a zip archive.

    Attributes:
        path: The file.
        offset: First byte within the file, or within the archive's member.
        length: Number of bytes; None for all up to the end.
        encoding: How the bytes are to be read.
        size: (width, height), needed for raw encodings. For the others an image of another size is an error, and the
            size is known without opening the file.
        member: Name within the zip archive ``path``; None for a plain file.
    """

    path: Path
    offset: int = 0
    length: int | None = None
    encoding: Encoding = "image"
    size: tuple[int, int] | None = None
    member: str | None = None

    def __str__(self) -> str:
        place = str(self.path) if self.member is None else f"{self.path}:{self.member}"
        return place if not self.offset and self.length is None else f"{place} (bytes from {self.offset})"

    @property
    def name(self) -> str:
        """File name."""
        return self.path.name if self.member is None else self.member

    @property
    def is_whole_file(self) -> bool:
        """True if the image is all that its file holds."""
        return self.member is None and not self.offset and self.length is None

    @property
    def label(self) -> Path:
        """What errors call the image."""
        return Path(str(self))


def stored(image: StoredImage | Path) -> StoredImage:
    """``image``, or the image that fills the file of that path, its encoding known by .npy or .exr."""
    if isinstance(image, StoredImage):
        return image
    suffix = image.suffix.lower()
    return StoredImage(image, encoding="npy" if suffix == ".npy" else "exr" if suffix == ".exr" else "image")


def image_size(image: StoredImage) -> tuple[int, int]:
    """(width, height), declared or from the header; nothing is decoded.

    Raises:
        DataError: A missing or unreadable file.
    """
    if image.size is not None:
        if not _exists(image.path):
            raise DataError(f"{image}: the image does not exist")
        return image.size
    if image.encoding == "image":
        return images.image_size(image.label, None if image.is_whole_file else _stream(image))
    if image.encoding == "npy":
        return float_images.npy_size(image.label, read_bytes(image))
    if image.encoding == "exr":
        return float_images.exr_size(image.label, read_bytes(image))
    raise ValueError(f"{image}: expected a size for encoding {image.encoding}, got none")


def load_color(image: StoredImage) -> Tensor:
    """Colour (H, W, 3) float32 RGB in [0, 1].

    Raises:
        DataError: A missing, damaged or oversized image, or one of another size than declared.
    """
    _expect_picture(image, "colour")
    return images.load_color(image.label, _stream(image), image.size)


def load_depth(image: StoredImage) -> Tensor:
    """Numbers of a depth image (H, W): int32 for 16-bit encodings, else float32.

    Raises:
        DataError: As ``load_color``.
    """
    if image.encoding == "image":
        return images.load_depth_values(image.label, _stream(image), image.size)
    if image.encoding == "npy":
        return _of_declared_size(image, float_images.load_npy(image.label, read_bytes(image)))
    if image.encoding == "exr":
        return _of_declared_size(image, float_images.load_exr(image.label, read_bytes(image)))
    return _load_raw(image)


def load_labels(image: StoredImage, largest: int = 255) -> Tensor:
    """Labels (H, W) int64 in [0, ``largest``]."""
    _expect_picture(image, "label")
    return images.load_labels(image.label, _stream(image), largest, image.size)


def load_mask(image: StoredImage) -> Tensor:
    """(H, W) bool: True where the mask is not black."""
    _expect_picture(image, "mask")
    return images.load_mask(image.label, _stream(image), image.size)


def load_confidence(image: StoredImage) -> Tensor:
    """Confidence (H, W) int64 of each depth pixel."""
    if image.encoding == "image":
        return load_labels(image)
    return _load_raw(image).long()


def read_bytes(image: StoredImage) -> bytes:
    """The encoded bytes.

    Raises:
        DataError: A missing file, or fewer bytes than declared.
    """
    try:
        if image.member is not None:
            return read_member(image.path, image.member, image.offset, image.length, _MAX_BYTES)
        available = image.path.stat().st_size - image.offset
        length = _expect_length(image, available)
        with image.path.open("rb") as stream:
            stream.seek(image.offset)
            return stream.read(length)
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{image}: the image does not exist") from error
    # ValueError: a name that no file can have.
    except (OSError, ValueError) as error:
        raise DataError(f"{image}: expected a readable file, got {error}") from error


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _expect_length(image: StoredImage, available: int) -> int:
    length = available if image.length is None else image.length
    if image.offset < 0 or length < 0 or length > available:
        raise DataError(
            f"{image}: expected {length} bytes from {image.offset} on, got a file with {max(0, available)} there; "
            "it is truncated or damaged"
        )
    if length > _MAX_BYTES:
        raise DataError(f"{image}: expected an image of at most {_MAX_BYTES} bytes, got {length}")
    return length


def _stream(image: StoredImage) -> io.BytesIO | None:
    """The bytes as a stream; None if Pillow may open the file itself."""
    return None if image.is_whole_file else io.BytesIO(read_bytes(image))


def _load_raw(image: StoredImage) -> Tensor:
    compression, _, name = image.encoding.partition("_")
    if image.size is None or name not in _TYPES:
        raise ValueError(f"{image}: expected a raw encoding and a size, got {image.encoding} and {image.size}")
    images.expect_few_pixels(image.label, *image.size)
    width, height = image.size
    expected = width * height * _TYPES[name].itemsize
    data = read_bytes(image)
    if compression == "zlib":
        data = _inflate(image, data, expected)
    elif compression == "lzfse":
        data = float_images.decompress_lzfse(image.label, data, expected)
    if len(data) != expected:
        raise DataError(f"{image}: expected {expected} bytes for {width}x{height} {name} numbers, got {len(data)}")
    values = np.frombuffer(data, _TYPES[name]).reshape(height, width)
    return torch.from_numpy(values.astype(np.float32 if name == "float32" else np.int32))


def _inflate(image: StoredImage, data: bytes, expected: int) -> bytes:
    decoder = zlib.decompressobj()
    try:
        # One byte more shows that there is more, without unpacking it.
        return decoder.decompress(data, expected + 1)
    except zlib.error as error:
        raise DataError(f"{image}: expected zlib data, got damaged bytes ({error})") from error


def _expect_picture(image: StoredImage, role: str) -> None:
    if image.encoding != "image":
        raise ValueError(f"{image}: expected a {role} picture, got encoding {image.encoding}")


def _of_declared_size(image: StoredImage, pixels: Tensor) -> Tensor:
    height, width = pixels.shape[:2]
    if image.size is not None and image.size != (width, height):
        raise DataError(
            f"{image}: expected an image of {image.size[0]}x{image.size[1]} as declared, got {width}x{height}"
        )
    return pixels
