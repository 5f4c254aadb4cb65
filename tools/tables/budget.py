"""One number of steps for trainings whose configurations have others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sparse_s4r.config import load_config

# Step numbers of a configuration that tell when something begins or ends.
_MARKS = ("guide_steps", "coarse_steps")


def with_budget(config: Path, settings: Sequence[str], steps: int) -> list[str]:
    """``settings`` for a training of ``steps`` steps: where terms begin and phases end moves in proportion.

    A term that starts at 3300 of 4400 steps would not count at all in a training of 2000.

    Args:
        config: The configuration file.
        settings: ``section.key=value`` on top of it.
        steps: Optimiser steps.

    Raises:
        ConfigError: See ``load_config``.
    """
    base = load_config(config, settings)
    share = steps / base.train.steps
    result = [*settings, f"train.steps={steps}"]
    for name in _MARKS:
        if before := getattr(base.train, name):
            result.append(f"train.{name}={round(before * share)}")
    for name, term in base.loss:
        start = getattr(term, "start", 0)
        if start and term.weight:
            result.append(f"loss.{name}.start={round(start * share)}")
    return result
