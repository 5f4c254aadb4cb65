"""Views of JSON files as Markdown, for the blocks that tools/write_figures.py writes.

A view takes the JSON's content and the block's options as text, and gives Markdown. To add one, write such a function
and name it in ``VIEWS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sparse_s4r.evaluation.rooms_table import MEASURES
from tools.tables.document import markdown

# Headings that stand alone better than those of the full tables.
_HEADINGS = {measure.key: measure.title for measure in MEASURES} | {
    "iou": "IoU, 1 voxel",
    "recall_3": "recall",
    "precision_3": "precision",
    "new_recall_3": "recall of surface not in the input",
    "new_precision_3": "precision of what is added",
    "color_new": "completed",
}
# Measures that are shares are shown in percent, others as they are.
_SHARES = ("iou", "recall", "precision", "new_", "miou", "macc", "accuracy", "f_")


def rooms(content: Mapping[str, Any], against: str, measures: str, methods: str = "", pooled: str = "no") -> str:
    """Rows of ``tools/evaluate_rooms.py``: means over scenes with their intervals.

    Args:
        content: Its JSON.
        against: "target", the scan of all frames, or "truth".
        measures: Keys, with commas.
        methods: Rows, with commas and _ for blanks; all if empty.
        pooled: "yes" for figures of all voxels together.
    """
    keys = measures.split(",")
    wanted = methods.replace("_", " ").split(",") if methods else [row["method"] for row in content["rows"]]
    by_name = {row["method"]: row for row in content["rows"]}
    lines = [["", *(_HEADINGS[key] for key in keys)]]
    for name in wanted:
        figures = by_name[name][against]
        lines.append([name, *(_cell(key, figures[key], pooled == "yes") for key in keys)])
    return _grid(lines)


def class_iou(content: Mapping[str, Any], against: str) -> str:
    """IoU per class over all voxels of all scenes, of the rows of ``tools/evaluate_rooms.py`` that have labels.

    Args:
        content: Its JSON.
        against: "target" or "truth".
    """
    lines = [["", *content["class_names"]]]
    for row in content["rows"]:
        if values := row[f"{against}_class_iou"]:
            lines.append([row["method"], *("-" if value is None else f"{value:.1%}" for value in values)])
    return _grid(lines)


def curves(content: Mapping[str, Any], heading: str) -> str:
    """Points of ``tools/plot_sensitivity.py``: a line per value of the parameter, means over scenes.

    Args:
        content: Its JSON.
        heading: Of the parameter's column, _ for blanks.
    """
    measures: Mapping[str, Sequence[Mapping[str, float]]] = content["curves"]
    values = sorted({point["value"] for points in measures.values() for point in points})
    lines = [[heading.replace("_", " "), *(_HEADINGS[key] for key in measures)]]
    for value in values:
        found = [next((p["mean"] for p in points if p["value"] == value), None) for points in measures.values()]
        lines.append([f"{value:g}", *(_shown(key, mean) for key, mean in zip(measures, found, strict=True))])
    return _grid(lines)


def table(content: Mapping[str, Any], heading: str = "no") -> str:
    """A table of ``tools/reproduce_tables.py``.

    Args:
        content: Its JSON.
        heading: "yes" for a heading with its number and title.
    """
    text = markdown(content)
    return f"### Table {content['table']}. {content['title']}\n\n{text}" if heading == "yes" else text


def _cell(key: str, figure: Mapping[str, float | None], pooled: bool) -> str:
    if not figure["scenes"]:
        return "-"
    if pooled:
        return _shown(key, figure["pooled"])
    mean, low, high = (_shown(key, figure[name]) for name in ("mean", "low", "high"))
    # The interval of one scene, or of equal ones, says nothing.
    return mean if low == mean == high else f"{mean} ({low} to {high})"


def _shown(key: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1%}" if key.startswith(_SHARES) else f"{value:.3f}"


def _grid(lines: Sequence[Sequence[str]]) -> str:
    rows = ["| " + " | ".join(line) + " |" for line in lines]
    # An empty first heading, as in the tables that people write.
    return "\n".join([rows[0].replace("|  |", "| |", 1), "|" + "---|" * len(lines[0]), *rows[1:]])


VIEWS: dict[str, Callable[..., str]] = {"rooms": rooms, "class_iou": class_iou, "curves": curves, "table": table}
