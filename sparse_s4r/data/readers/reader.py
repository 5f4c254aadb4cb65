"""What every reader offers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sparse_s4r.data.readers.capture import Capture


@dataclass(frozen=True)
class Reader:
    """Reader of one layout.

    Attributes:
        name: Name of the layout, as ``--format`` takes it.
        looks_for: The files by which the layout is recognised; shown when nothing fits.
        detect: What says that a file or folder holds this layout, naming the files that decided; None if it does
            not. Looks at names and, at most, at the first bytes of a file; raises nothing but DataError.
        open: Lists the frames of a capture without decoding images; raises DataError.
        class_sets: Sets of classes that its labels can be given in, the first if none is chosen; empty if the labels
            have classes of the capture's own, or there are none.
        open_with: As ``open``, with label images in one of ``class_sets``; None if the labels are no images.
    """

    name: str
    looks_for: str
    detect: Callable[[Path], str | None]
    open: Callable[[Path], Capture]
    class_sets: tuple[str, ...] = ()
    open_with: Callable[[Path, str], Capture] | None = None
