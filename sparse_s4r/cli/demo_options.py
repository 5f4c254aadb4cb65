"""What the demo is told, and how the room is imported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from sparse_s4r.cli.import_progress import ImportProgress
from sparse_s4r.data.import_options import ImportOptions, Labelling
from sparse_s4r.data.import_scene import import_scene
from sparse_s4r.data.readers import Capture

# Frames of a made room, and the share of them that the network gets to see: few enough to leave holes.
FRAMES = 40
KEEP = 0.2


@dataclass(frozen=True)
class DemoOptions:
    """What the demo is told.

    Attributes:
        out: Folder to make.
        frames: Capture to use; None: a room is made.
        config: Configuration file; None: the demo's own, or that of the weights.
        settings: ``section.key=value`` on top of it.
        voxel_size: Metres; None: 4 cm from scratch, that of the weights otherwise.
        seed: Seed of the room, its frames and the training.
        from_scratch: Train a small network on the room's own frames instead of using trained weights.
        checkpoint: Weights to use; None: the shipped ones.
        refine_steps: Steps in which the weights adapt to the room; 0: none.
    """

    out: Path
    frames: Path | None = None
    config: Path | None = None
    settings: tuple[str, ...] = ()
    voxel_size: float | None = None
    seed: int = 0
    from_scratch: bool = False
    checkpoint: Path | None = None
    refine_steps: int = 0


def import_room(
    options: DemoOptions,
    capture: Capture,
    labelling: Labelling | None,
    voxel_size: float,
    image_width: int,
    console: Console,
) -> Path:
    """Import the demo's capture, tell its size, and return the scene folder."""
    import_options = ImportOptions(voxel_size=voxel_size, keep=KEEP, seed=options.seed, image_width=image_width)
    with ImportProgress(console) as progress:
        summary = import_scene(capture, options.out / "scene", import_options, labelling, progress)
    console.print(f"{summary.frames} frames, {summary.voxels_input:,} voxels seen by the kept ones, ", end="")
    console.print(f"{summary.voxels_target:,} by all", highlight=False)
    for line in (*summary.notes, *summary.warnings):
        console.print(f"  {line}", markup=False, soft_wrap=True)
    return options.out / "scene"
