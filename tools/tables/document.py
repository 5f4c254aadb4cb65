"""A table's figures as JSON, and that JSON as Markdown: ours beside the paper's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sparse_s4r.evaluation.rooms import SceneScores
from sparse_s4r.evaluation.rooms_table import Figure, Row, make_rows
from tools.tables.measures import MEASURE_KEYS
from tools.tables.plan import Plan
from tools.tables.rows import REPOSITORY, Table, TableRow
from tools.trainings import steps_and_seconds

Scored = tuple[str, str, SceneScores]
_PAPER_DATA = ("matterport3d", "scannet")


def record(
    plan: Plan, number: int, scored: Iterable[Scored], reasons: Mapping[str, str], class_names: Sequence[str]
) -> dict[str, Any]:
    """Everything of a table as JSON knows it; null for what is not defined.

    Args:
        plan: The run.
        number: The table.
        scored: Method, protocol and scores of every scene.
        reasons: Why methods have no figures.
        class_names: Of the labels.
    """
    table, choices = plan.table_set.tables[number], plan.choices
    by_method: dict[str, dict[str, list[SceneScores]]] = {}
    for name, protocol, scores in scored:
        by_method.setdefault(name, {}).setdefault(protocol, []).append(scores)
    rows = [_row(plan, table, row, by_method.get(row.method, {}), reasons) for row in table.rows]
    return {
        "table": number,
        "title": table.title,
        "dataset": choices.dataset,
        "dataset_title": plan.dataset.title,
        "columns": dict(table.columns),
        "paper_columns": dict(table.paper_columns),
        "class_names": list(class_names),
        "train_scenes": [scene.name for scene in plan.train],
        "test_scenes": [scene.name for scene in plan.test],
        "seed": choices.seed,
        "settings": list(choices.settings),
        "label_set": choices.label_set,
        "rows": rows,
    }


def _row(
    plan: Plan, table: Table, row: TableRow, scores: Mapping[str, Sequence[SceneScores]], reasons: Mapping[str, str]
) -> dict[str, Any]:
    method = plan.method(row.method)
    made = {protocol: make_rows(list(found), plan.choices.seed)[0] for protocol, found in scores.items()}
    trained = method.kind == "train" and not reasons.get(row.method)
    steps, seconds = steps_and_seconds(plan.folder(row.method)) if trained else (0, 0.0)
    return {
        "method": row.method,
        "title": method.title,
        "kind": method.kind,
        "note": method.note,
        "config": method.config,
        "settings": plan.settings(row.method) if trained else [],
        # Paths of this machine tell others nothing.
        "reason": reasons.get(row.method, "").replace(f"{REPOSITORY}/", ""),
        "steps": steps,
        "seconds": round(seconds, 1),
        "figures": _figures(table, made, "target"),
        "truth": _figures(table, made, "truth"),
        "class_iou": {protocol: [_finite(v) for v in found.target_class_iou] for protocol, found in made.items()},
        "paper": {data: dict(zip(table.columns, figures, strict=True)) for data, figures in row.paper.items()},
    }


def _figures(table: Table, made: Mapping[str, Row], which: str) -> dict[str, dict[str, float | None]]:
    result = {}
    for column in table.columns:
        protocol, _, measure = column.partition(".")
        if protocol not in made:
            continue
        figures: tuple[Figure, ...] = made[protocol].target if which == "target" else made[protocol].truth
        if figures:
            figure = figures[MEASURE_KEYS.index(measure)]
            result[column] = {key: _finite(value) for key, value in asdict(figure).items()}
    return result


def markdown(content: Mapping[str, Any]) -> str:
    """A table's JSON for people, without a heading: figures in percent, means over scenes with 95 % intervals."""
    paper = [data for data in _PAPER_DATA if any(_has_paper(row, data) for row in content["rows"])]
    columns: Mapping[str, str] = content["columns"]
    header = ["", *columns.values(), "steps", "hours"]
    for data in paper:
        titles = dict(columns) | content["paper_columns"]
        used = _used(content["rows"], data, columns)
        header += [f"paper, {_title(data)}: {titles[column]}" for column in used]
    lines = [header]
    for row in content["rows"]:
        figures = [_cell(row["figures"].get(column)) for column in columns]
        cost = [f"{row['steps']:,}", f"{row['seconds'] / 3600:.1f}"] if row["steps"] else ["-", "-"]
        given = [
            _percent(row["paper"].get(data, {}).get(column))
            for data in paper
            for column in _used(content["rows"], data, columns)
        ]
        lines.append([row["title"], *figures, *cost, *given])
    parts = [_intro(content), _grid(lines)]
    truth = [row for row in content["rows"] if row["truth"]]
    if truth:
        known = [column for column in columns if any(column in row["truth"] for row in truth)]
        body = [[row["title"], *(_cell(row["truth"].get(column)) for column in known)] for row in truth]
        parts.append("Against the true surface, everywhere:")
        parts.append(_grid([["", *(columns[column] for column in known)], *body]))
    notes = [f"- {row['title']}: {text}" for row in content["rows"] for text in (row["reason"], row["note"]) if text]
    if notes:
        parts.append("\n".join(notes))
    return "\n\n".join(parts) + "\n"


def _intro(content: Mapping[str, Any]) -> str:
    train, test = len(content["train_scenes"]), len(content["test_scenes"])
    paper = ""
    if any(_has_paper(row, data) for row in content["rows"] for data in _PAPER_DATA):
        paper = " The paper's figures are of its own networks, budget and data, not of these scenes."
    return (
        f"{content['dataset_title']}: trained on {train} scene{'s' * (train != 1)}, judged on {test}, seed "
        f"{content['seed']}. Means over scenes in percent, 95 % intervals over scenes.{paper}"
    )


def _has_paper(row: Mapping[str, Any], data: str) -> bool:
    return any(value is not None for value in row["paper"].get(data, {}).values())


def _used(rows: Sequence[Mapping[str, Any]], data: str, columns: Mapping[str, str]) -> list[str]:
    """Columns for which the paper has a figure of some row."""
    return [column for column in columns if any(row["paper"].get(data, {}).get(column) is not None for row in rows)]


def _title(data: str) -> str:
    return {"matterport3d": "Matterport3D", "scannet": "ScanNet"}[data]


def _cell(figure: Mapping[str, float | None] | None) -> str:
    if figure is None or figure["mean"] is None or figure["low"] is None or figure["high"] is None:
        return "-"
    mean, low, high = 100 * figure["mean"], 100 * figure["low"], 100 * figure["high"]
    return f"{mean:.1f} ({low:.1f} to {high:.1f})" if (figure["scenes"] or 0) > 1 else f"{mean:.1f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _grid(lines: Sequence[Sequence[str]]) -> str:
    rows = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([rows[0], "|" + "---|" * len(lines[0]), *rows[1:]])


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
