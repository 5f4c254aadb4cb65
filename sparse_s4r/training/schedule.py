"""The learning rate over the steps."""

from __future__ import annotations

import math

# A cosine that ends at 0 wastes its last steps.
_FLOOR = 0.02


def rate_factor(step: int, steps: int, warmup: int, schedule: str) -> float:
    """Factor of the peak learning rate at ``step`` of ``steps``: a linear rise over ``warmup``, then ``schedule``.

    Raises:
        ValueError: A schedule other than "constant" or "cosine".
    """
    if schedule not in ("constant", "cosine"):
        raise ValueError(f"schedule: expected constant or cosine, got {schedule!r}")
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if schedule == "constant":
        return 1.0
    progress = (step - warmup) / max(1, steps - warmup)
    return _FLOOR + (1 - _FLOOR) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
