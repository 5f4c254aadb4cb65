"""The steps of the demo, from frames to a page; here those of a training from scratch."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from importlib import resources
from pathlib import Path

from rich.console import Console
from torch import Tensor

from sparse_s4r.cli.demo_options import FRAMES, DemoOptions, import_room
from sparse_s4r.cli.demo_report import DemoResults, write_demo_report
from sparse_s4r.cli.demo_shipped import run_shipped_demo
from sparse_s4r.cli.import_labels import geometric_labelling
from sparse_s4r.config import load_config
from sparse_s4r.data.import_options import Labelling
from sparse_s4r.data.readers import open_capture
from sparse_s4r.data.synthetic import SyntheticRoom, make_room
from sparse_s4r.data.synthetic_capture import write_capture
from sparse_s4r.data.synthetic_path import make_trajectory
from sparse_s4r.evaluation.run import evaluate_prediction, save_metrics
from sparse_s4r.evaluation.table import metrics_table
from sparse_s4r.inference.pictures import render_pictures
from sparse_s4r.inference.run import run_prediction
from sparse_s4r.inference.weights import has_default_weights
from sparse_s4r.segmentation.interface import label_frame
from sparse_s4r.segmentation.stand_in import StandInSegmenter
from sparse_s4r.sparse.factory import expect_engine
from sparse_s4r.structures import RGBDFrame
from sparse_s4r.structures.errors import ConfigError, DataError
from sparse_s4r.training.loss_change import measure_loss_changes
from sparse_s4r.training.run import run_training

_VOXEL_SIZE = 0.04


def run_demo(options: DemoOptions) -> Path:
    """Run the demo, with trained weights or from scratch, and return its page.

    Raises:
        DataError: ``out`` exists, or the frames cannot be used.
        CheckpointError: Weights that cannot be used.
    """
    if options.out.exists():
        raise DataError(f"{options.out}: expected a folder that does not exist yet; name another with --out")
    if options.from_scratch and (options.checkpoint or options.refine_steps):
        raise ConfigError("--from-scratch: expected neither --checkpoint nor --refine-steps, which start from weights")
    if options.from_scratch:
        return _run_from_scratch(options)
    if options.checkpoint is None and not has_default_weights():
        Console().print("this installation comes without trained weights: a small network is trained on the room")
        return _run_from_scratch(options)
    return run_shipped_demo(options)


def _run_from_scratch(options: DemoOptions) -> Path:
    out, console = options.out, Console()
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
        write_capture(room, make_trajectory(room, FRAMES, options.seed), folder, noise_seed=options.seed)
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
    width = 320 if labels == "stand-in" else 640
    import_room(options, capture, labelling, options.voxel_size or _VOXEL_SIZE, width, console)
    return labels
