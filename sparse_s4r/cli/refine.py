"""s4r refine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sparse_s4r.refine.candidates import Candidate
    from sparse_s4r.refine.run import RefineSummary


def refine_command(
    scene: Annotated[Path, typer.Argument(help="Scene folder made by s4r import; labels are not needed.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to make for the refined weights, figures and log.")],
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", help="Weights to start from; default: the shipped weights for rooms.")
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Most steps; default: refine.steps.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="YAML keys to change in the weights' own configuration.")
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="section.key=value, one or more.")] = None,
) -> None:
    """Adapt weights to one scan by learning from its own frames, and keep the best by frames left out.

    Never worse than what it started from on the frames that choose: the start is a candidate too.
    """
    from rich.console import Console

    from sparse_s4r.refine.run import REFINED_NAME, run_refinement

    console = Console()

    def tell(candidate: Candidate, better: bool) -> None:
        console.print(candidate_line(candidate, better), highlight=False)

    summary = run_refinement(scene, out, checkpoint, config, settings or (), steps, tell)
    print_summary(console, summary)
    console.print(f"wrote {out / REFINED_NAME}", highlight=False, soft_wrap=True)


def candidate_line(candidate: Candidate, better: bool) -> str:
    """One score, in a line."""
    score = candidate.score
    color = "" if score.color_error is None else f", colour error {score.color_error:.3f}"
    line = f"step {candidate.step}: score {score.total:.4f} (within 5 cm {score.within_5cm:.1%}, covered "
    return f"{line}{score.coverage:.1%}{color}){'  best so far' if better and candidate.step else ''}"


def print_summary(console: Console, summary: RefineSummary) -> None:
    """What came of a refinement."""
    console.print(f"started from {summary.weights}", highlight=False, markup=False, soft_wrap=True)
    for warning in summary.warnings:
        console.print(f"warning: {warning}", style="yellow", highlight=False, markup=False, soft_wrap=True)
    console.print(_table(summary))
    if summary.best_step == 0:
        console.print("the starting weights scored best and were kept", highlight=False)
    else:
        console.print(f"kept: the weights after {summary.best_step} of {summary.steps} steps", highlight=False)
    if summary.choosing_in_scan:
        console.print("few held-out frames: the choosing frames are part of the fuller scan, which flatters them")
    if summary.reporting is None:
        console.print("no held-out frames to report on; import with --held-out 0.1 to have some")


def _table(summary: RefineSummary) -> Table:
    from rich.table import Table

    table = Table(title=summary.scene)
    for name in ("frames", "weights", "score", "within 5 cm", "covered", "colour error"):
        table.add_column(name, justify="left" if name in ("frames", "weights") else "right")
    for name, judged in (("choosing", summary.choosing), ("reporting", summary.reporting)):
        if judged is None:
            continue
        for when, score in (("before", judged.before), ("after", judged.after)):
            table.add_row(
                f"{len(judged.frames)} {name}" if when == "before" else "",
                when,
                f"{score.total:.4f}",
                f"{score.within_5cm:.1%}",
                f"{score.coverage:.1%}",
                "-" if score.color_error is None else f"{score.color_error:.3f}",
            )
    return table
