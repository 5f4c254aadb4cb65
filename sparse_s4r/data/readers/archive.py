"""Members of zip archives, of which nothing is unpacked that was not asked for."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from sparse_s4r.structures.errors import DataError

# What zipfile, zlib and struct raise on damaged archives.
_DAMAGE = (OSError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error, struct.error)
# Signature, version, flags, method, time, date, CRC, two sizes, length of the name and of the extra field.
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_ENCRYPTED = 1


def list_members(path: Path) -> list[str]:
    """Names of all members.

    Raises:
        DataError: No such file, or no zip archive.
    """
    return list(_directory_of(path))


def read_member(path: Path, member: str, offset: int = 0, length: int | None = None, limit: int = 1 << 28) -> bytes:
    """Bytes of a member.

    Args:
        path: The archive.
        member: Name of the member.
        offset: First byte.
        length: Number of bytes; None for all up to the end.
        limit: Unpacking more than this is an error: a small archive can claim any size.

    Raises:
        DataError: No such file or member, a damaged archive, or fewer bytes than asked for.
    """
    entry = _directory_of(path).get(member)
    if entry is None:
        raise DataError(f"{path}: expected a member {member} in this archive, got none")
    available = entry.file_size - offset
    wanted = available if length is None else length
    if not 0 <= wanted <= available or entry.file_size > limit:
        raise DataError(
            f"{path}:{member}: expected {wanted} bytes from {offset} on and at most {limit} in all, got a member with "
            f"{max(0, available)} there"
        )
    try:
        with path.open("rb") as stream:
            return _unpack(stream, entry)[offset : offset + wanted]
    except _DAMAGE as error:
        raise DataError(f"{path}:{member}: expected a whole archive, got a damaged one ({error})") from error


def _directory_of(path: Path) -> dict[str, zipfile.ZipInfo]:
    try:
        status = path.stat()
        return _directory(path, status.st_mtime_ns, status.st_size)
    except FileNotFoundError as error:
        raise DataError(f"{path}: expected a zip archive, but it does not exist") from error
    except _DAMAGE as error:
        raise DataError(f"{path}: expected a zip archive, got a damaged one ({error}); copy it again") from error


@lru_cache(maxsize=4)
def _directory(path: Path, modified: int, size: int) -> dict[str, zipfile.ZipInfo]:
    """The archive's directory, kept since that of a long recording takes longer to read than an image."""
    with zipfile.ZipFile(path) as archive:
        return {entry.filename: entry for entry in archive.infolist()}


def _unpack(stream: BinaryIO, entry: zipfile.ZipInfo) -> bytes:
    stream.seek(entry.header_offset)
    header = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
    if header[0] != b"PK\3\4" or entry.flag_bits & _ENCRYPTED:
        raise zipfile.BadZipFile("no member, or an encrypted one, where the directory says")
    stream.seek(header[-2] + header[-1], 1)
    if entry.compress_size > os.fstat(stream.fileno()).st_size - stream.tell():
        raise zipfile.BadZipFile("the archive ends before the member does")
    packed = stream.read(entry.compress_size)
    if entry.compress_type == zipfile.ZIP_STORED:
        data = packed
    elif entry.compress_type == zipfile.ZIP_DEFLATED:
        data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, entry.file_size + 1)
    else:
        raise zipfile.BadZipFile(f"compression {entry.compress_type} is neither stored nor deflated")
    if len(data) != entry.file_size or zlib.crc32(data) != entry.CRC:
        raise zipfile.BadZipFile("its bytes are not those that were packed")
    return data
