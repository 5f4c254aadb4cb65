"""s4r label: labels of a 2D segmenter for the frames of scenes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from sparse_s4r.inference.label_summary import LabelSummary


def label_command(
    scenes: Annotated[list[Path], typer.Argument(help="Scene folders made by s4r import.", show_default=False)],
    segmenter: Annotated[
        str,
        typer.Option(
            help="shipped, shipped:WEIGHTS.safetensors, mseg:CHECKPOINT.pth, hf:NAME_OR_FOLDER, files:DIR or geometry; "
            "in DIR, {scene} stands for the name of a scene's folder."
        ),
    ] = "shipped",
    taxonomy: Annotated[
        str | None,
        typer.Option(
            help="Classes of the labels: matterport11 (default), scannet15, scannet20 or a YAML file; geometry has its "
            "own, structure."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the label set; default: the kind of segmenter.")] = None,
    label_map: Annotated[
        Path | None,
        typer.Option(help="File that maps the network's classes to the taxonomy's; default: the shipped one."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Frames given to the network at a time.")] = 4,
    scales: Annotated[
        list[float] | None, typer.Option(help="Sizes of the image, as factors, over which MSeg averages.")
    ] = None,
    min_confidence: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Probability below which a pixel gets no label.")
    ] = 0.0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a set of this name that was made in another way.")
    ] = False,
) -> None:
    """Label all frames of scenes; stopped and started again, it goes on with the frames that are left."""
    from rich.console import Console

    from sparse_s4r.cli.import_progress import ImportProgress
    from sparse_s4r.inference.label_scene import LabelOptions, label_scenes

    factors = tuple(scales) if scales else None
    options = LabelOptions(segmenter, taxonomy, name, label_map, batch, factors, min_confidence, overwrite)
    console = Console()
    with ImportProgress(console) as progress:
        for summary in label_scenes(scenes, options, progress):
            _print_summary(console, summary)


def _print_summary(console: Console, summary: LabelSummary) -> None:
    from rich.table import Table

    from sparse_s4r.evaluation.labels import scores_of

    table = Table(title=f"{summary.scene}: {summary.path.name}, {summary.frames} frames, {summary.newly} of them new")
    table.add_column("class")
    table.add_column("share of pixels", justify="right")
    scores = None if summary.confusion is None else scores_of(summary.confusion)
    if scores is not None:
        table.add_column("IoU with the scene's own labels", justify="right")
    for index, class_name in enumerate(summary.class_names):
        own = [] if scores is None else [f"{scores.per_class[index]:.1%}"]
        table.add_row(class_name, f"{summary.shares[index]:.1%}", *(cell.replace("nan%", "-") for cell in own))
    table.add_row("no label", f"{summary.unlabelled:.1%}")
    console.print(table)
    console.print(f"mean confidence {summary.confidence:.2f}", highlight=False)
    if scores is not None:
        console.print(
            f"agreement with the scene's own labels: {scores.accuracy:.1%} of the pixels that both label, "
            f"mean IoU {scores.mean_iou:.1%}",
            highlight=False,
        )
    console.print(f"{summary.path}, with {summary.overview.name}", highlight=False, markup=False, soft_wrap=True)
