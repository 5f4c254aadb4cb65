"""Reliability diagrams: what is said to be so probable, and how often it is so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from sparse_s4r.evaluation.calibration import Reliability


@dataclass(frozen=True)
class Diagram:
    """One probability, before and after its calibration."""

    what: str
    before: Reliability
    after: Reliability


def plot_calibration(diagrams: Sequence[Diagram], file: Path) -> None:
    """Write a PNG with a diagram per entry: frequency against probability in bins, and the share of voxels in each."""
    figure, axes = pyplot.subplots(1, len(diagrams), figsize=(4.6 * len(diagrams), 4.6), layout="constrained")
    for axis, diagram in zip([axes] if len(diagrams) == 1 else axes, diagrams, strict=True):
        axis.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--")
        for name, bins, color in (("before", diagram.before, "#c9692b"), ("after", diagram.after, "#2459a8")):
            counts, edges = bins.counts.numpy(), bins.edges.numpy()
            filled = counts > 0
            line = bins.confidence.numpy()[filled], bins.accuracy.numpy()[filled]
            axis.plot(*line, "o-", color=color, markersize=4, label=f"{name}, ECE {bins.ece:.3f}")
            share = counts / counts.sum()
            axis.bar(edges[:-1], share, width=edges[1:] - edges[:-1], align="edge", color=color, alpha=0.18)
        axis.set(xlim=(0, 1), ylim=(0, 1), title=diagram.what, xlabel="probability", ylabel="how often right")
        axis.set_aspect("equal")
        axis.legend(loc="upper left")
    figure.savefig(file, dpi=120)
    pyplot.close(figure)
