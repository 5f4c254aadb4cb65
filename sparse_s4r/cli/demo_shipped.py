"""The demo with trained weights: a room that they have never seen, predicted at once, then refined if wanted."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from sparse_s4r.checkpoint import load_checkpoint
from sparse_s4r.cli.demo_options import FRAMES, DemoOptions, import_room
from sparse_s4r.cli.demo_report import DemoResults, write_demo_report
from sparse_s4r.cli.refine import candidate_line, print_summary
from sparse_s4r.cli.synth import taxonomy_map
from sparse_s4r.data.homes.capture import HomeOptions, write_home
from sparse_s4r.data.homes.classes import TAXONOMY_NAMES
from sparse_s4r.data.homes.sensor import KINECT
from sparse_s4r.data.import_options import Labelling
from sparse_s4r.data.readers import open_capture
from sparse_s4r.evaluation.run import evaluate_prediction, save_metrics
from sparse_s4r.evaluation.table import metrics_table
from sparse_s4r.inference.pictures import render_pictures
from sparse_s4r.inference.run import PredictionSummary, run_prediction
from sparse_s4r.inference.weights import default_weights, trained_voxel_size
from sparse_s4r.refine.run import REFINED_NAME, RefineSummary, run_refinement
from sparse_s4r.refine.settings import refine_config
from sparse_s4r.segmentation.taxonomy import load_taxonomy
from sparse_s4r.structures.errors import ConfigError

# Of weights that do not say what they were trained at.
_USUAL_VOXEL = 0.02
# Far from the seeds of the rooms that the weights were trained on.
_FIRST_SEED = 9_000_000


def run_shipped_demo(options: DemoOptions) -> Path:
    """Predict a room with trained weights, refine them on it if wanted, and return the page.

    Raises:
        CheckpointError, DataError: Weights or frames that cannot be used.
    """
    console, out, started = Console(), options.out, time.perf_counter()
    checkpoint = load_checkpoint(options.checkpoint or default_weights())
    # Before anything is made: what is wrong here must not leave a folder in the way.
    if (options.config or options.settings) and not options.refine_steps:
        raise ConfigError(
            "--config, --set: expected --refine-steps or --from-scratch with them; nothing is trained else"
        )
    refine_config(checkpoint.config, options.config, options.settings, None)
    names = checkpoint.config.model.class_names or ()
    voxel_size = options.voxel_size or trained_voxel_size(checkpoint) or _USUAL_VOXEL
    if options.frames is not None:
        open_capture(options.frames, "auto")
    out.mkdir(parents=True)
    console.rule("frames to scene")
    folder = options.frames or _make_home(options, names, voxel_size, console)
    capture = open_capture(folder, "auto")
    # Labels are for judging alone, so only those in the network's classes are of use.
    labelling = Labelling(names) if names and capture.class_names == names else None
    scene = import_room(options, capture, labelling, voxel_size, 640, console)
    console.rule("prediction of the whole scene")
    summary = _predict(scene, options.checkpoint, out / "prediction", console)
    refinement = None
    prediction = out / "prediction"
    if options.refine_steps:
        console.rule("refining the weights on the scene's own frames")
        refinement = _refine(options, scene, console)
        prediction = out / "prediction-refined"
        summary = _predict(scene, out / "refine" / REFINED_NAME, prediction, console)
    console.rule("pictures and figures at held-out cameras")
    render_pictures(prediction, scene, out / "pictures")
    metrics = evaluate_prediction(prediction, scene)
    save_metrics(metrics, out / "metrics.json")
    console.print(metrics_table(metrics))
    results = DemoResults(
        scene, None, prediction, metrics, summary, "weights", {}, time.perf_counter() - started, refinement
    )
    page = write_demo_report(results, out / "report.html")
    console.print(f"done in {time.perf_counter() - started:.0f} s")
    return page


def _make_home(options: DemoOptions, names: tuple[str, ...], voxel_size: float, console: Console) -> Path:
    """A furnished room with frames, labelled in the network's classes where a taxonomy has them."""
    fitting = [name for name in TAXONOMY_NAMES if load_taxonomy(name).class_names == names]
    taxonomy = (fitting or ["scannet20"])[0]
    # The generator knows no voxels larger than these.
    made = HomeOptions(FRAMES, 320, 240, 60.0, min(voxel_size, 0.5), KINECT, taxonomy)
    folder = options.out / "capture"
    with console.status("making a furnished room and its frames"):
        write_home(_FIRST_SEED + options.seed, 1, folder, made, taxonomy_map(taxonomy))
    return folder


def _predict(scene: Path, checkpoint: Path | None, out: Path, console: Console) -> PredictionSummary:
    summary = run_prediction(scene, checkpoint, out, uncertainty=True)
    console.print(f"weights: {summary.weights}", highlight=False, markup=False, soft_wrap=True)
    for warning in summary.warnings:
        console.print(f"warning: {warning}", style="yellow", highlight=False, markup=False, soft_wrap=True)
    console.print(f"{summary.voxels_in:,} voxels in, {summary.voxels_out:,} out, {summary.seconds:.1f} s")
    return summary


def _refine(options: DemoOptions, scene: Path, console: Console) -> RefineSummary:
    refinement = run_refinement(
        scene,
        options.out / "refine",
        options.checkpoint,
        options.config,
        # Labels of a made room are there to judge by.
        ["refine.semantics=keep", *options.settings],
        options.refine_steps,
        lambda candidate, better: console.print(candidate_line(candidate, better), highlight=False),
    )
    print_summary(console, refinement)
    return refinement
