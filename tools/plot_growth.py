"""Time and memory of the sparse network against floor area and against voxels, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from tools.compare_cost import CostRow, Fit

_SIZES = (("floor_m2", "floor area, m²"), ("voxels", "active voxels"))
_VALUES = (("seconds", "time, s", 1.0), ("peak_bytes", "peak memory, GiB", 2.0**30))


def plot_growth(rows: Sequence[CostRow], fits: Sequence[Fit], file: Path) -> None:
    """Write a PNG of two rows (time, memory) and two columns (floor area, voxels), both axes logarithmic."""
    exponents = {(fit.operation, fit.quantity): fit.exponent for fit in fits}
    figure, axes = pyplot.subplots(2, 2, figsize=(10, 8), layout="constrained")
    for line, (quantity, value_title, unit) in zip(axes, _VALUES, strict=True):
        for axis, (size, size_title) in zip(line, _SIZES, strict=True):
            for operation in dict.fromkeys(row.operation for row in rows):
                mine = [row for row in rows if row.operation == operation]
                label = operation
                if size == "voxels":
                    label += f", grows as voxels^{exponents[operation, quantity]:.2f}"
                values = [getattr(row, quantity) / unit for row in mine]
                axis.plot([getattr(row, size) for row in mine], values, "o-", label=label)
            axis.set(xlabel=size_title, ylabel=value_title, xscale="log", yscale="log")
            # Ticks at 1, 2 and 5 times powers of ten, written out: those between would run into each other.
            for along in (axis.xaxis, axis.yaxis):
                along.set_major_locator(LogLocator(subs=(1, 2, 5)))
                along.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
                along.set_minor_formatter(NullFormatter())
            axis.grid(True, which="both", alpha=0.3)
            axis.legend()
    figure.savefig(file, dpi=120)
    pyplot.close(figure)
