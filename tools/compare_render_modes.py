"""Compare the raycaster's exact gradients with those of SPSG's renderer by the same short trainings.

    python tools/compare_render_modes.py SCENE_DIR --out runs/render_modes
    python tools/compare_render_modes.py SCENE_DIR --out runs/render_modes --trainings field --steps 200

field     no network: the distances of the scene's fuller scan are bent by smooth waves and trained back by the L1 of
          rendered depth alone; the depth error on held-out frames, step by step
network   the demo's network, once with all terms and once without the signed distance, so that surface is placed by
          rendering; the depth error of its prediction on held-out frames

Every training runs with the same samples in both modes, and with several rates, since SPSG's mean over the pixels of a
voxel makes other sizes of gradients than the sum. Writes comparison.json and field.png to the folder.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sparse_s4r.data.scene_format import Scene, open_scene
from sparse_s4r.evaluation.held_out import ViewErrors, view_errors
from sparse_s4r.evaluation.run import evaluate_prediction, render_pairs
from sparse_s4r.inference.run import run_prediction
from sparse_s4r.losses.image import depth_loss
from sparse_s4r.render.raycaster import Mode, Raycaster
from sparse_s4r.structures import RGBDFrame, ScenePrediction
from sparse_s4r.structures.errors import UserError
from sparse_s4r.training.run import run_training

MODES: tuple[Mode, ...] = ("exact", "spsg")
# Waves in the distances: this high and this long, metres. A voxel and a half: a surface that is out of place, but
# within the band.
WAVE_HEIGHT, WAVE_LENGTH = 0.03, 0.8
FRAMES_PER_STEP = 4
_POINTS = 10


@dataclass(frozen=True)
class FieldRow:
    """Held-out depth error of one training of a field after ``step`` steps."""

    mode: str
    rate: float
    step: int
    depth_median: float
    depth_p90: float
    coverage: float


@dataclass(frozen=True)
class NetworkRow:
    """Held-out errors of one training of the network."""

    mode: str
    terms: str
    rate: float
    seed: int
    depth_median: float
    depth_p90: float
    within_5cm: float
    coverage: float
    color_psnr: float | None


def train_field(scene: Scene, mode: Mode, rate: float, steps: int, width: int) -> list[FieldRow]:
    """Train bent distances by rendered depth alone; the errors along the way."""
    scan = ScenePrediction.from_scan(scene.load_scan("target"))
    centers = scan.grid.centers(scan.coordinates)
    bent = scan.tsdf + WAVE_HEIGHT * torch.sin(2 * torch.pi * centers / WAVE_LENGTH).mean(dim=1)
    tsdf = bent.clone().requires_grad_()
    frames = [scene.load_frame(name, width=width) for name in scene.frame_names("input", "target")]
    raycaster = Raycaster(mode=mode)
    optimizer = torch.optim.Adam([tsdf], lr=rate)
    generator = torch.Generator().manual_seed(0)
    rows = []
    for step in range(steps + 1):
        if step % max(steps // _POINTS, 1) == 0:
            errors = _held_out(scene, replace(scan, tsdf=tsdf.detach()), width)
            rows.append(FieldRow(mode, rate, step, errors.depth_median, errors.depth_p90, errors.coverage))
        if step == steps:
            break
        chosen = [frames[int(row)] for row in torch.randperm(len(frames), generator=generator)[:FRAMES_PER_STEP]]
        optimizer.zero_grad()
        torch.autograd.backward(_depth_error(raycaster, replace(scan, tsdf=tsdf), chosen))
        optimizer.step()
    return rows


def _depth_error(raycaster: Raycaster, field: ScenePrediction, frames: Sequence[RGBDFrame]) -> Tensor:
    views = raycaster.render_views(raycaster.prepare(field), [frame.camera for frame in frames])
    return torch.stack([depth_loss(view, frame)[0] for view, frame in zip(views, frames, strict=True)]).mean()


def _held_out(scene: Scene, field: ScenePrediction, width: int) -> ViewErrors:
    return view_errors(render_pairs(field, scene, scene.frame_names("held_out"), width))


def train_network(folder: Path, out: Path, mode: Mode, terms: str, rate: float, seed: int, steps: int) -> NetworkRow:
    """Train the demo's network, predict the scene and judge its held-out frames."""
    config = Path(str(resources.files("sparse_s4r"))) / "cli" / "demo.yaml"
    settings = [f"render.mode={mode}", f"train.learning_rate={rate}", f"seed={seed}", f"train.steps={steps}"]
    if terms == "rendered":
        settings.append("loss.tsdf.weight=0")
    name = f"{mode}-{terms}-{rate:g}-{seed}"
    checkpoint = run_training(config, settings, [folder], out / f"run-{name}", resume=False)
    run_prediction(folder, checkpoint, out / f"prediction-{name}")
    errors = evaluate_prediction(out / f"prediction-{name}", folder).prediction
    return NetworkRow(
        mode,
        terms,
        rate,
        seed,
        errors.depth_median,
        errors.depth_p90,
        errors.depth_within_5cm,
        errors.coverage,
        errors.color_psnr,
    )


def plot_field(rows: Sequence[FieldRow], path: Path) -> None:
    """Error against steps, a line per training."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    rates = sorted({row.rate for row in rows})
    for mode, color in zip(MODES, ("tab:blue", "tab:orange"), strict=True):
        for rate, style in zip(rates, ("-", "--", ":", "-."), strict=False):
            line = [row for row in rows if (row.mode, row.rate) == (mode, rate)]
            label = f"{mode}, rate {rate * 1e3:g} mm"
            axes.plot([r.step for r in line], [r.depth_median * 1e3 for r in line], style, color=color, label=label)
    axes.set(xlabel="steps", ylabel="median held-out depth error, mm")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Train, print and write."""
    options = _parse()
    try:
        _run(options)
    except UserError as error:
        sys.exit(f"compare_render_modes: {error}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path, help="scene folder with held-out frames")
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    parser.add_argument("--trainings", choices=("field", "network", "all"), default="all")
    parser.add_argument("--steps", type=int, default=200, help="of every training")
    parser.add_argument("--width", type=int, default=160, help="of the frames that train the field, pixels")
    parser.add_argument("--field-rates", type=float, nargs="+", default=[3e-4, 1e-3, 3e-3], help="metres per step")
    parser.add_argument("--network-rates", type=float, nargs="+", default=[4e-3])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    return parser.parse_args()


def _run(options: argparse.Namespace) -> None:
    scene = open_scene(options.scene)
    options.out.mkdir(parents=True)
    field: list[FieldRow] = []
    network: list[NetworkRow] = []
    if options.trainings != "network":
        for rate in options.field_rates:
            for mode in MODES:
                field += train_field(scene, mode, rate, options.steps, options.width)
                print(_line(asdict(field[-1])))
        plot_field(field, options.out / "field.png")
    if options.trainings != "field":
        for terms in ("all", "rendered"):
            for rate in options.network_rates:
                for seed in options.seeds:
                    for mode in MODES:
                        arguments = (options.scene, options.out, mode, terms, rate, seed, options.steps)
                        network.append(train_network(*arguments))
                        print(_line(asdict(network[-1])))
    results = {"field": [asdict(row) for row in field], "network": [asdict(row) for row in network]}
    (options.out / "comparison.json").write_text(json.dumps(results, indent=1) + "\n")


def _line(row: dict[str, object]) -> str:
    shown = {key: f"{value:.4g}" if isinstance(value, float) else str(value) for key, value in row.items()}
    return "  ".join(f"{key} {value}" for key, value in shown.items())


if __name__ == "__main__":
    main()
