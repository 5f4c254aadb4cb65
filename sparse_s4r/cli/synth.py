"""s4r synth: homes of our own, with frames and the whole truth."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from sparse_s4r.data.homes.classes import LabelMap
    from sparse_s4r.data.homes.production import HomeDone


class Sensor(str, Enum):
    """Cameras."""

    kinect = "kinect"
    exact = "exact"


def synth_command(
    rooms: Annotated[int, typer.Option(help="Number of rooms in all.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Folder for the homes, one folder each.", show_default=False)],
    rooms_per_home: Annotated[int, typer.Option(help="Rooms of a home, connected by doors.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the first home; the others count up.")] = 0,
    frames: Annotated[int, typer.Option(help="Frames per room; 0: the truth alone.")] = 60,
    taxonomy: Annotated[
        str, typer.Option(help="Classes: scannet15, scannet20, matterport11, structure, or homes for all there are.")
    ] = "scannet20",
    width: Annotated[int, typer.Option(help="Picture width, pixels.")] = 320,
    height: Annotated[int, typer.Option(help="Picture height, pixels.")] = 240,
    degrees: Annotated[float, typer.Option(help="Horizontal field of view, degrees.")] = 60.0,
    voxel_size: Annotated[float, typer.Option(help="Edge of the truth's voxels, metres.")] = 0.02,
    sensor: Annotated[Sensor, typer.Option(help="A Kinect-like camera, or one without defects.")] = Sensor.kinect,
    without: Annotated[
        list[str] | None,
        typer.Option(
            help="Switch off a defect: quantisation, axial_noise, edges, range, jitter, exposure, blur or jpeg."
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Homes made at the same time.")] = 1,
) -> None:
    """Make furnished homes: posed RGB-D and label frames along a walk, and the truth about every surface voxel.

    Homes that are finished are kept, so the same command goes on where it was stopped.
    """
    from rich.console import Console

    from sparse_s4r.cli.import_progress import ImportProgress
    from sparse_s4r.data.homes.capture import HomeOptions
    from sparse_s4r.data.homes.production import make_homes, plan_jobs
    from sparse_s4r.data.homes.sensor import EXACT, KINECT

    model = (KINECT if sensor is Sensor.kinect else EXACT).without(*(without or ()))
    options = HomeOptions(frames, width, height, degrees, voxel_size, model, taxonomy)
    labels = taxonomy_map(taxonomy)
    planned = plan_jobs(out, rooms, rooms_per_home, seed)
    console, done = Console(), list["HomeDone"]()
    with ImportProgress(console) as progress:
        progress.stage("homes", len(planned))
        for home in make_homes(planned, options, labels, jobs):
            done.append(home)
            progress.advance()
            if home.kept:
                console.print(f"  {home.job.folder}: is there already, kept", markup=False, soft_wrap=True)
    _print_summary(console, out, done)


def taxonomy_map(taxonomy: str) -> LabelMap:
    """The map from the classes of homes to those of a shipped taxonomy.

    Raises:
        DataError: No such taxonomy, or one that homes cannot be labelled in.
    """
    from sparse_s4r.data.homes.classes import TAXONOMY_NAMES, label_map
    from sparse_s4r.segmentation.taxonomy import load_taxonomy

    names = load_taxonomy(taxonomy).class_names if taxonomy in TAXONOMY_NAMES else ()
    return label_map(taxonomy, names)


def _print_summary(console: Console, out: Path, done: list[HomeDone]) -> None:
    from rich.table import Table

    from sparse_s4r.data.homes.classes import FINE_NAMES

    made = [home for home in done if not home.kept]
    summaries = [home.summary for home in done]
    total = sum(summary.area for summary in summaries)
    areas = [sum(summary.class_area[i] for summary in summaries) for i in range(len(FINE_NAMES))]
    largest = sorted(range(len(FINE_NAMES)), key=lambda i: -areas[i])[:8]
    table = Table(show_header=False, box=None)
    table.add_row("homes", f"{len(done)} with {sum(s.rooms for s in summaries)} rooms, {len(done) - len(made)} kept")
    table.add_row("frames", f"{sum(s.frames for s in summaries):,}")
    table.add_row("voxels", f"{sum(s.voxels for s in summaries):,} of truth")
    table.add_row(
        "surface", f"{total:,.0f} m2: " + ", ".join(f"{FINE_NAMES[i]} {areas[i] / total:.0%}" for i in largest)
    )
    table.add_row("folder", str(out))
    console.print(table)
