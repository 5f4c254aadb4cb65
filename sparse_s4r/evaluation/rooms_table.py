"""Scores of many scenes as a table: means over scenes with intervals, and figures of all voxels together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from sparse_s4r.evaluation.rooms import SceneScores
from sparse_s4r.evaluation.surface import ErrorSum
from sparse_s4r.evaluation.voxel_scores import VoxelScores

_DRAWS = 2000


@dataclass(frozen=True)
class Measure:
    """One figure of a table.

    Attributes:
        key: Its name in JSON, after ``target_`` or ``truth_``.
        title: Its heading.
        value: Takes it from scores.
        group: The table it stands in, "" for the first.
    """

    key: str
    title: str
    value: Callable[[VoxelScores], float]
    group: str = ""


def _distance(name: str, title: str) -> Measure:
    def value(scores: VoxelScores) -> float:
        error: ErrorSum | None = None if scores.distances is None else getattr(scores.distances, name)
        return math.nan if error is None else error.mean

    return Measure(f"l1_{name}", title, value, "distance errors, voxels")


def _chamfer(key: str, title: str, name: str) -> Measure:
    def value(scores: VoxelScores) -> float:
        return math.nan if scores.chamfer is None else float(getattr(scores.chamfer, name))

    return Measure(key, title, value, "distances between surfaces, metres")


MEASURES = (
    Measure("iou", "IoU", lambda s: s.narrow.iou),
    Measure("recall", "recall", lambda s: s.narrow.recall),
    Measure("precision", "precision", lambda s: s.narrow.precision),
    Measure("iou_3", "IoU, 3 voxels", lambda s: s.wide.iou),
    Measure("recall_3", "recall, 3 voxels", lambda s: s.wide.recall),
    Measure("precision_3", "precision, 3 voxels", lambda s: s.wide.precision),
    Measure("new_recall", "new: recall", lambda s: s.narrow.missing_recall),
    Measure("new_precision", "new: precision", lambda s: s.narrow.completed_precision),
    Measure("new_precision_near", "new: precision within a voxel", lambda s: s.narrow.completed_precision_near),
    Measure("new_recall_3", "new: recall, 3 voxels", lambda s: s.wide.missing_recall),
    Measure("new_precision_3", "new: precision, 3 voxels", lambda s: s.wide.completed_precision),
    Measure("miou", "mIoU", lambda s: math.nan if s.labels is None else s.labels.mean_iou),
    Measure("macc", "mAcc", lambda s: math.nan if s.labels is None else s.labels.mean_accuracy),
    Measure("accuracy", "accuracy", lambda s: math.nan if s.labels is None else s.labels.accuracy),
    Measure("color_seen", "colour error, seen", lambda s: s.color_seen.mean),
    Measure("color_new", "colour error, new", lambda s: s.color_completed.mean),
    _distance("entire", "entire volume"),
    _distance("entire_everywhere", "entire, everywhere"),
    _distance("unobserved", "unobserved"),
    _distance("unobserved_everywhere", "unobserved, everywhere"),
    _distance("predicted", "predicted surface"),
    _distance("predicted_3", "predicted, 3 voxels"),
    _distance("predicted_everywhere", "predicted, everywhere"),
    _distance("predicted_3_everywhere", "predicted, 3 voxels, everywhere"),
    _distance("target", "target surface"),
    _distance("target_3", "target, 3 voxels"),
    _distance("target_behind", "target, missing = -3"),
    _distance("target_3_behind", "target, 3 voxels, missing = -3"),
    _chamfer("surface_accuracy", "accuracy", "accuracy"),
    _chamfer("surface_completeness", "completeness", "completeness"),
    _chamfer("chamfer", "Chamfer", "chamfer"),
    _chamfer("f_2cm", "F at 2 cm (a share)", "f_strict"),
    _chamfer("f_5cm", "F at 5 cm (a share)", "f_loose"),
    _chamfer("chamfer_points", "Chamfer, 30,000 points", "chamfer_points"),
)


@dataclass(frozen=True)
class Figure:
    """A measure of a method over scenes; NaN where no scene has it.

    Attributes:
        mean: Mean over the scenes that have it.
        low: Lower end of the 95 % interval of that mean, from drawing scenes with replacement.
        high: Upper end.
        pooled: Of all voxels of all scenes together.
        scenes: Number of scenes that have it.
    """

    mean: float
    low: float
    high: float
    pooled: float
    scenes: int


@dataclass(frozen=True)
class Row:
    """A method: its figures, one per ``MEASURES``, against the scan of all frames and against the true surface.

    Attributes:
        method: Name.
        target: Against the scan of all frames.
        truth: Against the true surface; empty unless it is known for every scene.
        target_class_iou: Pooled IoU per class against the scan of all frames; empty without labels.
        truth_class_iou: The same against the true surface.
    """

    method: str
    target: tuple[Figure, ...]
    truth: tuple[Figure, ...]
    target_class_iou: tuple[float, ...]
    truth_class_iou: tuple[float, ...]


def make_rows(scores: Sequence[SceneScores], seed: int = 0) -> tuple[Row, ...]:
    """One row per method, in the order in which they come.

    Args:
        scores: Of every method on every scene.
        seed: Of the intervals.
    """
    rows = []
    for method in dict.fromkeys(score.method for score in scores):
        own = [score for score in scores if score.method == method]
        target = [score.target for score in own]
        truth = [score.truth for score in own if score.truth is not None]
        if len(truth) < len(own):
            truth = []
        rows.append(Row(method, _figures(target, seed), _figures(truth, seed), _class_iou(target), _class_iou(truth)))
    return tuple(rows)


def interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """95 % percentile interval of the mean of ``values``, drawing as many of them with replacement 2000 times."""
    if not values:
        return math.nan, math.nan
    chosen = np.random.default_rng(seed).integers(0, len(values), (_DRAWS, len(values)))
    low, high = np.quantile(np.asarray(values)[chosen].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def markdown(rows: Sequence[Row], class_names: Sequence[str] = (), pooled: bool = False) -> str:
    """Tables for people: per reference the measures, means over scenes with intervals or pooled, and class IoU."""
    parts = []
    for which, title in (("target", "Against the scan of all frames"), ("truth", "Against the true surface")):
        figures = [(row.method, row.target if which == "target" else row.truth) for row in rows]
        if not any(values for _, values in figures):
            continue
        for group in dict.fromkeys(measure.group for measure in MEASURES):
            # Measures that no method has would be columns of dashes.
            used = [i for i, measure in enumerate(MEASURES) if measure.group == group and _occurs(i, figures)]
            if used:
                header = ("", *(MEASURES[i].title for i in used))
                body = [(name, *(_cell(f[i], pooled) for i in used)) for name, f in figures if f]
                parts.append((f"#### {title}: {group}" if group else f"### {title}") + f"\n\n{_table([header, *body])}")
        classes = [(r.method, r.target_class_iou if which == "target" else r.truth_class_iou) for r in rows]
        known = [(name, values) for name, values in classes if len(values) == len(class_names) > 0]
        if known:
            lines = [(name, *("-" if math.isnan(v) else f"{v:.1%}" for v in values)) for name, values in known]
            parts.append(f"#### {title}: IoU per class, all scenes together\n\n" + _table([("", *class_names), *lines]))
    return "\n\n".join(parts) + "\n"


def _occurs(measure: int, figures: Sequence[tuple[str, tuple[Figure, ...]]]) -> bool:
    return any(values[measure].scenes > 0 for _, values in figures if values)


def _figures(scores: Sequence[VoxelScores], seed: int) -> tuple[Figure, ...]:
    if not scores:
        return ()
    whole = reduce(add, scores)
    figures = []
    for measure in MEASURES:
        known = [value for value in map(measure.value, scores) if not math.isnan(value)]
        mean = sum(known) / len(known) if known else math.nan
        figures.append(Figure(mean, *interval(known, seed), measure.value(whole), len(known)))
    return tuple(figures)


def _class_iou(scores: Sequence[VoxelScores]) -> tuple[float, ...]:
    whole = reduce(add, scores).labels if scores else None
    return () if whole is None else whole.class_iou


def _cell(figure: Figure, pooled: bool) -> str:
    if figure.scenes == 0:
        return "-"
    if pooled:
        return f"{figure.pooled:.3f}"
    return f"{figure.mean:.3f} ({figure.low:.3f} to {figure.high:.3f})"


def _table(lines: Sequence[Sequence[str]]) -> str:
    rule = "|" + "|".join("---" for _ in lines[0]) + "|"
    rows = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([rows[0], rule, *rows[1:]])
