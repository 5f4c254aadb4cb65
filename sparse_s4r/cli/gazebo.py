"""s4r synth-world: a Gazebo world as a capture."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from sparse_s4r.data.gazebo.capture import CaptureSummary


class Classes(str, Enum):
    """Taxonomies that the names of models are mapped to."""

    scannet15 = "scannet15"
    scannet20 = "scannet20"
    matterport11 = "matterport11"


def synth_world_command(
    world: Annotated[Path, typer.Argument(help="World or model file of Gazebo (SDF).", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Capture folder to make; must not exist.", show_default=False)],
    models: Annotated[
        list[Path] | None, typer.Option("--models", help="Folder with models; may be given several times.")
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Number of frames; default: two per metre walked through all rooms.")
    ] = None,
    taxonomy: Annotated[Classes, typer.Option(help="Classes of the labels.")] = Classes.scannet15,
    classes: Annotated[
        Path | None, typer.Option(help="YAML file of names and classes instead of the one that comes along.")
    ] = None,
    width: Annotated[int, typer.Option(min=16, max=4096, help="Width of the images, pixels.")] = 320,
    height: Annotated[int, typer.Option(min=16, max=4096, help="Height of the images, pixels.")] = 240,
    field_of_view: Annotated[float, typer.Option(min=20, max=150, help="Horizontal, degrees.")] = 65.0,
    voxel_size: Annotated[float, typer.Option(min=0.001, help="Of the ground truth, metres.")] = 0.02,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sway of the hand.")] = 0,
    check: Annotated[
        bool, typer.Option("--check", help="Fuse the capture and say how far the scan lies from the world.")
    ] = False,
) -> None:
    """Walk through a Gazebo world: RGB-D frames with labels, and every surface voxel as ground truth."""
    import numpy as np
    from rich.console import Console

    from sparse_s4r.data.gazebo.capture import CaptureOptions, capture_world
    from sparse_s4r.data.gazebo.classes import load_classes
    from sparse_s4r.data.gazebo.fusion_check import check_fusion
    from sparse_s4r.data.gazebo.scene import load_world
    from sparse_s4r.segmentation.taxonomy import load_taxonomy

    console = Console()
    options = CaptureOptions(frames, width, height, field_of_view, voxel_size, seed)
    chosen = load_classes(taxonomy.value, classes)
    colors = None if classes else np.array(load_taxonomy(taxonomy.value).colors, dtype=np.uint8)
    with console.status("reading the world"):
        loaded = load_world(world, chosen, models or [])
    console.print(f"{loaded.models} models, {len(loaded.scene.triangles):,} triangles", markup=False)
    with console.status("ground truth and frames"):
        summary = capture_world(loaded, out, options, colors)
    _print_summary(console, out, summary)
    if check:
        with console.status("fusing"):
            result = check_fusion(loaded.scene, out, voxel_size)
        console.print(
            f"fused at {voxel_size * 1000:g} mm: {result.voxels:,} voxels in the band; its mesh lies "
            f"{result.median * 1000:.2f} mm (median) from the world, 95 % within {result.percentile_95 * 1000:.1f} mm"
        )


def _print_summary(console: Console, out: Path, summary: CaptureSummary) -> None:
    from rich.table import Table

    for line in summary.lines:
        console.print(f"  {line}", markup=False, soft_wrap=True)
    table = Table(show_header=False, box=None)
    rooms = " + ".join(str(count) for count in summary.frames_per_room)
    table.add_row("frames", f"{summary.frames} ({rooms} in {len(summary.frames_per_room)} rooms)")
    table.add_row("floor", f"at {summary.floor:.2f} m, {summary.walkable:.0f} m2 to stand on")
    share = 100 * summary.seen / max(summary.reachable, 1)
    table.add_row(
        "voxels", f"{summary.voxels:,} on surfaces, {summary.reachable:,} open to the rooms, {share:.0f} % of them seen"
    )
    for name, count in summary.class_voxels:
        if count:
            table.add_row(f"  {name}", f"{count:,}")
    table.add_row("time", f"{summary.truth_seconds:.1f} s ground truth, {summary.seconds_per_frame:.2f} s per frame")
    table.add_row("capture", str(out))
    console.print(table)
