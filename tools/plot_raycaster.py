"""Rays per second against the size of the image and that of the scene, as a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from tools.bench_renderers import Record

_LABELS = {
    "numba": ("ours", "C0"),
    "torch": ("ours, torch reference", "C1"),
    "open3d": ("Open3D ray_cast, 8³ blocks", "C2"),
    "open3d-16": ("Open3D ray_cast, 16³ blocks", "C3"),
}


def plot_rates(records: Sequence[Record], file: Path) -> None:
    """Write a PNG of two panels: millions of rays per second against pixels and against voxels, axes logarithmic.

    The first record tells which scene, image and number of classes the panels share.
    """
    base = records[0]
    rows = [one for one in records if one.direction != "prepare" and one.channels == base.channels]
    figure, (images, scenes) = pyplot.subplots(1, 2, figsize=(12, 5.5), layout="constrained", sharey=True)
    same_scene = [one for one in rows if one.voxels == base.voxels]
    _panel(images, same_scene, lambda one: one.width * one.height, f"pixels, in {base.voxels:,} voxels")
    same_image = [one for one in rows if (one.width, one.height) == (base.width, base.height)]
    _panel(scenes, same_image, lambda one: one.voxels, f"voxels, at {base.width}x{base.height}")
    images.set_ylabel("million rays per second")
    for axis in (images, scenes):
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        for along in (axis.xaxis, axis.yaxis):
            along.set_major_formatter(FuncFormatter(_number))
            along.set_minor_formatter(NullFormatter())
    lines = {line.get_label(): line for line in [*images.get_lines(), *scenes.get_lines()]}
    figure.legend(lines.values(), [str(label) for label in lines], loc="outside lower center", ncols=3)
    figure.suptitle(f"depth, normal, colour and {base.channels} logits (Open3D: no logits)")
    figure.savefig(file, dpi=110)
    pyplot.close(figure)


def _panel(axis: Axes, rows: Sequence[Record], size: Callable[[Record], int], title: str) -> None:
    for name, direction in dict.fromkeys((one.renderer, one.direction) for one in rows):
        mine = sorted((one for one in rows if (one.renderer, one.direction) == (name, direction)), key=size)
        if len(mine) < 2:
            continue
        rates = [one.width * one.height / one.median_ms / 1e3 for one in mine]
        label, color = _LABELS.get(name, (name, "C4"))
        dashes = "--" if direction == "backward" else "-"
        axis.plot([size(one) for one in mine], rates, f"o{dashes}", color=color, label=f"{label}, {direction}")
    axis.set(xlabel=title, xscale="log", yscale="log")
    axis.grid(True, which="both", alpha=0.3)


def _number(value: float, _: object) -> str:
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.10g} {letter}"
    return f"{value:.10g}"
