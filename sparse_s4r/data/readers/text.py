"""Numbers in text files."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from sparse_s4r.structures.errors import DataError

# Some trackers print a lost pose with the Windows runtime's spelling of NaN and infinity.
_WINDOWS_NAN = ("#IND", "#QNAN", "#SNAN")


def load_matrix(path: Path, role: str, rows: int, columns: int) -> Tensor:
    """A matrix (rows, columns) float64 from white space or comma separated text; NaN and infinity pass.

    Raises:
        DataError: The file is missing, holds something else than numbers, or another count of them.
    """
    numbers = [number for line in load_rows(path, role) for number in line]
    if len(numbers) != rows * columns:
        raise DataError(f"{path}: expected {role} of {rows} x {columns} numbers, got {len(numbers)}")
    return torch.tensor(numbers, dtype=torch.float64).reshape(rows, columns)


def load_rows(path: Path, role: str) -> list[list[float]]:
    """The numbers of every line that is not empty; NaN and infinity pass."""
    return [_numbers(path, role, number, line) for number, line in enumerate(load_lines(path, role), start=1)]


def load_lines(path: Path, role: str) -> list[str]:
    """The lines of a text file without empty ones.

    Raises:
        DataError: The file is missing or no text.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise DataError(f"{path}: expected {role} in this file, but it does not exist") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected {role} as text, got a file that cannot be read ({error})") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


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
