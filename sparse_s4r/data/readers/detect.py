"""Choice of the reader."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from sparse_s4r.data.readers import (
    arkitscenes,
    generic,
    hololens,
    matterport,
    nerfstudio,
    open3d_folder,
    record3d,
    replica,
    scannet,
    sevenscenes,
    tum,
)
from sparse_s4r.data.readers.capture import Capture
from sparse_s4r.data.readers.listing import shorten
from sparse_s4r.data.readers.reader import Reader
from sparse_s4r.structures.errors import DataError

READERS = {
    reader.name: reader
    for reader in (
        generic.READER,
        scannet.READER,
        matterport.READER,
        sevenscenes.READER,
        tum.READER,
        replica.READER,
        open3d_folder.READER,
        nerfstudio.READER,
        record3d.READER,
        arkitscenes.READER,
        hololens.READER,
    )
}
FORMATS = ("auto", *READERS)


@dataclass(frozen=True)
class Detection:
    """A recognised layout and the files that decided."""

    format: str
    reason: str


def open_capture(path: Path | str, layout: str = "auto", classes: str | None = None) -> Capture:
    """List the frames of a capture; nothing is decoded.

    Args:
        path: The capture's folder or file.
        layout: One of ``FORMATS``; "auto" recognises the layout by its files.
        classes: Set of classes for the labels, one of the reader's ``class_sets``; None for its first.

    Raises:
        DataError: No such path, an unknown layout, none or several that fit, classes that
            its labels cannot be given in, or a capture that is incomplete.
    """
    path = Path(path)
    if layout not in FORMATS:
        raise DataError(f"format: expected one of {', '.join(FORMATS)}, got {layout!r}")
    if layout != "auto":
        _expect_path(path)
        return _open(READERS[layout], path, classes)
    found = detect_format(path)
    capture = _open(READERS[found.format], path, classes)
    return replace(capture, notes=(f"recognised as {found.format}: {found.reason}", *capture.notes))


def detect_format(path: Path) -> Detection:
    """The layout of a capture and why it is that.

    Raises:
        DataError: No such path, or none or several layouts fit; says what was looked for.
    """
    _expect_path(path)
    found = [Detection(name, reason) for name, reader in READERS.items() if (reason := reader.detect(path)) is not None]
    if len(found) == 1:
        return found[0]
    if found:
        reasons = "".join(f"\n  {one.format}: {one.reason}" for one in found)
        raise DataError(f"{path}: expected one layout, but {len(found)} fit; name one with --format:{reasons}")
    known = "".join(f"\n  {name}: {reader.looks_for}" for name, reader in READERS.items())
    raise DataError(
        f"{path}: expected posed RGB-D frames in one of the layouts below, found {_content(path)}; name one with "
        f"--format to learn what is missing{known}"
    )


def _open(reader: Reader, path: Path, classes: str | None) -> Capture:
    if classes is None:
        return replace(reader.open(path), source=path)
    if classes not in reader.class_sets:
        sets = ", ".join(reader.class_sets) or "none, as this layout has no labels or names their classes itself"
        raise DataError(f"{path}: classes for the labels of {reader.name}: expected {sets}; got {classes!r}")
    capture = reader.open(path) if reader.open_with is None else reader.open_with(path, classes)
    return replace(capture, source=path)


def _content(path: Path) -> str:
    if not path.is_dir():
        return f"a file {path.name}"
    content = sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in path.iterdir())
    return shorten(content, 8) if content else "an empty folder"


def _expect_path(path: Path) -> None:
    if not path.exists():
        raise DataError(f"{path}: expected posed RGB-D frames in this folder or file, but it does not exist")
