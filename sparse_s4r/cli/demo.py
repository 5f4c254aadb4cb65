"""s4r demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo_command(
    out: Annotated[Path, typer.Option("--out", help="Folder to make for everything.")],
    frames: Annotated[
        Path | None, typer.Option("--frames", help="Your own folder of posed RGB-D frames instead of a made room.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="YAML configuration of the training or the refinement.")
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="section.key=value, one or more.")] = None,
    voxel_size: Annotated[
        float | None, typer.Option(help="Edge of a voxel, metres; default: that of the weights, 0.04 from scratch.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the room, its frames and the training.")] = 0,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Train a small network on the room instead of using trained weights.")
    ] = False,
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", help="Weights to use; default: the shipped ones.")
    ] = None,
    refine_steps: Annotated[
        int, typer.Option("--refine-steps", min=0, help="Steps in which the weights adapt to the room.")
    ] = 0,
) -> None:
    """Run everything, from frames to a page with pictures, on a generated room or on your own frames."""
    from sparse_s4r.cli.demo_options import DemoOptions
    from sparse_s4r.cli.demo_pipeline import run_demo

    changes = tuple(settings or ())
    options = DemoOptions(out, frames, config, changes, voxel_size, seed, from_scratch, checkpoint, refine_steps)
    report = run_demo(options)
    typer.echo(f"open {report}")
