"""Predictions of many scenes beside the input, the scan of all frames and lifted labels: Markdown and JSON.

Predict every scene into a folder of its name first:

    for scene in scenes/*; do s4r predict $scene --checkpoint C --out predictions/$(basename $scene); done
    python tools/evaluate_rooms.py scenes/* --predictions predictions --out results/rooms --jobs 4

Scores of every finished scene are kept in OUT-scenes. The same command goes on where it was stopped; a scene is scored
anew if one of its files or of its predictions has changed.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import track

from sparse_s4r.data.scene_format import open_scene
from sparse_s4r.evaluation.rooms import Method, SceneScores
from sparse_s4r.evaluation.rooms_run import score_scenes
from sparse_s4r.evaluation.rooms_table import MEASURES, Figure, Row, make_rows, markdown
from sparse_s4r.evaluation.score_files import to_json
from sparse_s4r.evaluation.voxel_scores import VoxelScores
from sparse_s4r.structures.errors import UserError


def main(arguments: Sequence[str] | None = None) -> None:
    """Evaluate, and write ``OUT.md`` and ``OUT.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="+", type=Path, help="scene folders")
    parser.add_argument("--predictions", type=Path, help="folder with one prediction per scene: the row 'prediction'")
    parser.add_argument("--method", action="append", default=[], metavar="NAME=DIR", help="more such folders")
    parser.add_argument("--label-set", help="labels that are lifted; default: the scenes' own")
    parser.add_argument("--out", type=Path, required=True, help="OUT.md and OUT.json are written")
    parser.add_argument("--jobs", type=int, default=1, help="scenes that are scored at once, each in its own process")
    parser.add_argument("--seed", type=int, default=0, help="of the intervals")
    given = parser.parse_args(arguments)
    methods = [Method("prediction", given.predictions)] if given.predictions else []
    for text in given.method:
        name, equals, folder = text.partition("=")
        if not (name and equals and folder):
            raise UserError(f"--method {text}: expected NAME=DIR")
        methods.append(Method(name, Path(folder)))
    console, kept = Console(), given.out.parent / f"{given.out.name}-scenes"
    found: dict[Path, tuple[SceneScores, ...]] = {}
    scored = score_scenes(given.scenes, methods, kept, given.label_set, given.jobs)
    for folder, own in track(scored, "scenes", total=len(given.scenes), console=console):
        found[folder] = own
    # In the order given, whichever was finished first.
    scores = [score for folder in given.scenes for score in found[folder]]
    names: tuple[str, ...] = ()
    for folder in given.scenes:
        scene = open_scene(folder)
        names = scene.class_names_of(given.label_set) or scene.class_names or names
    rows = make_rows(scores, given.seed)
    text = document(rows, names, len(given.scenes))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.with_suffix(".md").write_text(text, encoding="utf-8")
    content = record(rows, scores, names)
    given.out.with_suffix(".json").write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    console.print(text, markup=False, soft_wrap=True)


def document(rows: Sequence[Row], class_names: Sequence[str], scenes: int) -> str:
    """The tables as Markdown."""
    return (
        f"## Means over {scenes} scenes, with 95 % intervals over scenes\n\n{markdown(rows)}\n"
        f"## All voxels of all scenes together\n\n{markdown(rows, class_names, pooled=True)}"
    )


def record(rows: Sequence[Row], scores: Sequence[SceneScores], class_names: Sequence[str]) -> dict[str, object]:
    """Everything as JSON: rows, and every scene with its counts; null for what is not defined."""
    return {
        "class_names": list(class_names),
        "rows": [
            {
                "method": row.method,
                "target": _named(row.target),
                "truth": _named(row.truth),
                "target_class_iou": [_finite(value) for value in row.target_class_iou],
                "truth_class_iou": [_finite(value) for value in row.truth_class_iou],
            }
            for row in rows
        ],
        "scenes": [
            {
                "scene": score.scene,
                "method": score.method,
                "target": _scores(score.target),
                "truth": None if score.truth is None else _scores(score.truth),
            }
            for score in scores
        ],
    }


def _named(figures: Sequence[Figure]) -> dict[str, dict[str, float | None]]:
    return {
        measure.key: {key: _finite(value) for key, value in asdict(figure).items()}
        for measure, figure in zip(MEASURES, figures, strict=False)
    }


def _scores(scores: VoxelScores) -> dict[str, object]:
    return {
        "measures": {measure.key: _finite(measure.value(scores)) for measure in MEASURES},
        "narrow": asdict(scores.narrow),
        "wide": asdict(scores.wide),
        "confusion": None if scores.labels is None else scores.labels.counts.tolist(),
        "distances": None if scores.distances is None else asdict(scores.distances),
        "chamfer": None if scores.chamfer is None else to_json(scores.chamfer),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


if __name__ == "__main__":
    main()
