"""The demo's page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from sparse_s4r.data.prediction_format import load_prediction
from sparse_s4r.data.scene_format import open_scene
from sparse_s4r.evaluation.run import Metrics, render_pairs
from sparse_s4r.evaluation.table import VIEW_COLUMNS, view_rows
from sparse_s4r.inference.pictures import save_picture
from sparse_s4r.inference.run import PredictionSummary
from sparse_s4r.refine.run import RefineSummary
from sparse_s4r.render.pictures import class_palette, comparison
from sparse_s4r.structures import ScenePrediction
from sparse_s4r.training.loss_change import LossChange, read_losses
from sparse_s4r.viewer.overview import overview, overview_camera
from sparse_s4r.viewer.report import Curve, Figures, Part, Picture, write_report

_LABEL_SOURCES = {
    "stand-in": "The labels come from a stand-in for a 2D segmentation network: the true labels of the generated "
    "frames, degraded with coarse outlines and wrong names. It is no segmentation method.",
    "geometry": "The labels come from a simple rule on shapes (floor, wall, ceiling, object), not from a "
    "segmentation network.",
    "capture": "The labels are the label images of the capture.",
    "weights": "The labels are the network's own, learned on other rooms.",
}
_LEARNED = {
    "scratch": "The network was trained on frames of this very scene, the held-out ones excepted.",
    "refined": "The network comes from other rooms and was adapted to this scene's frames, the held-out ones excepted.",
    "shipped": "The network comes from other rooms and has never seen this one.",
}
_MAX_COMPARISONS = 4


@dataclass(frozen=True)
class DemoResults:
    """Where the demo's results are, and what they say.

    Attributes:
        scene: Scene folder.
        run: Training folder; None for trained weights.
        prediction: Prediction folder.
        metrics: Figures of the prediction.
        summary: Size, time and memory of the prediction.
        labels: "stand-in", "geometry", "capture" or "weights".
        losses: Every term before and after training, over the same samples; empty for trained weights.
        seconds: Time of everything.
        refinement: How trained weights were adapted to the room; None: they were not, or there were none.
    """

    scene: Path
    run: Path | None
    prediction: Path
    metrics: Metrics
    summary: PredictionSummary
    labels: str
    losses: dict[str, LossChange]
    seconds: float
    refinement: RefineSummary | None = None


def write_demo_report(results: DemoResults, path: Path) -> Path:
    """Write the page, and the overview pictures beside it."""
    scene = open_scene(results.scene)
    prediction, info = load_prediction(results.prediction)
    palette = class_palette(len(info.class_names))
    legend = tuple(
        (name, (int(color[0]), int(color[1]), int(color[2])))
        for name, color in zip(info.class_names, palette, strict=True)
    )
    parts = [
        _overview_part(results, prediction, legend),
        _views_part(results, prediction),
        _figures_part(results),
        _weights_part(results) if results.run is None else _training_part(results, results.run),
    ]
    write_report(f"sparse_s4r: {scene.name}", parts, path)
    return path


def _overview_part(
    results: DemoResults, prediction: ScenePrediction, legend: tuple[tuple[str, tuple[int, int, int]], ...]
) -> Part:
    scene = open_scene(results.scene)
    scan = ScenePrediction.from_scan(scene.load_scan("input"))
    # Framed by what was seen, not by what was made up around it.
    camera = overview_camera(scan.grid.centers(scan.coordinates))
    seen, whole = overview(scan, camera), overview(prediction, camera)
    pictures = {
        "input.png": (seen.color, "what the kept frames saw, fused"),
        "color.png": (whole.color, "the predicted scene"),
        "completed.png": (whole.shape, "its surface: grey was seen, orange is completed"),
        "labels.png": (whole.labels, "its labels"),
        "uncertainty.png": (
            whole.probability,
            "how sure it is of its surface: blue certain, red even, yellow unlikely",
        ),
    }
    folder = results.prediction.parent / "overview"
    folder.mkdir(exist_ok=True)
    shown = []
    for name, (pixels, caption) in pictures.items():
        if pixels is not None:
            save_picture(pixels, folder / name)
            shown.append(Picture(pixels, caption))
    summary = results.summary
    text = (
        f"From {summary.voxels_in:,} voxels of the incomplete scan to {summary.voxels_out:,}, of which "
        f"{summary.voxels_completed:,} were not in it, at {summary.voxel_size * 100:g} cm, in one pass of "
        f"{summary.seconds:.1f} s. {_LABEL_SOURCES[results.labels]}"
    )
    return Part("The whole scene from above", text, tuple(shown), legend=legend)


def _views_part(results: DemoResults, prediction: ScenePrediction) -> Part:
    scene = open_scene(results.scene)
    names = results.metrics.frames
    # Spread over the capture, not its first frames.
    chosen = [
        names[index * len(names) // min(len(names), _MAX_COMPARISONS)]
        for index in range(min(len(names), _MAX_COMPARISONS))
    ]
    pairs = render_pairs(prediction, scene, chosen, width=240)
    pictures = tuple(
        Picture(comparison(view, frame), f"frame {name}: real above, predicted below")
        for name, (view, frame) in zip(chosen, pairs, strict=True)
    )
    text = "Cameras that took no part in the input or the training. Colour, depth (red near, violet far) and labels."
    return Part("Held-out views", text, pictures)


def _figures_part(results: DemoResults) -> Part:
    metrics = results.metrics
    figures = Figures(("over held-out frames", *VIEW_COLUMNS), view_rows(metrics))
    completion = metrics.completion
    text = (
        f"Of {completion.missing:,} surface voxels that the input lacks and the other frames saw, the prediction has "
        f"{completion.recall:.0%}; of {completion.completed:,} surface voxels that it adds in space that was seen, "
        f"{completion.precision:.0%} lie on the other frames' surface or next to it. {completion.unjudged:,} more "
        f"lie in space that no frame saw. {_LEARNED[_how_learned(results)]}"
    )
    if metrics.true_precision is not None:
        text += f" Of all of them, {metrics.true_precision:.0%} lie within two voxels of the room's true surface."
    if metrics.labels is not None:
        source = "the true ones" if results.labels == "stand-in" else "those of the same source"
        text += (
            f" Rendered labels agree with {source} on {metrics.labels.accuracy:.0%} of the labelled pixels that "
            f"are hit in held-out frames (mean IoU {metrics.labels.mean_iou:.0%})."
        )
    return Part("Figures", text, figures=figures)


def _weights_part(results: DemoResults) -> Part:
    text = (
        f"Weights: {results.summary.weights}. The whole demo took {results.seconds / 60:.1f} minutes and "
        f"{results.summary.peak_memory_bytes / 2**30:.1f} GiB at most."
    )
    refinement = results.refinement
    if refinement is None:
        return Part("Weights", text)
    rows = []
    for name, judged in (("choosing", refinement.choosing), ("reporting", refinement.reporting)):
        for when, score in () if judged is None else (("before", judged.before), ("after", judged.after)):
            cells = (f"{score.total:.4f}", f"{score.within_5cm:.1%}", f"{score.coverage:.1%}")
            rows.append((f"{name} frames, {when}", *cells))
    text += (
        f" They went on learning on this room's own frames, without labels, for {refinement.steps} steps; those after "
        f"{refinement.best_step} were kept, by the choosing frames. The reporting frames took no part at all."
    )
    return Part("Weights", text, figures=Figures(("refinement", "score", "within 5 cm", "covered"), tuple(rows)))


def _how_learned(results: DemoResults) -> str:
    if results.run is not None:
        return "scratch"
    return "shipped" if results.refinement is None else "refined"


def _training_part(results: DemoResults, run: Path) -> Part:
    losses = read_losses(run / "losses.jsonl")
    curves = []
    for name, values in losses.items():
        # A running mean: a step sees one crop and a few views, so single values jump.
        window = max(1, len(values) // 10)
        smooth = torch.tensor(values).unfold(0, window, 1).mean(1)
        curves.append(Curve(name, tuple(float(value) for value in smooth)))
    rows = tuple((name, f"{change.first:.4g}", f"{change.last:.4g}") for name, change in results.losses.items())
    figures = Figures(("loss, over the same pixels and voxels", "before training", "after"), rows)
    text = (
        f"{len(losses['total'])} steps; every loss compares the prediction with the scene's own frames or the scan "
        f"fused from them. The whole demo took {results.seconds / 60:.1f} minutes and "
        f"{results.summary.peak_memory_bytes / 2**30:.1f} GiB at most."
    )
    return Part("Training", text, figures=figures, curves=tuple(curves))
