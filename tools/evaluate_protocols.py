"""Labels in the protocols part-to-part, full-to-full and partial-to-full over many scenes: Markdown and JSON.

Predict every scene from either scan into a folder of its name first:

    for scene in scenes/*; do
        s4r predict $scene --out part/$(basename $scene)
        s4r predict $scene --scan target --out full/$(basename $scene)
    done
    python tools/evaluate_protocols.py scenes/* --part part --full full --out results/protocols
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from functools import reduce
from operator import add
from pathlib import Path

from rich.console import Console
from rich.progress import track

from sparse_s4r.data.scene_format import ScanName, open_scene
from sparse_s4r.evaluation.labels import VoxelConfusion
from sparse_s4r.evaluation.rooms import Method
from sparse_s4r.evaluation.rooms_table import interval
from sparse_s4r.evaluation.segmentation_protocols import ProtocolScores, score_protocols
from sparse_s4r.structures.errors import DataError

# What a table holds: a missing voxel is wrong, or takes no part; surface below one voxel, or below three.
_VARIANTS: tuple[tuple[str, str, Callable[[ProtocolScores], VoxelConfusion]], ...] = (
    ("below_1", "below one voxel, missing is wrong", lambda s: s.narrow),
    ("below_1_labelled", "below one voxel, labelled voxels only", lambda s: s.narrow.without_missing()),
    ("below_3", "below three voxels, missing is wrong", lambda s: s.wide),
    ("below_3_labelled", "below three voxels, labelled voxels only", lambda s: s.wide.without_missing()),
)
_FIGURES: tuple[tuple[str, str, Callable[[VoxelConfusion], float]], ...] = (
    ("miou", "mIoU", lambda c: c.mean_iou),
    ("macc", "mAcc", lambda c: c.mean_accuracy),
    ("accuracy", "accuracy", lambda c: c.accuracy),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Evaluate, and write ``OUT.md`` and ``OUT.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="+", type=Path, help="scene folders, all with the same classes")
    parser.add_argument("--part", type=Path, help="folder with one prediction of the input scan per scene")
    parser.add_argument("--full", type=Path, help="folder with one prediction of the target scan per scene")
    parser.add_argument("--label-set", help="labels that are lifted; default: the scenes' own")
    parser.add_argument("--out", type=Path, required=True, help="OUT.md and OUT.json are written")
    parser.add_argument("--seed", type=int, default=0, help="of the intervals")
    given = parser.parse_args(arguments)
    console, names = Console(), open_scene(given.scenes[0]).class_names or ()
    scores: list[ProtocolScores] = []
    for folder in track(given.scenes, "scenes", console=console):
        scene = open_scene(folder)
        if (scene.class_names or ()) != names:
            raise DataError(f"{folder}: expected the classes of {given.scenes[0]}, {list(names)}, got others")
        roots: dict[ScanName, Path | None] = {"input": given.part, "target": given.full}
        folders = {which: Method(which, root).folder(scene) for which, root in roots.items() if root is not None}
        scores.extend(score_protocols(scene, folders, given.label_set))
    text, content = document(scores, names, given.seed), record(scores, names, given.seed)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.with_suffix(".md").write_text(text, encoding="utf-8")
    given.out.with_suffix(".json").write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    console.print(text, markup=False, soft_wrap=True)


def record(scores: Sequence[ProtocolScores], class_names: Sequence[str], seed: int = 0) -> dict[str, object]:
    """All figures, means over scenes with intervals and pooled, and every scene's counts; null for undefined."""
    rows = []
    for (protocol, method), own in _groups(scores).items():
        for key, _, variant in _VARIANTS:
            each = [variant(score) for score in own]
            whole = reduce(add, each)
            figures = {}
            for name, _, value in _FIGURES:
                known = [found for found in map(value, each) if not math.isnan(found)]
                low, high = interval(known, seed)
                mean = sum(known) / len(known) if known else math.nan
                figure = {"mean": mean, "low": low, "high": high, "pooled": value(whole)}
                figures[name] = {part: _finite(number) for part, number in figure.items()}
            classes = {"class_iou": whole.class_iou, "class_accuracy": whole.class_accuracy}
            per_class = {name: [_finite(value) for value in values] for name, values in classes.items()}
            rows.append({"protocol": protocol, "method": method, "variant": key, **figures, **per_class})
    scenes = [
        {
            "scene": score.scene,
            "protocol": score.protocol,
            "method": score.method,
            "below_1": score.narrow.counts.tolist(),
            "below_3": score.wide.counts.tolist(),
        }
        for score in scores
    ]
    return {"class_names": list(class_names), "rows": rows, "scenes": scenes}


def document(scores: Sequence[ProtocolScores], class_names: Sequence[str], seed: int = 0) -> str:
    """The same as Markdown: per variant a table of means over scenes and of pooled figures, and IoU per class."""
    parts = []
    for _, title, variant in _VARIANTS:
        heads = [
            *(f"{name}, mean over scenes" for _, name, _ in _FIGURES),
            *(f"{name}, pooled" for _, name, _ in _FIGURES),
        ]
        lines = [("protocol", "method", *heads, *class_names)]
        for (protocol, method), own in _groups(scores).items():
            each = [variant(score) for score in own]
            whole = reduce(add, each)
            means = [_cell([value(one) for one in each], seed) for _, _, value in _FIGURES]
            pooled = [_percent(value(whole)) for _, _, value in _FIGURES]
            lines.append((protocol, method, *means, *pooled, *map(_percent, whole.class_iou)))
        rule = "|" + "---|" * len(lines[0])
        rows = ["| " + " | ".join(line) + " |" for line in lines]
        parts.append(f"### Surface {title}\n\n" + "\n".join([rows[0], rule, *rows[1:]]))
    return "\n\n".join(parts) + "\n\nClass columns: IoU of all voxels of all scenes together.\n"


def _groups(scores: Sequence[ProtocolScores]) -> dict[tuple[str, str], list[ProtocolScores]]:
    groups: dict[tuple[str, str], list[ProtocolScores]] = {}
    for score in scores:
        groups.setdefault((score.protocol, score.method), []).append(score)
    return groups


def _cell(values: Sequence[float], seed: int) -> str:
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return "-"
    low, high = interval(known, seed)
    return f"{sum(known) / len(known):.1%} ({low:.1%} to {high:.1%})"


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1%}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


if __name__ == "__main__":
    main()
