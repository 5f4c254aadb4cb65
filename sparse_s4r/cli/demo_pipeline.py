"""The steps of the demo, from frames to a page."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path

from rich.console import Console
from torch import Tensor

from sparse_s4r.cli.demo_report import DemoResults, write_demo_report
from sparse_s4r.cli.import_labels import geometric_labelling
from sparse_s4r.cli.import_progress import ImportProgress
from sparse_s4r.config import load_config
from sparse_s4r.data.import_options import ImportOptions, Labelling
from sparse_s4r.data.import_scene import import_scene
from sparse_s4r.data.readers import open_capture
from sparse_s4r.data.synthetic import SyntheticRoom, make_room
from sparse_s4r.data.synthetic_capture import write_capture
from sparse_s4r.data.synthetic_path import make_trajectory
from sparse_s4r.evaluation.run import evaluate_prediction, save_metrics
from sparse_s4r.evaluation.table import metrics_table
from sparse_s4r.inference.pictures import render_pictures
from sparse_s4r.inference.run import run_prediction
from sparse_s4r.segmentation.interface import label_frame
from sparse_s4r.segmentation.stand_in import StandInSegmenter
from sparse_s4r.sparse.factory import expect_engine
from sparse_s4r.structures import RGBDFrame
from sparse_s4r.structures.errors import DataError
from sparse_s4r.training.loss_change import measure_loss_changes
from sparse_s4r.training.run import run_training

# Frames of the made room, and the share of them that the network gets to see: few enough to leave holes.
_FRAMES = 40
_KEEP = 0.2


@dataclass(frozen=True)
class DemoOptions:
    """What the demo is told.

    Attributes:
        out: Folder to make.
        frames: Capture to use; None: a room is made.
        config: Configuration file; None: the demo's own.
        settings: ``section.key=value`` on top of it.
        voxel_size: Metres.
        seed: Seed of the room, its frames and the training.
    """

    out: Path
    frames: Path | None
    config: Path | None
    settings: tuple[str, ...]
    voxel_size: float
    seed: int


def run_demo(options: DemoOptions) -> Path:
    """Run the demo and return its page.

    Raises:
        DataError: ``out`` exists, or the frames cannot be used.
    """
    out, console = options.out, Console()
    if out.exists():
        raise DataError(f"{out}: expected a folder that does not exist yet; name another with --out")
    config = options.config or Path(str(resources.files("sparse_s4r"))) / "cli" / "demo.yaml"
    settings = [f"seed={options.seed}", *options.settings]
    # Before anything is made: what is wrong here must not cost minutes, nor leave a folder in the way.
    expect_engine(load_config(config, settings).engine)
    if options.frames is not None:
        open_capture(options.frames, "auto")
    started = time.perf_counter()
    out.mkdir(parents=True)
    console.rule("1/6  frames to scene")
    capture, labels = options.frames, "geometry"
    room = make_room(options.seed)
    if capture is None:
        capture, labels = _make_capture(room, options, console), "stand-in"
    labels = _import(options, capture, labels, console)
    scene, run, prediction = out / "scene", out / "run", out / "prediction"
    console.rule("2/6  training on the scene's own frames")
    checkpoint = run_training(config, settings, [scene], run, resume=False)
    console.rule("3/6  prediction of the whole scene")
    summary = run_prediction(scene, checkpoint, prediction)
    console.print(f"{summary.voxels_in:,} voxels in, {summary.voxels_out:,} out, {summary.seconds:.1f} s")
    console.rule("4/6  pictures at held-out cameras")
    render_pictures(prediction, scene, out / "pictures")
    console.rule("5/6  figures")
    if labels == "stand-in":
        truth = capture / "labels"
        metrics = evaluate_prediction(prediction, scene, labels=truth, surface_distance=room.surface_distance)
    else:
        metrics = evaluate_prediction(prediction, scene)
    save_metrics(metrics, out / "metrics.json")
    console.print(metrics_table(metrics))
    console.rule("6/6  page")
    changes = measure_loss_changes(checkpoint, [scene])
    (out / "losses.json").write_text(
        json.dumps({name: asdict(value) for name, value in changes.items()}, indent=2) + "\n"
    )
    results = DemoResults(scene, run, prediction, metrics, summary, labels, changes, time.perf_counter() - started)
    page = write_demo_report(results, out / "report.html")
    console.print(f"done in {time.perf_counter() - started:.0f} s")
    return page


def _make_capture(room: SyntheticRoom, options: DemoOptions, console: Console) -> Path:
    """Frames of a made room, in the layout that any capture may have."""
    folder = options.out / "capture"
    with console.status("making a room and its frames"):
        write_capture(room, make_trajectory(room, _FRAMES, options.seed), folder, noise_seed=options.seed)
    return folder


def _import(options: DemoOptions, folder: Path, labels: str, console: Console) -> str:
    """Import the capture; returns where its labels come from."""
    capture = open_capture(folder, "auto")
    labelling: Labelling | None = None
    if labels == "stand-in":
        stand_in = StandInSegmenter(capture.class_names or (), options.seed)

        def degrade(frame: RGBDFrame) -> Tensor:
            return label_frame(stand_in, frame)

        labelling = Labelling(stand_in.class_names, degrade)
    elif capture.class_names is not None:
        labelling, labels = Labelling(capture.class_names), "capture"
    else:
        labelling = geometric_labelling()
    import_options = ImportOptions(
        voxel_size=options.voxel_size, keep=_KEEP, seed=options.seed, image_width=320 if labels == "stand-in" else 640
    )
    with ImportProgress(console) as progress:
        summary = import_scene(capture, options.out / "scene", import_options, labelling, progress)
    console.print(f"{summary.frames} frames, {summary.voxels_input:,} voxels seen by the kept ones, ", end="")
    console.print(f"{summary.voxels_target:,} by all", highlight=False)
    for line in (*summary.notes, *summary.warnings):
        console.print(f"  {line}", markup=False, soft_wrap=True)
    return labels
