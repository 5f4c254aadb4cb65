"""A generated room imported at a coarse voxel: small enough to train on in seconds, real enough to have holes."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparse_s4r.data.import_options import ImportOptions, Labelling
from sparse_s4r.data.import_scene import import_scene
from sparse_s4r.data.readers import open_capture
from sparse_s4r.data.scene import Scene, open_scene
from sparse_s4r.data.synthetic import make_room
from sparse_s4r.data.synthetic_capture import write_capture
from sparse_s4r.data.synthetic_path import make_trajectory
from sparse_s4r.training.run import run_training

VOXEL = 0.16
STEPS = 12
# The smallest network that the configuration allows, and no warm-up: a few steps must show something.
TINY = (
    "model.widths=[4,4,6,6,8]",
    "model.bottleneck_blocks=1",
    "model.reach=1",
    "data.image_width=24",
    "train.warmup=0",
    "train.schedule=constant",
    "train.learning_rate=0.003",
    "loss.depth.start=2",
    "loss.color.start=2",
    "loss.semantic.start=2",
)


def make_small_scene(folder: Path, labels: bool = True) -> Scene:
    """Write a capture of a room and the scene made of it below ``folder``; 10 frames, of which 4 are the input."""
    room = make_room(seed=3)
    write_capture(room, make_trajectory(room, 10, seed=3, width=48, height=36), folder / "capture", labels=labels)
    capture = open_capture(folder / "capture", "auto")
    labelling = Labelling(capture.class_names) if capture.class_names is not None else None
    options = ImportOptions(voxel_size=VOXEL, keep=0.5, held_out=0.2, seed=1)
    import_scene(capture, folder / "scene", options, labelling)
    return open_scene(folder / "scene")


def shared_scene(factory: pytest.TempPathFactory) -> Path:
    """The small scene's folder, made once in a session; not to be written to."""
    base = factory.getbasetemp() / "small"
    if not (base / "scene").exists():
        make_small_scene(base)
    return base / "scene"


def shared_run(factory: pytest.TempPathFactory) -> Path:
    """The folder of a training of ``STEPS`` steps on the small scene, made once in a session; not to be written to."""
    scene = shared_scene(factory)
    run = scene.parent / "run"
    if not run.exists():
        run_training(None, [*TINY, f"train.steps={STEPS}"], [scene], run, resume=False)
    return run
