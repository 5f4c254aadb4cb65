"""Compare the sparse network and the dense one of the paper, as users run them.

    python tools/compare_backbones.py --scene runs/demo/scene --out runs/backbones --steps 60
    python tools/compare_backbones.py --mode cost --scene runs/office/scene --out runs/cost --dense-chunks 8
    python tools/compare_backbones.py --mode growth --out runs/growth --rooms 1 2 4

quality   trains both on the same samples with the same budget, predicts and evaluates: comparison.json and a table
cost      one scene, one configuration: the dense network in chunks of 64 x 64 x 128 voxels, the sparse one on the whole
          scene: time and peak memory of a prediction and of a training step; what the dense one would take on the whole
          scene is computed. With --sparse-checkpoint and --dense-checkpoint the quality of these weights, too
growth    the sparse network on a room laid out n x n times: time and memory, and the exponent of their growth with the
          number of voxels; growth.png shows them
all       everything

Each figure of time or memory comes from a process of its own; see docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sparse_s4r.structures.errors import UserError
from tools.bench_made_room import RoomRecipe, room_scene
from tools.compare_cost import CostOptions, CostRow, compare_cost, cost_table, growth_fits, measure_growth
from tools.plot_growth import plot_growth

BACKBONES = ("sparse", "dense")
# Narrow enough to train in minutes.
_QUALITY_WIDTHS = "[8,16,24,32,48]"


@dataclass(frozen=True)
class Row:
    """Figures of one backbone; errors over the pixels with measured depth of held-out frames."""

    backbone: str
    parameters: int
    train_seconds: float | None
    predict_seconds: float
    predict_peak_bytes: int
    voxels_out: int
    depth_median: float
    within_5cm: float
    color_psnr: float | None
    completion_recall: float
    completion_precision: float | None


def main() -> None:
    """Run what the mode says and print it; write everything as JSON when asked."""
    options = _parse()
    try:
        results = _run(options)
    except UserError as error:
        sys.exit(f"compare_backbones: {error}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=("quality", "cost", "growth", "all"), default="quality")
    parser.add_argument("--scene", type=Path, help="scene folder; growth makes a room of its own without one")
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    parser.add_argument("--config", type=Path, help="configuration of both; default: the defaults of config.py")
    parser.add_argument("--steps", type=int, default=60, help="of the trainings of quality")
    parser.add_argument(
        "--widths", help=f"channels per level of both; default: {_QUALITY_WIDTHS} for quality, else the configuration's"
    )
    parser.add_argument("--set", action="append", default=[], help="section.key=value for both")
    parser.add_argument("--engine", default="builtin", help="sparse engine of cost and growth")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--repeats", type=int, default=3, help="timed calls")
    parser.add_argument(
        "--dense-chunks", type=int, default=0, help="time an even choice of so many chunks and scale up; 0: all"
    )
    parser.add_argument("--sparse-checkpoint", type=Path, help="trained weights of the sparse network, for cost")
    parser.add_argument("--dense-checkpoint", type=Path, help="trained weights of the dense network, for cost")
    parser.add_argument("--rooms", type=int, nargs="+", default=[1, 2, 4], help="copies along x and along y")
    parser.add_argument("--growth-voxel-size", type=float, default=0.05, help="of the room that growth makes, metres")
    parser.add_argument("--cache", type=Path, default=Path("runs/bench"), help="folder of the made room")
    parser.add_argument("--json", type=Path, help="file for all figures")
    options = parser.parse_args()
    if options.scene is None and options.mode != "growth":
        parser.error(f"--scene: expected a scene folder for --mode {options.mode}")
    if options.mode in ("growth", "all") and len(set(options.rooms)) < 2:
        parser.error(f"--rooms: expected two or more different numbers, got {options.rooms}")
    return options


def _run(options: argparse.Namespace) -> dict[str, Any]:
    options.out.mkdir(parents=True)
    results: dict[str, Any] = {}
    if options.mode in ("quality", "all"):
        results["quality"] = [asdict(row) for row in _quality(options)]
        (options.out / "comparison.json").write_text(json.dumps(results["quality"], indent=2) + "\n")
    if options.mode in ("cost", "all"):
        rows = compare_cost(options.scene, _cost_options(options))
        print(cost_table(rows))
        results["cost"] = [asdict(row) for row in rows]
        results["weights"] = [asdict(row) for row in _weights(options)]
    if options.mode in ("growth", "all"):
        results["growth"] = _growth(options)
    return results


def _quality(options: argparse.Namespace) -> list[Row]:
    rows = [_train(backbone, options) for backbone in BACKBONES]
    _print_rows(rows)
    return rows


def _weights(options: argparse.Namespace) -> list[Row]:
    """Quality of the trained weights that were given."""
    rows = []
    for backbone, checkpoint in zip(BACKBONES, (options.sparse_checkpoint, options.dense_checkpoint), strict=True):
        if checkpoint is not None:
            rows.append(judge(backbone, options.scene, checkpoint, options.out / f"{backbone}-weights", None))
    _print_rows(rows)
    return rows


def _growth(options: argparse.Namespace) -> dict[str, Any]:
    scene = options.scene
    if scene is None:
        scene = room_scene(0, options.cache, RoomRecipe(voxel_size=options.growth_voxel_size))
    rows: list[CostRow] = measure_growth(scene, options.rooms, _cost_options(options))
    fits = growth_fits(rows)
    print(cost_table(rows))
    for fit in fits:
        print(f"{fit.operation:15} {fit.quantity:10} = {fit.factor:.3g} * voxels^{fit.exponent:.3f}")
    plot_growth(rows, fits, options.out / "growth.png")
    return {"rows": [asdict(row) for row in rows], "fits": [asdict(fit) for fit in fits]}


def _cost_options(options: argparse.Namespace) -> CostOptions:
    widths = [] if options.widths is None else [f"model.widths={options.widths}"]
    paths = [
        None if path is None else str(path)
        for path in (options.config, options.sparse_checkpoint, options.dense_checkpoint)
    ]
    return CostOptions(
        options.engine,
        options.device,
        options.repeats,
        options.dense_chunks,
        paths[0],
        (*widths, *options.set),
        paths[1],
        paths[2],
    )


def _print_rows(rows: Sequence[Row]) -> None:
    for name in Row.__dataclass_fields__ if rows else ():
        print(f"{name:22}" + "".join(f"{getattr(row, name)!s:>26}" for row in rows))


def _train(backbone: str, options: argparse.Namespace) -> Row:
    folder = options.out / backbone
    widths = options.widths or _QUALITY_WIDTHS
    settings = [f"model.network={backbone}", f"model.widths={widths}", f"train.steps={options.steps}"]
    # The same samples for both: columns as wide as the paper's chunk, 64 voxels.
    voxel_size = json.loads((options.scene / "scene.json").read_text())["voxel_size"]
    settings.append(f"data.crop={64 * voxel_size}")
    settings += [*(f"loss.{term}.start=20" for term in ("depth", "color", "semantic")), *options.set]
    config = [] if options.config is None else ["--config", options.config]
    overrides = [part for setting in settings for part in ("--set", setting)]
    started = time.perf_counter()
    _s4r("train", *config, "--scenes", options.scene, "--out", folder / "run", *overrides)
    seconds = time.perf_counter() - started
    return judge(backbone, options.scene, folder / "run/checkpoint.pt", folder, seconds)


def judge(backbone: str, scene: Path, checkpoint: Path, folder: Path, train_seconds: float | None) -> Row:
    """Predict ``scene`` with trained weights, below ``folder``, and evaluate."""
    from sparse_s4r.checkpoint import load_checkpoint

    folder.mkdir(parents=True, exist_ok=True)
    _s4r("predict", scene, "--checkpoint", checkpoint, "--out", folder / "prediction")
    _s4r("evaluate", folder / "prediction", "--like", scene, "--out", folder / "metrics.json")
    weights = load_checkpoint(checkpoint).weights
    predicted = json.loads((folder / "prediction/prediction.json").read_text())
    metrics = json.loads((folder / "metrics.json").read_text())
    views, completion = metrics["prediction"], metrics["completion"]
    return Row(
        backbone,
        sum(value.numel() for name, value in weights.items() if "running_" not in name and "num_batches" not in name),
        None if train_seconds is None else round(train_seconds, 1),
        predicted["seconds"],
        predicted["peak_memory_bytes"],
        predicted["voxels_out"],
        views["depth_median"],
        views["depth_within_5cm"],
        views["color_psnr"],
        completion["recall"],
        completion["precision"],
    )


def _s4r(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "sparse_s4r.cli.main", *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
