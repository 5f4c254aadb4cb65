"""Numbers in text files."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from sparse_s4r.structures.errors import DataError

# Some trackers print a lost pose with the Windows runtime's spelling of NaN and infinity.
_WINDOWS_NAN = ("#IND", "#QNAN", "#SNAN")
# A pose file of 100,000 frames has some 30 MiB.
_MAX_BYTES = 1 << 28


def load_matrix(path: Path, role: str, rows: int, columns: int) -> Tensor:
    """A matrix (rows, columns) float64 from white space or comma separated text; NaN and infinity pass.

    Raises:
        DataError: The file is missing, holds something else than numbers, or another count of them.
    """
    numbers = [number for line in load_rows(path, role) for number in line]
    if len(numbers) != rows * columns:
        raise DataError(f"{path}: expected {role} of {rows} x {columns} numbers, got {len(numbers)}")
    return torch.tensor(numbers, dtype=torch.float64).reshape(rows, columns)


def load_rows(path: Path, role: str, comment: str | None = None) -> list[list[float]]:
    """The numbers of every line that is not empty and does not start with ``comment``; NaN and infinity pass."""
    return [row for _, row in load_numbered_rows(path, role, comment)]


def load_numbered_rows(path: Path, role: str, comment: str | None = None) -> list[tuple[int, list[float]]]:
    """As ``load_rows``, each with the number of its line in the file, from 1."""
    return [
        (number, _numbers(path, role, number, line))
        for number, line in _numbered_lines(path, role)
        if comment is None or not line.startswith(comment)
    ]


def load_lines(path: Path, role: str) -> list[str]:
    """The lines of a text file without empty ones.

    Raises:
        DataError: The file is missing or no text.
    """
    return [line for _, line in _numbered_lines(path, role)]


def _numbered_lines(path: Path, role: str) -> list[tuple[int, str]]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"{path}: expected {role} of at most {_MAX_BYTES >> 20} MiB of text, got more")
        text = path.read_text(encoding="utf-8-sig")
    except DataError:
        raise
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f"{path}: expected {role} in this file, but it does not exist") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected {role} as text, got a file that cannot be read ({error})") from error
    return [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]


def _numbers(path: Path, role: str, number: int, line: str) -> list[float]:
    try:
        return [_number(word) for word in line.replace(",", " ").split()]
    except ValueError as error:
        raise DataError(f"{path}: expected {role} as numbers, got {line[:60]!r} in line {number}") from error


def _number(word: str) -> float:
    upper = word.upper()
    if any(mark in upper for mark in _WINDOWS_NAN):
        return float("nan")
    return float("inf") if "#INF" in upper else float(word)
