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
    config: Annotated[Path | None, typer.Option("--config", help="YAML configuration; default: the demo's.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="section.key=value, one or more.")] = None,
    voxel_size: Annotated[float, typer.Option(help="Edge of a voxel, metres.")] = 0.04,
    seed: Annotated[int, typer.Option(help="Seed of the room, its frames and the training.")] = 0,
) -> None:
    """Run everything, from frames to a page with pictures, on a generated room or on your own frames."""
    from sparse_s4r.cli.demo_pipeline import DemoOptions, run_demo

    report = run_demo(DemoOptions(out, frames, config, tuple(settings or ()), voxel_size, seed))
    typer.echo(f"open {report}")
