"""Depth errors of one frame, a picture per renderer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.image import AxesImage
from torch import Tensor

# Errors beyond this look alike, millimetres.
_LARGEST = 20.0
_COLUMNS = 3
# Colours of what has no error: grey where neither sees anything, black where only the judge does, green where only
# the renderer does.
_NEITHER, _MISSED, _EXTRA = "#bdbdbd", "#000000", "#1b9e3a"


@dataclass(frozen=True)
class FrameErrors:
    """One frame as everyone sees it.

    Attributes:
        name: Of the frame.
        color: (H, W, 3) float RGB.
        truth: (H, W) depth of the judge in metres, 0 for no hit.
        depths: (H, W) depth by renderer.
    """

    name: str
    color: Tensor
    truth: Tensor
    depths: dict[str, Tensor]


def plot_errors(frame: FrameErrors, file: Path) -> None:
    """Write a PNG: the frame, then for each renderer its depth minus the judge's."""
    count = 1 + len(frame.depths)
    rows = math.ceil(count / _COLUMNS)
    height = 3.4 * frame.truth.shape[0] / frame.truth.shape[1] * 1.5
    figure, axes = pyplot.subplots(rows, _COLUMNS, figsize=(15, height * rows), layout="constrained", squeeze=False)
    cells = axes.ravel()
    for cell in cells:
        cell.axis("off")
    cells[0].imshow(frame.color.numpy())
    cells[0].set_title(f"frame {frame.name}")
    shown = [_show(cells[1 + i], name, depth, frame.truth) for i, (name, depth) in enumerate(frame.depths.items())]
    figure.colorbar(shown[0], ax=axes, label="depth minus mesh ray cast, mm", shrink=0.8, extend="both")
    legend = "grey: neither sees anything    black: missed    green: seen, but no mesh there"
    figure.supxlabel(legend, fontsize=11)
    figure.savefig(file, dpi=75)
    pyplot.close(figure)


def _show(cell: Axes, name: str, depth: Tensor, truth: Tensor) -> AxesImage:
    hit, known = (depth > 0).numpy(), (truth > 0).numpy()
    error = np.where(hit & known, 1e3 * (depth.double() - truth.double()).numpy(), np.nan)
    kind = np.select([hit & known, hit, known], [np.nan, 2.0, 1.0], 0.0)
    cell.imshow(kind, cmap=ListedColormap([_NEITHER, _MISSED, _EXTRA]), vmin=0, vmax=2, interpolation="nearest")
    shown = cell.imshow(error, cmap="RdBu_r", vmin=-_LARGEST, vmax=_LARGEST, interpolation="nearest")
    missed = (known & ~hit).sum() / max(known.sum(), 1)
    cell.set_title(f"{name}\nmedian |error| {np.nanmedian(np.abs(error)):.2f} mm, missed {100 * missed:.1f}%")
    return shown
