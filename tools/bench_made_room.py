"""A generated room as a scene folder, at any size: what the benchmarks run on where no scene is given."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparse_s4r.data.import_options import ImportOptions, Labelling
from sparse_s4r.data.import_scene import import_scene
from sparse_s4r.data.output import new_folder
from sparse_s4r.data.readers import open_capture
from sparse_s4r.data.synthetic import make_room
from sparse_s4r.data.synthetic_capture import write_capture
from sparse_s4r.data.synthetic_path import make_trajectory

_SEED = 0
_HELD_OUT = 0.05


@dataclass(frozen=True)
class RoomRecipe:
    """How a generated room becomes a scene.

    Attributes:
        frames: Number of views along a walk through the room.
        width: Width of the images, pixels; 4:3.
        voxel_size: Metres.
        keep: Share of the frames that feed the incomplete scan.
    """

    frames: int = 48
    width: int = 320
    voxel_size: float = 0.02
    keep: float = 0.7


# Voxels of the incomplete scan of the room as it is, by the recipe above: the size of the others follows from it.
VOXELS_AS_IT_IS = 640_000
QUICK = RoomRecipe(frames=8, width=48, voxel_size=0.16)


def room_scene(voxels: int, cache: Path, recipe: RoomRecipe | None = None) -> Path:
    """The scene folder of a generated room with about ``voxels`` voxels, made unless ``cache`` holds it.

    The room is that of ``s4r demo``, enlarged or reduced with all that is in it: distances of the frames are scaled,
    the images stay, and the voxels keep their size. Its surface, and with it the number of voxels, grows as the
    square of the scale.

    Args:
        voxels: Wanted; what came out is counted and told with every figure.
        cache: Folder for what takes minutes to make.
        recipe: How; None: as the figures of docs/benchmarks.md.
    """
    recipe = recipe or RoomRecipe()
    target = cache / f"room-{recipe.frames}x{recipe.width}-{recipe.voxel_size:g}m-{voxels}"
    if target.exists():
        return target
    scale = (voxels / VOXELS_AS_IT_IS) ** 0.5 if recipe == RoomRecipe() else 1.0
    capture = _capture(cache / f"capture-{recipe.frames}x{recipe.width}", recipe)
    cache.mkdir(parents=True, exist_ok=True)
    scaled = cache / f"{target.name}-frames"
    if scaled.exists():
        shutil.rmtree(scaled)
    scale_capture(capture, scaled, scale)
    reader = open_capture(scaled, "auto")
    options = ImportOptions(
        voxel_size=recipe.voxel_size, keep=recipe.keep, held_out=_HELD_OUT, seed=_SEED, depth_max=6.0 * max(scale, 1.0)
    )
    import_scene(reader, target, options, Labelling(reader.class_names or ()))
    shutil.rmtree(scaled)
    return target


def _capture(folder: Path, recipe: RoomRecipe) -> Path:
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        room = make_room(_SEED)
        cameras = make_trajectory(room, recipe.frames, _SEED, recipe.width, recipe.width * 3 // 4)
        write_capture(room, cameras, folder)
    return folder


def scale_capture(capture: Path, out: Path, scale: float) -> None:
    """Copy a capture with all distances times ``scale``."""
    with new_folder(out) as folder:
        shutil.copytree(capture, folder, dirs_exist_ok=True)
        described = json.loads((folder / "capture.json").read_text())
        described["depth_scale"] *= scale
        (folder / "capture.json").write_text(json.dumps(described))
        for path in sorted((folder / "poses").iterdir()):
            pose = np.loadtxt(path)
            pose[:3, 3] *= scale
            np.savetxt(path, pose, fmt="%.9f")
