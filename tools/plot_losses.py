"""Loss curves of one or more trainings as a picture: one panel per term.

Example: python tools/plot_losses.py runs/main runs/geometry --out losses.png
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot

from sparse_s4r.structures.errors import UserError

# Keys of a log's rows that are no terms of the loss.
_OTHER = ("step", "seconds", "voxels")
_COLUMNS = 4


def read_terms(log: Path) -> dict[str, tuple[list[int], list[float]]]:
    """Steps and values of each term in a ``losses.jsonl``.

    Raises:
        UserError: No log there, or one without rows.
    """
    if not log.is_file():
        raise UserError(f"{log}: expected the log of a training, found none")
    terms: dict[str, tuple[list[int], list[float]]] = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for name, value in row.items():
            if name not in _OTHER and isinstance(value, (int, float)):
                steps, values = terms.setdefault(name, ([], []))
                steps.append(int(row["step"]))
                values.append(float(value))
    if not terms:
        raise UserError(f"{log}: expected rows with terms of the loss, got none; did the training take a step?")
    return terms


def smooth(values: Sequence[float], window: int) -> np.ndarray:
    """Mean (N,) of each value with up to ``window - 1`` values before it."""
    sums = np.concatenate([[0.0], np.cumsum(np.asarray(values, dtype=np.float64))])
    last = np.arange(1, len(values) + 1)
    first = np.maximum(last - window, 0)
    means: np.ndarray = (sums[last] - sums[first]) / (last - first)
    return means


def plot_losses(logs: Mapping[str, Path], file: Path) -> None:
    """Write a PNG: a panel per term, a line per training, each the running mean of a twentieth of its steps.

    Args:
        logs: Name of each training and its ``losses.jsonl``.
        file: Where to.
    """
    read = {name: read_terms(log) for name, log in logs.items()}
    terms = list(dict.fromkeys(term for found in read.values() for term in found))
    rows = math.ceil(len(terms) / _COLUMNS)
    figure, axes = pyplot.subplots(
        rows, _COLUMNS, figsize=(4 * _COLUMNS, 2.8 * rows), layout="constrained", squeeze=False
    )
    for axis, term in zip(axes.flat, terms, strict=False):
        for index, (name, found) in enumerate(read.items()):
            if term in found:
                steps, values = found[term]
                # There are ten colours; the trainings after the tenth are dashed.
                style = {"color": f"C{index % 10}", "ls": "-" if index < 10 else "--"}
                axis.plot(steps, smooth(values, max(1, len(values) // 20)), lw=1, label=name, **style)
        axis.set_title(term)
        axis.set_xlabel("step")
        axis.set_ylim(bottom=0)
    for axis in list(axes.flat)[len(terms) :]:
        axis.axis("off")
    handles = {label: line for axis in axes.flat for line, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=min(3, len(handles)))
    figure.savefig(file, dpi=90)
    pyplot.close(figure)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders made by s4r train")
    parser.add_argument("--out", type=Path, required=True, help="PNG to write")
    given = parser.parse_args(arguments)
    plot_losses({run.name: run / "losses.jsonl" for run in given.runs}, given.out)
    print(f"wrote {given.out}")


if __name__ == "__main__":
    main()
