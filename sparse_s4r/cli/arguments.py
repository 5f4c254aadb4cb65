"""Options that take several values: ``--scenes A B`` as well as ``--scenes A --scenes B``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

# Sub-command -> options of it that may be followed by several values.
SEVERAL = {
    "train": ("--scenes", "--set"),
    "demo": ("--set",),
    "refine": ("--set",),
    "render": ("--frames",),
    "label": ("--scales",),
}


def repeat_options(arguments: Sequence[str], options: Iterable[str]) -> list[str]:
    """``arguments`` with every further value of one of ``options`` preceded by the option's name."""
    known, current, values = set(options), "", 0
    result: list[str] = []
    for argument in arguments:
        if argument.startswith("-"):
            current, values = (argument if argument in known else ""), 0
        elif current:
            values += 1
            if values > 1:
                result.append(current)
        result.append(argument)
    return result
