"""Whether a training lowered its losses."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sparse_s4r.structures.errors import DataError

_NO_LOSSES = ("step", "seconds", "voxels")


@dataclass(frozen=True)
class LossChange:
    """Means of a loss over the first and the last fifth of the steps at which it counted."""

    first: float
    last: float


def read_losses(path: Path) -> dict[str, list[float]]:
    """Values of every loss, step by step, from a run's ``losses.jsonl``.

    Raises:
        DataError: No such file, or a line that is no record.
    """
    try:
        records = [json.loads(line) for line in path.read_text().splitlines()]
    except (OSError, json.JSONDecodeError) as error:
        raise DataError(f"{path}: expected a line of JSON per training step: {error}") from error
    losses: dict[str, list[float]] = {}
    for record in records:
        for name, value in record.items():
            if name not in _NO_LOSSES:
                losses.setdefault(name, []).append(float(value))
    return losses


def loss_changes(losses: Mapping[str, Sequence[float]]) -> dict[str, LossChange]:
    """First and last fifth of every loss; a loss with fewer than five values compares its ends."""
    changes = {}
    for name, values in losses.items():
        fifth = max(1, len(values) // 5)
        changes[name] = LossChange(sum(values[:fifth]) / fifth, sum(values[-fifth:]) / fifth)
    return changes
