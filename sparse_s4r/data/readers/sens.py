"""The index of a ScanNet .sens file, version 4: cameras, poses and where each image lies; no image is read.

Layout, little-endian (published with the data set as SensReader): version u32; length u64 and bytes of the sensor's
name; four 4 x 4 float32 matrices, row by row: intrinsics and extrinsics of the colour camera, then of the depth camera;
colour and depth compression i32; width and height u32 of colour, then of depth; units per metre float32; number of
frames u64. Each frame: camera to world, 4 x 4 float32; time of colour and of depth u64; size of colour and of depth
u64; the two images. Then the number u64 of inertial measurements and 128 bytes for each.
"""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sparse_s4r.structures.errors import DataError

VERSION = 4
PNG_COLOR, JPEG_COLOR = 1, 2
RAW_DEPTH, ZLIB_DEPTH = 0, 1
# Far above any sensor's; a larger number is a damaged header, and nothing is allocated or looped over on its word.
MAX_NAME_BYTES = 4096
MAX_PIXELS = 1 << 25
MAX_FRAMES = 1_000_000

_SIZES = struct.Struct("<2i4IfQ")
_FRAME = np.dtype([("pose", "<f4", (4, 4)), ("times", "<u8", (2,)), ("bytes", "<u8", (2,))])
_MATRIX_BYTES = 64
_IMU_BYTES = 128


@dataclass(frozen=True)
class SensHeader:
    """What a .sens file says of all its frames.

    Attributes:
        sensor: Name of the sensor.
        color_intrinsics: (4, 4) float64, pixels.
        color_extrinsics: (4, 4) float64 from the colour camera to the base frame, metres.
        depth_intrinsics: (4, 4) float64, pixels.
        depth_extrinsics: (4, 4) float64 from the depth camera to the base frame, metres.
        color_compression: ``PNG_COLOR`` or ``JPEG_COLOR``.
        depth_compression: ``RAW_DEPTH`` or ``ZLIB_DEPTH``.
        color_size: (width, height).
        depth_size: (width, height).
        units_per_metre: Depth numbers per metre.
        claimed: Number of frames that the header announces.
    """

    sensor: str
    color_intrinsics: npt.NDArray[np.float64]
    color_extrinsics: npt.NDArray[np.float64]
    depth_intrinsics: npt.NDArray[np.float64]
    depth_extrinsics: npt.NDArray[np.float64]
    color_compression: int
    depth_compression: int
    color_size: tuple[int, int]
    depth_size: tuple[int, int]
    units_per_metre: float
    claimed: int


@dataclass(frozen=True)
class SensIndex:
    """What a .sens file holds, and where.

    Attributes:
        path: The file.
        header: What holds for all frames.
        poses: (N, 4, 4) float64 camera to world of the whole frames; not finite where tracking was lost.
        times: (N, 2) uint64 time of colour and of depth, usually microseconds.
        color_spans: (N, 2) int64 offset and length in the file, bytes.
        depth_spans: (N, 2) int64 likewise.
        notes: What is odd about the file's end.
    """

    path: Path
    header: SensHeader
    poses: npt.NDArray[np.float64]
    times: npt.NDArray[np.uint64]
    color_spans: npt.NDArray[np.int64]
    depth_spans: npt.NDArray[np.int64]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.poses)


def index_sens(path: Path) -> SensIndex:
    """Find the frames of a .sens file by reading its headers and seeking past the images.

    A file that ends early gives the frames that are whole, and a note that says how many are missing.

    Raises:
        DataError: No such file, another version, a header with impossible numbers, a compression that cannot be read,
            or not one whole frame.
    """
    try:
        # Unbuffered: a buffer would fetch kilobytes of image behind each header.
        with open(path, "rb", buffering=0) as file:
            return _index(_Cursor(path, file))
    except OSError as error:
        raise DataError(f"{path}: expected a readable .sens file, got an error ({error})") from error


class _Cursor:
    """A position in a file that never passes its end."""

    def __init__(self, path: Path, file: FileIO) -> None:
        self.path = path
        self.position = 0
        self.size = os.fstat(file.fileno()).st_size
        self._file = file

    @property
    def left(self) -> int:
        return self.size - self.position

    def take(self, count: int, role: str) -> bytes:
        """The next ``count`` bytes."""
        data = self._file.read(count) if count <= self.left else b""
        if len(data) != count:
            raise DataError(
                f"{self.path}: expected {count} bytes of {role} at byte {self.position}, got the end of the file "
                f"at {self.size}; is the file complete?"
            )
        self.position += count
        return data

    def skip_to(self, position: int) -> None:
        """Move on without reading."""
        self._file.seek(position)
        self.position = position


def _index(cursor: _Cursor) -> SensIndex:
    header = _header(cursor)
    heads, begin = _frames(cursor, header.claimed)
    if not len(heads):
        raise DataError(
            f"{cursor.path}: expected {header.claimed} frames, got not one that is whole in {cursor.size} bytes"
        )
    notes = _ending(cursor, len(heads), header.claimed)
    lengths = heads["bytes"].astype(np.int64)
    return SensIndex(
        cursor.path,
        header,
        poses=_doubles(heads["pose"]),
        times=heads["times"].astype(np.uint64),
        color_spans=np.stack([begin, lengths[:, 0]], axis=1),
        depth_spans=np.stack([begin + lengths[:, 0], lengths[:, 1]], axis=1),
        notes=notes,
    )


def _header(cursor: _Cursor) -> SensHeader:
    path = cursor.path
    (version,) = struct.unpack("<I", cursor.take(4, "the version"))
    if version != VERSION:
        raise DataError(f"{path}: expected a .sens file of version {VERSION}, got {version}; is it a .sens file?")
    (length,) = struct.unpack("<Q", cursor.take(8, "the length of the sensor's name"))
    if length > MAX_NAME_BYTES:
        raise DataError(
            f"{path}: expected a sensor's name of at most {MAX_NAME_BYTES} bytes, got {length}; the header is damaged"
        )
    sensor = cursor.take(length, "the sensor's name").decode("utf-8", errors="replace")
    color, color_base, depth, depth_base = (_matrix(cursor) for _ in range(4))
    color_code, depth_code, *pixels, units, claimed = _SIZES.unpack(cursor.take(_SIZES.size, "the image sizes"))
    color_size, depth_size = (pixels[0], pixels[1]), (pixels[2], pixels[3])
    _expect_images(path, "colour", color_code, {PNG_COLOR: "PNG", JPEG_COLOR: "JPEG"}, color_size)
    _expect_images(path, "depth", depth_code, {RAW_DEPTH: "raw", ZLIB_DEPTH: "zlib"}, depth_size)
    if not (math.isfinite(units) and units > 0):
        raise DataError(f"{path}: expected a number > 0 of depth units per metre, got {units}; the header is damaged")
    if not 1 <= claimed <= MAX_FRAMES:
        raise DataError(f"{path}: expected 1 to {MAX_FRAMES} frames, got {claimed}; the header is damaged")
    return SensHeader(
        sensor, color, color_base, depth, depth_base, color_code, depth_code, color_size, depth_size, units, claimed
    )


def _matrix(cursor: _Cursor) -> npt.NDArray[np.float64]:
    return _doubles(np.frombuffer(cursor.take(_MATRIX_BYTES, "the cameras"), "<f4").reshape(4, 4))


def _doubles(singles: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    # Among damaged bits are signalling NaNs; they stay NaN, without the warning.
    with np.errstate(invalid="ignore"):
        return singles.astype(np.float64)


def _expect_images(path: Path, role: str, code: int, known: dict[int, str], size: tuple[int, int]) -> None:
    if code not in known:
        readable = " or ".join(f"{number} ({name})" for number, name in known.items())
        raise DataError(
            f"{path}: expected {role} compression {readable}, got {code}; export the frames with ScanNet's own tool "
            "and import the folder"
        )
    width, height = size
    if not (width > 0 and height > 0 and width * height <= MAX_PIXELS):
        raise DataError(
            f"{path}: expected {role} images of 1 to {MAX_PIXELS} pixels, got {width}x{height}; the header is damaged"
        )


def _frames(cursor: _Cursor, claimed: int) -> tuple[npt.NDArray[np.void], npt.NDArray[np.int64]]:
    """Heads of the frames that lie whole in the file, and where the colour image of each begins."""
    heads = bytearray()
    starts: list[int] = []
    while len(starts) < claimed and cursor.left >= _FRAME.itemsize:
        head = cursor.take(_FRAME.itemsize, "a frame")
        # As Python's integers: the sum of two damaged sizes must not wrap around.
        color_bytes, depth_bytes = np.frombuffer(head, _FRAME)["bytes"][0].tolist()
        if color_bytes + depth_bytes > cursor.left:
            break
        heads += head
        starts.append(cursor.position)
        cursor.skip_to(cursor.position + color_bytes + depth_bytes)
    return np.frombuffer(bytes(heads), _FRAME), np.array(starts, dtype=np.int64)


def _ending(cursor: _Cursor, whole: int, claimed: int) -> tuple[str, ...]:
    if whole < claimed:
        return (
            f"{cursor.path.name}: the file ends within frame {whole} of {claimed}, or a size before it is damaged: "
            f"{whole} whole frames are used; copy the file again for the rest",
        )
    if cursor.left == 0:
        return ()
    if cursor.left < 8:
        return (f"{cursor.path.name}: {cursor.left} bytes after the last frame are ignored",)
    (count,) = struct.unpack("<Q", cursor.take(8, "the number of inertial measurements"))
    if cursor.left == count * _IMU_BYTES:
        return ()
    return (
        f"{cursor.path.name}: {cursor.left} bytes after the last frame do not hold the announced {count} inertial "
        "measurements; they are not needed and ignored",
    )
