"""Folders of numbered files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from sparse_s4r.structures.errors import DataError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")


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


def expect_partners(kind: str, folder: Path, have: Iterable[str], partners: Iterable[str], partner_kind: str) -> None:
    """Raise DataError, with counts and examples, unless every name in ``partners`` is in ``have``."""
    names, wanted = set(have), list(partners)
    missing = [name for name in wanted if name not in names]
    if missing:
        raise DataError(
            f"{folder}: expected a {kind} for each of {len(wanted)} {partner_kind} images, got {len(names)}; "
            f"{shorten(missing)} without one; add what is missing or remove the {partner_kind} images"
        )


def shorten(names: list[str], count: int = 5) -> str:
    """The first ``count`` names and how many more there are."""
    more = len(names) - count
    return ", ".join(names[:count]) + (f" and {more} more" if more > 0 else "")


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sort key under which numbers inside names order by value."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]
