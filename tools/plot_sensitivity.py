"""How figures change with a parameter: results of tools/evaluate_rooms.py, one file per value, as a JSON and a plot.

Example: python tools/plot_sensitivity.py --parameter "keep probability" --point 0.3=a.json --point 0.5=b.json \\
    --method prediction --measures new_recall_3 new_precision_3 --out keep-probability
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from sparse_s4r.evaluation.rooms_table import MEASURES
from sparse_s4r.structures.errors import UserError

_TITLES = {measure.key: measure.title for measure in MEASURES}


@dataclass(frozen=True)
class Point:
    """A measure at one value of the parameter.

    Attributes:
        value: Of the parameter.
        mean: Over scenes.
        low: Lower end of its 95 % interval.
        high: Upper end.
        scenes: Number of scenes.
    """

    value: float
    mean: float
    low: float
    high: float
    scenes: int


Curves = dict[str, list[Point]]


def read_curves(points: Mapping[float, tuple[Path, str]], measures: Sequence[str], reference: str) -> Curves:
    """Points of each measure by rising value; those that a file does not define are left out.

    Args:
        points: Value of the parameter, the JSON of tools/evaluate_rooms.py made with it, and the row that is read.
        measures: Keys of ``MEASURES``.
        reference: "target" or "truth".

    Raises:
        UserError: A missing file, row or measure.
    """
    curves: Curves = {measure: [] for measure in measures}
    for value, (path, method) in sorted(points.items()):
        if not path.is_file():
            raise UserError(f"{path}: expected results of tools/evaluate_rooms.py, found none")
        rows = {row["method"]: row for row in json.loads(path.read_text(encoding="utf-8"))["rows"]}
        if method not in rows:
            raise UserError(f"{path}: expected a row {method}, got {list(rows)}; name one with --method")
        figures = rows[method][reference]
        for measure in measures:
            if measure not in figures:
                raise UserError(f"{path}: expected the measure {measure}, got {list(figures)}; see --measures")
            figure = figures[measure]
            if figure["scenes"]:
                curves[measure].append(Point(value, figure["mean"], figure["low"], figure["high"], figure["scenes"]))
    return curves


def plot_curves(curves: Curves, parameter: str, file: Path) -> None:
    """Write a picture: a line per measure with the intervals as bars; shares are from 0 to 1."""
    figure, axis = pyplot.subplots(figsize=(5.6, 3.6), layout="constrained")
    for measure, points in curves.items():
        means = [point.mean for point in points]
        below = [point.mean - point.low for point in points]
        above = [point.high - point.mean for point in points]
        values = [point.value for point in points]
        axis.errorbar(values, means, yerr=[below, above], marker="o", ms=4, lw=1.2, capsize=2, label=_TITLES[measure])
    axis.set_xlabel(parameter)
    highest = max((point.high for points in curves.values() for point in points), default=1.0)
    axis.set_ylim(0, 1 if highest > 0.5 else math.ceil(highest * 20 + 1) / 20)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    figure.savefig(file, dpi=110)
    pyplot.close(figure)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read, and write ``OUT.json`` and ``OUT.png``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parameter", required=True, help="what changes, with its unit")
    parser.add_argument("--point", action="append", required=True, metavar="VALUE=FILE[#ROW]", help="value and results")
    parser.add_argument("--method", default="prediction", help="row that is read where a point names none")
    parser.add_argument("--reference", choices=("target", "truth"), default="target")
    parser.add_argument("--measures", nargs="+", choices=list(_TITLES), metavar="KEY", default=["iou_3", "miou"])
    parser.add_argument("--out", type=Path, required=True, help="OUT.json and OUT.png are written")
    given = parser.parse_args(arguments)
    curves = read_curves(_points(given.point, given.method), given.measures, given.reference)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "parameter": given.parameter,
        "reference": given.reference,
        "curves": {measure: [asdict(point) for point in points] for measure, points in curves.items()},
    }
    given.out.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    plot_curves(curves, given.parameter, given.out.with_suffix(".png"))
    print(f"wrote {given.out}.json and {given.out}.png")


def _points(texts: Sequence[str], method: str) -> dict[float, tuple[Path, str]]:
    points: dict[float, tuple[Path, str]] = {}
    for text in texts:
        value, equals, path = text.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not equals or not path or not math.isfinite(number):
            raise UserError(f"--point {text}: expected VALUE=FILE with a number")
        if number in points:
            raise UserError(f"--point {text}: expected every value once")
        file, _, row = path.partition("#")
        points[number] = Path(file), row or method
    return points


if __name__ == "__main__":
    main()
