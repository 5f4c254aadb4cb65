"""Choice of the reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from sparse_s4r.data.readers import generic, hololens, sevenscenes
from sparse_s4r.data.readers.capture import Capture
from sparse_s4r.data.readers.listing import shorten
from sparse_s4r.structures.errors import DataError


@dataclass(frozen=True)
class _Layout:
    description: str
    matches: Callable[[Path], bool]
    open: Callable[[Path], Capture]


_LAYOUTS = {
    generic.NAME: _Layout(generic.DESCRIPTION, generic.matches, generic.open_generic),
    sevenscenes.NAME: _Layout(sevenscenes.DESCRIPTION, sevenscenes.matches, sevenscenes.open_sevenscenes),
    hololens.NAME: _Layout(hololens.DESCRIPTION, hololens.matches, hololens.open_hololens),
}
FORMATS = ("auto", *_LAYOUTS)


def open_capture(folder: Path | str, layout: str = "auto") -> Capture:
    """List the frames of a capture; nothing is decoded.

    Args:
        folder: The capture.
        layout: One of ``FORMATS``; "auto" recognises the layout by its files.

    Raises:
        DataError: No such folder, an unknown layout, none or several that fit, or a capture that is incomplete.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder of posed RGB-D frames, but it does not exist")
    if layout != "auto":
        if layout not in _LAYOUTS:
            raise DataError(f"format: expected one of {', '.join(FORMATS)}, got {layout!r}")
        return _LAYOUTS[layout].open(folder)
    fitting = [name for name, candidate in _LAYOUTS.items() if candidate.matches(folder)]
    if len(fitting) != 1:
        raise DataError(_explain(folder, fitting))
    found = _LAYOUTS[fitting[0]]
    capture = found.open(folder)
    return replace(capture, notes=(f"recognised as {fitting[0]}: {found.description}", *capture.notes))


def _explain(folder: Path, fitting: list[str]) -> str:
    known = "".join(f"\n  {name}: {layout.description}" for name, layout in _LAYOUTS.items())
    if fitting:
        return f"{folder}: expected one layout, but {' and '.join(fitting)} fit; name one with --format{known}"
    content = sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in folder.iterdir())
    found = shorten(content, 8) if content else "an empty folder"
    return f"{folder}: expected posed RGB-D frames in one of the layouts below, found {found}{known}"
