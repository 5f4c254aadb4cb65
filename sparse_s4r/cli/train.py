"""s4r train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train_command(
    scenes: Annotated[list[Path], typer.Option("--scenes", help="Scene folders made by s4r import.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to make for checkpoint, log and configuration.")],
    config: Annotated[
        Path | None, typer.Option("--config", help="YAML configuration; default: the defaults of config.py.")
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="section.key=value, one or more.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in --out.")] = False,
    init: Annotated[
        Path | None,
        typer.Option("--init", help="Weights (.safetensors) or checkpoint to start a new training from."),
    ] = None,
    new_classes: Annotated[
        bool, typer.Option("--new-classes", help="With --init: learn the scenes' classes anew, if they are others.")
    ] = False,
) -> None:
    """Train a network on scenes, self-supervised by their own frames."""
    from sparse_s4r.training.run import run_training

    checkpoint = run_training(config, settings or [], scenes, out, resume, init, new_classes)
    typer.echo(f"wrote {checkpoint}")
