"""s4r import: from posed RGB-D frames to a scene folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparse_s4r.cli.import_choices import (
    CoverOption,
    FormatOption,
    JobsOption,
    Keep,
    KeepModeOption,
    KeepOption,
    KeyframesOption,
    LabelImagesOption,
    Labels,
    LabelsOption,
    Layout,
    MaxSkippedOption,
    StrictOption,
    TaxonomyOption,
    Up,
)

if TYPE_CHECKING:
    from rich.console import Console

    from sparse_s4r.data.import_options import ImportSummary


def import_command(
    frames_dir: Annotated[Path, typer.Argument(help="Folder, or file, of posed RGB-D frames.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Scene folder to make; must not exist.", show_default=False)],
    layout: FormatOption = Layout.auto,
    voxel_size: Annotated[float, typer.Option(help="Edge of a voxel, metres.")] = 0.02,
    keep: KeepOption = None,
    cover: CoverOption = None,
    keep_mode: KeepModeOption = Keep.random,
    held_out: Annotated[float, typer.Option(help="Share of frames kept for judging, evenly spaced.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Seed of the choice of frames.")] = 0,
    up: Annotated[Up, typer.Option(help="Axis of the capture's world that points up.")] = Up.auto,
    yaw: Annotated[float, typer.Option(help="Turn of the world about up, degrees.")] = 0.0,
    depth_max: Annotated[float, typer.Option(help="Depth beyond which nothing is fused, metres.")] = 6.0,
    every: Annotated[int, typer.Option(help="Use every n-th frame.")] = 1,
    image_width: Annotated[int, typer.Option(help="Largest width of stored images, pixels.")] = 640,
    labels: LabelsOption = Labels.auto,
    label_images: LabelImagesOption = None,
    taxonomy: TaxonomyOption = None,
    keyframes: KeyframesOption = False,
    key_distance: Annotated[float, typer.Option(help="Least motion between key frames, metres.")] = 0.1,
    key_degrees: Annotated[float, typer.Option(help="Or least turn between key frames, degrees.")] = 10.0,
    strict: StrictOption = False,
    max_skipped: MaxSkippedOption = 0.2,
    jobs: JobsOption = None,
) -> None:
    """Fuse posed RGB-D frames into a scene folder: an incomplete scan, the fuller one, and what was observed."""
    from rich.console import Console

    from sparse_s4r.cli.import_labels import labelled_capture
    from sparse_s4r.cli.import_progress import ImportProgress
    from sparse_s4r.data.import_options import ImportOptions, KeyFrameRule
    from sparse_s4r.data.import_scene import import_scene
    from sparse_s4r.structures.errors import DataError

    options = ImportOptions(
        voxel_size=voxel_size,
        keep=0.5 if keep is None else keep,
        cover=cover,
        keep_mode=keep_mode.value,
        held_out=held_out,
        seed=seed,
        up=up.value,
        yaw=yaw,
        depth_max=depth_max,
        every=every,
        image_width=image_width,
        key_frames=KeyFrameRule(key_distance, key_degrees) if keyframes else None,
        strict=strict,
        max_skipped=max_skipped,
    )
    expect_jobs(jobs)
    if keep is not None and cover is not None:
        raise DataError(f"--keep {keep} --cover {cover}: expected one of them, got both; both choose the input frames")
    console = Console()
    capture, labelling = labelled_capture(frames_dir, layout.value, labels, label_images, taxonomy)
    with ImportProgress(console) as progress:
        summary = import_scene(capture, out, options, labelling, progress, jobs)
    _print_summary(console, out, summary)


def expect_jobs(jobs: int | None) -> None:
    """Raise DataError if a number of threads is given that is none."""
    from sparse_s4r.structures.errors import DataError

    if jobs is not None and jobs < 1:
        raise DataError(f"--jobs: expected at least 1, got {jobs}")


def _print_summary(console: Console, out: Path, summary: ImportSummary) -> None:
    from rich.table import Table

    from sparse_s4r.data.report import print_report

    print_report(summary.report, console)
    table = Table(show_header=False, box=None)
    parts = ", ".join(f"{count} {split}" for split, count in sorted(summary.splits.items()))
    table.add_row("frames", f"{summary.frames} ({parts}), {len(summary.skipped)} left out")
    table.add_row("voxels", f"{summary.voxels_input:,} input, {summary.voxels_target:,} target")
    table.add_row("coverage", f"the input holds {summary.coverage:.1%} of the target's surface")
    table.add_row("extent", " x ".join(f"{metres:.1f}" for metres in summary.extent) + " m")
    table.add_row("time", f"{summary.seconds:.1f} s")
    table.add_row("scene", f"{out}, with report.json and report.png")
    console.print(table)
