"""Depth images of floating point numbers: .npy, OpenEXR, and bytes packed by Apple's LZFSE."""

from __future__ import annotations

import importlib
import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sparse_s4r.data.images import DEPTH_LIMIT, expect_few_pixels
from sparse_s4r.structures.errors import DataError

# Channels of an EXR depth image: Z by convention, V or Y where a writer names single channels so, R where it repeats
# depth in all three colours.
_EXR_CHANNELS = ("Z", "V", "Y", "R", "depth", "Depth")
# The encoder closes a block of LZFSE after 10,000 matches or 40,000 literals; blocks of fewer bytes than that, beside
# the last, are no encoder's work.
_LZFSE_SMALLEST_BLOCK = 10_000


def npy_size(path: Path, data: bytes) -> tuple[int, int]:
    """(width, height) of a depth array in the bytes of a .npy file."""
    return _npy_header(path, data)[0]


def load_npy(path: Path, data: bytes) -> Tensor:
    """Depth (H, W) of a .npy file: int32 for integer arrays, else float32.

    Raises:
        DataError: No array of numbers, other than two axes (a last axis of 1 passes), or truncated.
    """
    (width, height), dtype, start, fortran = _npy_header(path, data)
    if len(data) - start < width * height * dtype.itemsize:
        raise DataError(f"{path}: expected {width}x{height} numbers, got a truncated file; copy it again")
    flat = np.frombuffer(data, dtype, width * height, start)
    values = flat.reshape(height, width, order="F" if fortran else "C")
    if dtype.kind == "f":
        return torch.from_numpy(values.astype(np.float32))
    if values.size and (values.min() < 0 or values.max() > DEPTH_LIMIT):
        raise DataError(f"{path}: expected depth values of 16 bits, got {values.min()} to {values.max()}")
    return torch.from_numpy(values.astype(np.int32))


def exr_size(path: Path, data: bytes) -> tuple[int, int]:
    """(width, height) from the header of an EXR file's bytes."""
    header = _open_exr(path, data, header_only=True).header()
    try:
        lower, upper = header["dataWindow"]
        return int(upper[0]) - int(lower[0]) + 1, int(upper[1]) - int(lower[1]) + 1
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(f"{path}: expected an EXR image with a data window, got none ({error})") from error


def load_exr(path: Path, data: bytes) -> Tensor:
    """Depth (H, W) float32 of an EXR file's bytes.

    Raises:
        DataError: A damaged file, one that claims too many pixels, or no channel of depth.
    """
    expect_few_pixels(path, *exr_size(path, data))
    try:
        channels = _open_exr(path, data, header_only=False).channels()
    # The library reads damaged pixels as a file without parts.
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: expected an EXR image, got a damaged one ({error})") from error
    name = next((name for name in _EXR_CHANNELS if name in channels), None)
    if name is None:
        raise DataError(
            f"{path}: expected a depth channel named {', '.join(_EXR_CHANNELS)}, got {', '.join(channels) or 'none'}"
        )
    pixels = np.asarray(channels[name].pixels)
    if pixels.ndim != 2:
        raise DataError(f"{path}: expected a channel of two axes, got {pixels.ndim}")
    return torch.from_numpy(pixels.astype(np.float32))


def decompress_lzfse(path: Path, data: bytes, size: int) -> bytes:
    """Unpack LZFSE to ``size`` bytes.

    Raises:
        DataError: Damaged data, data of another size, or the package ``lzfse`` is not installed.
    """
    claimed = _lzfse_size(path, data, size)
    if claimed != size:
        raise DataError(f"{path}: expected {size} bytes of unpacked data, got LZFSE blocks of {claimed}")
    lzfse = _package(path, "lzfse")
    try:
        return bytes(lzfse.decompress(data))
    except (lzfse.error, ValueError, MemoryError) as error:
        raise DataError(f"{path}: expected LZFSE data, got damaged bytes ({error})") from error


def _npy_header(path: Path, data: bytes) -> tuple[tuple[int, int], np.dtype[Any], int, bool]:
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
    # The header is a Python literal; its parser raises more than ValueError on garbage.
    except Exception as error:
        raise DataError(f"{path}: expected a .npy array, got a damaged file ({error})") from error
    if len(shape) == 3 and shape[2] == 1:
        shape = shape[:2]
    if len(shape) != 2 or dtype.kind not in "fui":
        raise DataError(f"{path}: expected an array of numbers (height, width), got {dtype} {tuple(shape)}")
    expect_few_pixels(path, shape[1], shape[0])
    return (shape[1], shape[0]), dtype, stream.tell(), fortran


def _package(path: Path, name: str) -> Any:
    """An optional dependency; few captures need it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise DataError(
            f"{path}: expected the package {name}, which decodes this file, got none; pip install {name}"
        ) from error


def _open_exr(path: Path, data: bytes, header_only: bool) -> Any:
    package = _package(path, "OpenEXR")
    try:
        return package.File(io.BytesIO(data), separate_channels=True, header_only=header_only, num_threads=0)
    # The binding gives whatever its C++ side throws.
    except Exception as error:
        raise DataError(f"{path}: expected an EXR image, got a damaged one ({error})") from error


def _lzfse_size(path: Path, data: bytes, limit: int) -> int:
    """Sum of the sizes that the blocks claim; see the block headers of the published reference implementation."""
    position, total, blocks = 0, 0, 0
    try:
        while (magic := data[position : position + 4]) != b"bvx$":
            (raw,) = struct.unpack_from("<I", data, position + 4)
            total, blocks = total + raw, blocks + 1
            if total > limit or blocks > 4 + limit // _LZFSE_SMALLEST_BLOCK:
                break
            position += _lzfse_block(magic, raw, data, position)
    except (struct.error, ValueError) as error:
        raise DataError(f"{path}: expected LZFSE data, got damaged bytes at {position} ({error})") from error
    return total


def _lzfse_block(magic: bytes, raw: int, data: bytes, position: int) -> int:
    """Bytes that a block takes in the packed data."""
    if magic == b"bvx-":
        return 8 + raw
    if magic == b"bvxn":
        (payload,) = struct.unpack_from("<I", data, position + 8)
        return 12 + int(payload)
    if magic == b"bvx2":
        first, second, third = struct.unpack_from("<3Q", data, position + 8)
        literals, lengths, header = (first >> 20) & 0xFFFFF, (second >> 40) & 0xFFFFF, third & 0xFFFFFFFF
        return int(max(32, header) + literals + lengths)
    raise ValueError(f"unknown block {magic!r}")
