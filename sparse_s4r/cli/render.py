"""s4r render."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def render_command(
    prediction: Annotated[Path, typer.Argument(help="Prediction folder made by s4r predict.")],
    like: Annotated[Path, typer.Option("--like", help="Scene folder whose frames to render like.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to make for the pictures.")],
    frames: Annotated[list[str] | None, typer.Option("--frames", help="Names of frames; default: held-out.")] = None,
    cameras: Annotated[Path | None, typer.Option("--cameras", help="JSON list of cameras to render instead.")] = None,
) -> None:
    """Render colour, depth and labels from real or given cameras, beside the real frames."""
    from sparse_s4r.inference.pictures import render_pictures

    count = render_pictures(prediction, like, out, frames or [], cameras)
    typer.echo(f"wrote pictures of {count} cameras to {out}")
