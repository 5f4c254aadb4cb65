"""Folders of numbered files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from sparse_s4r.structures.errors import DataError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
Name = TypeVar("Name", int, str)


def files_by_name(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Files of ``folder`` with one of ``suffixes``, by name without suffix, in natural order (2 before 10).

    Raises:
        DataError: The folder is missing, or two files share a name.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder of {'/'.join(suffixes)} files, but it does not exist")
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir(), key=lambda file: natural_key(file.name)):
        if file.suffix.lower() not in suffixes or file.name.startswith("."):
            continue
        if file.stem in found:
            raise DataError(f"{file}: expected one file per frame, got {found[file.stem].name} as well; remove one")
        found[file.stem] = file
    return found


def numbered_files(folder: Path, pattern: re.Pattern[str]) -> dict[int, Path]:
    """Files of ``folder`` whose whole name fits ``pattern``, by the number that is its first group, in order.

    Raises:
        DataError: The folder is missing, or two files have one number.
    """
    found: dict[int, Path] = {}
    for file in list_folder(folder):
        if match := pattern.fullmatch(file.name):
            number = int(match[1])
            if number in found:
                raise DataError(f"{file}: expected one file per frame, got {found[number].name} as well; remove one")
            found[number] = file
    return dict(sorted(found.items()))


def list_folder(folder: Path) -> list[Path]:
    """Entries of ``folder``, by name.

    Raises:
        DataError: No such folder.
    """
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: expected a folder with images, but it cannot be listed ({error})") from error


def paired_names(place: Path, color: Iterable[Name], depth: Iterable[Name]) -> list[Name]:
    """Names of all frames, in natural order: those of the colour and of the depth images, as a rule the same.

    A name without one of its images makes a frame that cannot be read. So it costs that frame and not the capture.

    Raises:
        DataError: No images, or not one colour image and depth image of one name.
    """
    colors, depths = set(color), set(depth)
    if not colors and not depths:
        raise DataError(f"{place}: expected colour and depth images, got none; the capture is empty")
    names = sorted(colors | depths, key=lambda name: natural_key(str(name)))
    if not colors & depths:
        found = shorten([str(name) for name in names])
        raise DataError(
            f"{place}: expected colour and depth images of the same names, got {len(colors)} colour and {len(depths)} "
            f"depth images without a name in common ({found})"
        )
    return names


def shorten(names: list[str], count: int = 5) -> str:
    """The first ``count`` names and how many more there are."""
    more = len(names) - count
    return ", ".join(names[:count]) + (f" and {more} more" if more > 0 else "")


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sort key under which numbers inside names order by value."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]
