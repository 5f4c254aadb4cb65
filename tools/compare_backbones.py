"""Train the sparse network and the dense one of the paper on the same scenes with the same budget, and compare.

    python tools/compare_backbones.py --scene runs/demo/scene --out runs/backbones --steps 60

writes, for each backbone, training, prediction and metrics, and ``comparison.json`` with time, memory and quality.
Each backbone runs in a process of its own, so that peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

BACKBONES = ("sparse", "dense")


@dataclass(frozen=True)
class Row:
    """Figures of one backbone; errors over the pixels with measured depth of held-out frames."""

    backbone: str
    parameters: int
    train_seconds: float
    predict_seconds: float
    predict_peak_bytes: int
    voxels_out: int
    depth_median: float
    within_5cm: float
    color_psnr: float | None
    completion_recall: float
    completion_precision: float


def main() -> None:
    """Run both backbones and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", type=Path, help="configuration of both; default: the defaults of config.py")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--widths", default="[8,16,24,32,48]", help="channels per level of both")
    parser.add_argument("--set", action="append", default=[], help="section.key=value for both")
    options = parser.parse_args()
    options.out.mkdir(parents=True)
    rows = [_run(backbone, options) for backbone in BACKBONES]
    (options.out / "comparison.json").write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    for name in Row.__dataclass_fields__:
        print(f"{name:22}" + "".join(f"{getattr(row, name)!s:>26}" for row in rows))


def _run(backbone: str, options: argparse.Namespace) -> Row:
    folder = options.out / backbone
    settings = [f"model.network={backbone}", f"model.widths={options.widths}", f"train.steps={options.steps}"]
    # The same samples for both: columns as wide as the paper's chunk, 64 voxels.
    voxel_size = json.loads((options.scene / "scene.json").read_text())["voxel_size"]
    settings += [
        f"data.crop={64 * voxel_size}",
        "loss.depth.start=20",
        "loss.color.start=20",
        "loss.semantic.start=20",
        *options.set,
    ]
    config = [] if options.config is None else ["--config", options.config]
    started = time.perf_counter()
    _s4r(
        "train",
        *config,
        "--scenes",
        options.scene,
        "--out",
        folder / "run",
        *[x for s in settings for x in ("--set", s)],
    )
    seconds = time.perf_counter() - started
    _s4r("predict", options.scene, "--checkpoint", folder / "run/checkpoint.pt", "--out", folder / "prediction")
    _s4r("evaluate", folder / "prediction", "--like", options.scene, "--out", folder / "metrics.json")
    return _row(backbone, folder, seconds)


def _row(backbone: str, folder: Path, seconds: float) -> Row:
    from sparse_s4r.checkpoint import load_checkpoint

    weights = load_checkpoint(folder / "run/checkpoint.pt").weights
    predicted = json.loads((folder / "prediction/prediction.json").read_text())
    metrics = json.loads((folder / "metrics.json").read_text())
    views, completion = metrics["prediction"], metrics["completion"]
    return Row(
        backbone,
        sum(value.numel() for name, value in weights.items() if "running_" not in name and "num_batches" not in name),
        round(seconds, 1),
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
