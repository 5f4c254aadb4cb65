"""s4r predict."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class Taken(str, Enum):
    """Which of a scene's scans the network takes in."""

    INPUT = "input"
    TARGET = "target"


def predict_command(
    scene: Annotated[Path, typer.Argument(help="Scene folder made by s4r import.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to make for voxels, meshes and figures.")],
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", help="Made by s4r train or s4r refine; default: the shipped weights for rooms."),
    ] = None,
    engine: Annotated[str | None, typer.Option("--engine", help="Sparse engine other than the training's.")] = None,
    keep_probability: Annotated[
        float | None,
        typer.Option(help="Occupancy probability from which cells are kept; lower finds more and guesses more."),
    ] = None,
    uncertainty: Annotated[
        bool, typer.Option("--uncertainty", help="Also write uncertainty.glb, coloured by how sure the surface is.")
    ] = False,
    scan: Annotated[
        Taken, typer.Option(help="Scan to start from: of the input frames, or of all training frames (target).")
    ] = Taken.INPUT,
) -> None:
    """Predict a whole scene in one pass, without chunks."""
    from rich.console import Console

    from sparse_s4r.inference.run import run_prediction

    console = Console()
    with console.status("predicting"):
        summary = run_prediction(scene, checkpoint, out, engine, uncertainty, keep_probability, scan.value)
    console.print(f"weights: {summary.weights}", highlight=False, markup=False, soft_wrap=True)
    for warning in summary.warnings:
        console.print(f"warning: {warning}", style="yellow", highlight=False, markup=False, soft_wrap=True)
    console.print(
        f"wrote {out}: {summary.voxels_in:,} voxels in, {summary.voxels_out:,} out "
        f"({summary.voxels_completed:,} completed), {summary.seconds:.1f} s on {summary.device} "
        f"with {summary.engine}, peak {summary.peak_memory_bytes / 2**30:.2f} GiB",
        highlight=False,
        soft_wrap=True,
    )
