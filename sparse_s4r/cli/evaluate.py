"""s4r evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def evaluate_command(
    prediction: Annotated[Path, typer.Argument(help="Prediction folder made by s4r predict.")],
    like: Annotated[Path, typer.Option("--like", help="Scene folder that it was made of.")],
    out: Annotated[Path, typer.Option("--out", help="JSON file to write.")],
    width: Annotated[
        int | None, typer.Option("--width", min=16, help="Width to render at, pixels; default: as stored.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="Folder of label images NAME.png instead of the scene's own labels.")
    ] = None,
) -> None:
    """Compare a prediction with held-out frames and the fuller scan, beside the fused input."""
    from rich.console import Console

    from sparse_s4r.evaluation.run import evaluate_prediction, save_metrics
    from sparse_s4r.evaluation.table import metrics_table
    from sparse_s4r.structures.errors import DataError

    if out.exists():
        raise DataError(f"{out}: expected a file that does not exist yet; name another")
    console = Console()
    with console.status("rendering held-out views"):
        metrics = evaluate_prediction(prediction, like, width=width, labels=labels)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_metrics(metrics, out)
    console.print(metrics_table(metrics))
