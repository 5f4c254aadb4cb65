"""s4r check: verify a scene folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def check_command(
    scene_dir: Annotated[Path, typer.Argument(help="Scene folder made by `s4r import`.", show_default=False)],
) -> None:
    """Verify that a scene folder holds what the scene format states; exit code 1 if it does not."""
    from rich.console import Console

    from sparse_s4r.data.scene_check import check_scene

    console = Console()
    with console.status(f"checking {scene_dir}"):
        report = check_scene(scene_dir)
    for fact in report.facts:
        console.print(f"  {fact}", markup=False)
    for problem in report.problems:
        console.print(f"problem: {problem}", markup=False, style="red", soft_wrap=True)
    if not report.ok:
        console.print(f"{report.name}: {len(report.problems)} problems", markup=False)
        raise typer.Exit(1)
    console.print(f"{report.name}: sound", markup=False, style="green")
