"""A home on disk: a capture in the generic layout, and the truth beside it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from sparse_s4r.data.homes.classes import FINE_NAMES, LabelMap
from sparse_s4r.data.homes.frames import HomeScene, Shot, open_home
from sparse_s4r.data.homes.home import Home, make_home
from sparse_s4r.data.homes.sensor import SensorModel, drift, measure_depth, take_color, written_poses
from sparse_s4r.data.homes.truth import home_grid, voxelise
from sparse_s4r.data.homes.truth_file import save_truth
from sparse_s4r.data.homes.walk import walk_through
from sparse_s4r.data.output import new_folder
from sparse_s4r.data.synthetic_render import pinhole
from sparse_s4r.structures import Camera
from sparse_s4r.structures.errors import UserError

VERSION = 1
# 16 bits reach 16.4 m, and rounding is 0.1 mm.
DEPTH_SCALE = 0.00025
_FARTHEST = 65535 * DEPTH_SCALE
_JPEG_QUALITY = 95


@dataclass(frozen=True)
class HomeOptions:
    """How homes are written.

    Attributes:
        frames: Frames per room; 0: the truth alone.
        width: Picture width, pixels.
        height: Picture height, pixels.
        degrees: Horizontal field of view.
        voxel_size: Edge of the truth's voxels, metres.
        sensor: Defects of the camera.
        taxonomy: Name of the list of classes.

    Raises:
        UserError: A number out of range.
    """

    frames: int
    width: int
    height: int
    degrees: float
    voxel_size: float
    sensor: SensorModel
    taxonomy: str

    def __post_init__(self) -> None:
        if self.frames < 0:
            raise UserError(f"frames: expected a number >= 0, got {self.frames}")
        if not (8 <= self.width <= 4096 and 8 <= self.height <= 4096):
            raise UserError(f"width and height: expected 8 to 4096 pixels, got {self.width} x {self.height}")
        if not 20.0 <= self.degrees <= 120.0:
            raise UserError(f"degrees: expected a field of view of 20 to 120, got {self.degrees:g}")
        if not 0.005 <= self.voxel_size <= 0.5:
            raise UserError(f"voxel size: expected 0.005 to 0.5 metres, got {self.voxel_size:g}")

    @property
    def record(self) -> dict[str, object]:
        """As written beside every home."""
        return asdict(self)


@dataclass(frozen=True)
class HomeSummary:
    """What was written of one home.

    Attributes:
        rooms: Number of rooms.
        frames: Number of frames.
        voxels: Number of voxels of the truth.
        area: Surface, square metres.
        class_area: (F,) square metres of every fine class.
    """

    rooms: int
    frames: int
    voxels: int
    area: float
    class_area: tuple[float, ...]


def write_home(seed: int, rooms: int, folder: Path, options: HomeOptions, labels: LabelMap) -> HomeSummary:
    """Make a home and write color/, depth/, labels/, poses/, intrinsics.txt, capture.json and truth/.

    Args:
        seed: Seed of the home, its walk and its camera's noise.
        rooms: Number of rooms.
        folder: The folder to make; it appears when everything is written.
        options: How.
        labels: Classes of label images and truth.

    Raises:
        DataError: ``folder`` exists.
    """
    scene = open_home(make_home(seed, rooms))
    with new_folder(folder) as target:
        (target / "truth").mkdir()
        if options.frames:
            _write_frames(scene, target, options, labels)
        truth = voxelise(scene, home_grid(scene.surface, options.voxel_size))
        save_truth(target / "truth" / "voxels.npz", truth, scene.surface, labels)
        summary = _summarise(scene, options, len(truth.field))
        described = {
            "version": VERSION,
            "seed": seed,
            "options": options.record,
            "rooms": [asdict(room) for room in scene.home.plan.rooms],
            "height": scene.home.plan.height,
            "objects": _objects(scene.home),
            "summary": asdict(summary),
        }
        _write_json(target / "truth" / "home.json", described)
    return summary


def _write_frames(scene: HomeScene, target: Path, options: HomeOptions, labels: LabelMap) -> None:
    for name in ("color", "depth", "labels", "poses"):
        (target / name).mkdir()
    home, count = scene.home, options.frames * len(scene.home.plan.rooms)
    pose = torch.eye(4, dtype=torch.float64)
    intrinsics = pinhole(options.width, options.height, options.degrees, pose).intrinsics
    cameras = walk_through(scene, count, home.seed, intrinsics, (options.width, options.height))
    rng = np.random.default_rng([home.seed, len(home.plan.rooms), 5])
    poses = written_poses(cameras, options.sensor, rng)
    gains = 1.0 + drift(count, rng, 0.2)
    for index, camera in enumerate(cameras):
        name = f"{index:05d}"
        shot = scene.shoot(camera)
        following = cameras[min(index + 1, count - 1)]
        _write_images(shot, camera, following, target, name, options, float(gains[index]), rng)
        Image.fromarray(scene.labels(shot, labels)).save(target / "labels" / f"{name}.png", compress_level=3)
        np.savetxt(target / "poses" / f"{name}.txt", poses[index], fmt="%.9f")
    np.savetxt(target / "intrinsics.txt", intrinsics.numpy(), fmt="%.9g")
    true = np.stack([camera.camera_to_world.numpy().ravel() for camera in cameras])
    np.savetxt(target / "truth" / "poses.txt", true, fmt="%.9f")
    _write_json(
        target / "capture.json", {"depth_scale": DEPTH_SCALE, "up": "z", "class_names": list(labels.class_names)}
    )


def _write_images(
    shot: Shot,
    camera: Camera,
    following: Camera,
    target: Path,
    name: str,
    options: HomeOptions,
    gain: float,
    rng: np.random.Generator,
) -> None:
    color = Image.fromarray(take_color(shot, camera, following, options.sensor, gain, rng))
    if options.sensor.jpeg:
        color.save(target / "color" / f"{name}.jpg", quality=_JPEG_QUALITY)
    else:
        color.save(target / "color" / f"{name}.png", compress_level=3)
    depth = measure_depth(shot, options.sensor, rng)
    depth[depth > _FARTHEST] = 0.0
    stored = np.rint(depth / DEPTH_SCALE).astype(np.uint16)
    Image.fromarray(stored).save(target / "depth" / f"{name}.png", compress_level=3)


def _objects(home: Home) -> list[dict[str, object]]:
    """Class, room and box of every object, in the order of the truth's instances."""
    objects: list[dict[str, object]] = []
    for item in home.items:
        corners = np.concatenate([face for solid in item.thing for face in solid.polygons()])
        box = [[round(float(value), 4) for value in edge] for edge in (corners.min(axis=0), corners.max(axis=0))]
        objects.append({"class": item.thing[0].class_name, "room": item.room, "box": box})
    return objects


def _summarise(scene: HomeScene, options: HomeOptions, voxels: int) -> HomeSummary:
    surface, rooms = scene.surface, len(scene.home.plan.rooms)
    fine = surface.owners.label[surface.owner]
    area = np.bincount(fine, weights=surface.areas, minlength=len(FINE_NAMES))
    shares = tuple(round(float(value), 4) for value in area)
    return HomeSummary(rooms, options.frames * rooms, voxels, round(float(area.sum()), 3), shares)


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
