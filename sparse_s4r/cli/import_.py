"""s4r import: from posed RGB-D frames to a scene folder."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from sparse_s4r.data.import_options import ImportSummary, Labelling
    from sparse_s4r.data.readers import Capture
    from sparse_s4r.structures import RGBDFrame


class Layout(str, Enum):
    """Layouts of captures."""

    auto = "auto"
    generic = "generic"
    sevenscenes = "sevenscenes"
    hololens = "hololens"


class Up(str, Enum):
    """Axes of the capture's world."""

    auto = "auto"
    x = "x"
    minus_x = "-x"
    y = "y"
    minus_y = "-y"
    z = "z"
    minus_z = "-z"


class Keep(str, Enum):
    """How the frames of the incomplete scan are chosen."""

    random = "random"
    block = "block"


class Labels(str, Enum):
    """Where labels come from."""

    auto = "auto"
    none = "none"
    geometry = "geometry"


def import_command(
    frames_dir: Annotated[Path, typer.Argument(help="Folder of posed RGB-D frames.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Scene folder to make; must not exist.", show_default=False)],
    layout: Annotated[Layout, typer.Option("--format", help="Layout of the folder.")] = Layout.auto,
    voxel_size: Annotated[float, typer.Option(help="Edge of a voxel, metres.")] = 0.02,
    keep: Annotated[float, typer.Option(help="Share of the frames that feed the incomplete scan.")] = 0.5,
    keep_mode: Annotated[
        Keep, typer.Option(help="Leave out frames at random, or one block of consecutive frames.")
    ] = Keep.random,
    held_out: Annotated[float, typer.Option(help="Share of frames kept for judging, evenly spaced.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Seed of the choice of frames.")] = 0,
    up: Annotated[Up, typer.Option(help="Axis of the capture's world that points up.")] = Up.auto,
    depth_max: Annotated[float, typer.Option(help="Depth beyond which nothing is fused, metres.")] = 6.0,
    every: Annotated[int, typer.Option(help="Use every n-th frame.")] = 1,
    image_width: Annotated[int, typer.Option(help="Largest width of stored images, pixels.")] = 640,
    labels: Annotated[
        Labels, typer.Option(help="auto: label images of the capture if it has them; geometry: from shapes.")
    ] = Labels.auto,
    label_images: Annotated[
        Path | None, typer.Option(help="Folder of label images NAME.png made elsewhere; needs --taxonomy.")
    ] = None,
    taxonomy: Annotated[
        str | None, typer.Option(help="Classes of the label images: scannet15, structure, or a YAML file.")
    ] = None,
    skip_bad_frames: Annotated[
        bool, typer.Option("--skip-bad-frames", help="Leave out frames that cannot be used, up to 20 %.")
    ] = False,
) -> None:
    """Fuse posed RGB-D frames into a scene folder: an incomplete scan, the fuller one, and what was observed."""
    from rich.console import Console

    from sparse_s4r.cli.import_progress import ImportProgress
    from sparse_s4r.data.import_options import ImportOptions
    from sparse_s4r.data.import_scene import import_scene
    from sparse_s4r.data.readers import open_capture

    options = ImportOptions(
        voxel_size=voxel_size,
        keep=keep,
        keep_mode=keep_mode.value,
        held_out=held_out,
        seed=seed,
        up=up.value,
        depth_max=depth_max,
        every=every,
        image_width=image_width,
        skip_bad_frames=skip_bad_frames,
    )
    console = Console()
    capture = open_capture(frames_dir, layout.value)
    labelling = _labelling(labels, capture) if label_images is None else image_labelling(label_images, taxonomy)
    with ImportProgress(console) as progress:
        summary = import_scene(capture, out, options, labelling, progress)
    _print_summary(console, out, summary)


def geometric_labelling() -> Labelling:
    """Labels from shapes; the floor's height is taken from the whole capture, since not every frame sees it."""
    from sparse_s4r.data.import_options import LabelFrame, Labelling
    from sparse_s4r.segmentation.geometric import STRUCTURE_NAMES, GeometricSegmenter, estimate_floor

    def prepare(sample: list[RGBDFrame]) -> LabelFrame:
        return GeometricSegmenter(floor_height=estimate_floor(sample)).label_frame

    return Labelling(STRUCTURE_NAMES, prepare=prepare)


def image_labelling(folder: Path, taxonomy: str | None) -> Labelling:
    """Labels from images in ``folder`` with the classes of ``taxonomy``, a shipped name or a YAML file."""
    from sparse_s4r.data.import_options import Labelling
    from sparse_s4r.segmentation.interface import label_frame
    from sparse_s4r.segmentation.label_images import LabelImageSegmenter
    from sparse_s4r.segmentation.taxonomy import load_taxonomy, shipped_taxonomies
    from sparse_s4r.structures.errors import DataError

    if taxonomy is None:
        raise DataError(
            f"--label-images {folder}: expected --taxonomy with it, one of {', '.join(shipped_taxonomies())} or a file"
        )
    segmenter = LabelImageSegmenter(folder, load_taxonomy(taxonomy).class_names)
    return Labelling(segmenter.class_names, lambda frame: label_frame(segmenter, frame))


def _labelling(choice: Labels, capture: Capture) -> Labelling | None:
    from sparse_s4r.data.import_options import Labelling

    if choice is Labels.geometry:
        return geometric_labelling()
    if choice is Labels.auto and capture.class_names is not None:
        return Labelling(capture.class_names)
    return None


def _print_summary(console: Console, out: Path, summary: ImportSummary) -> None:
    from rich.table import Table

    for note in summary.notes:
        console.print(f"  {note}", markup=False, soft_wrap=True)
    for line in summary.skipped:
        console.print(f"  left out: {line}", markup=False, soft_wrap=True)
    for line in summary.warnings:
        console.print(f"warning: {line}", markup=False, style="yellow", soft_wrap=True)
    table = Table(show_header=False, box=None)
    parts = ", ".join(f"{count} {split}" for split, count in sorted(summary.splits.items()))
    table.add_row("frames", f"{summary.frames} ({parts}), {len(summary.skipped)} left out")
    table.add_row("voxels", f"{summary.voxels_input:,} input, {summary.voxels_target:,} target")
    table.add_row("extent", " x ".join(f"{metres:.1f}" for metres in summary.extent) + " m")
    table.add_row("time", f"{summary.seconds:.1f} s")
    table.add_row("scene", str(out))
    console.print(table)
