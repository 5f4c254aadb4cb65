"""Show made homes on contact sheets, and count their classes.

    python tools/synth_contact_sheet.py homes/ --out sheets/

Reads the folders that ``s4r synth`` made, makes their homes again from their seeds, and draws each from above without
its ceiling and from inside along its walk; beside that a histogram of the classes over all of them.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open3d as o3d
import torch
from PIL import Image

from sparse_s4r.data.homes.classes import FINE_NAMES
from sparse_s4r.data.homes.frames import HomeScene, open_home
from sparse_s4r.data.homes.home import make_home
from sparse_s4r.data.homes.walk import walk_through
from sparse_s4r.data.synthetic_render import pinhole
from sparse_s4r.structures.errors import DataError

_TILE = (240, 180)
_FRAMES = 40
_DEGREES = 75.0
_BACKGROUND = 40


@dataclass(frozen=True)
class MadeHome:
    """What the record beside a home says: its seed, rooms, area per class (m2), voxels, objects per class."""

    seed: int
    rooms: int
    area: tuple[float, ...]
    voxels: int
    objects: tuple[int, ...]


def read_homes(folder: Path) -> list[MadeHome]:
    """The homes below a folder, in the order of their names.

    Raises:
        DataError: No homes.
    """
    homes: list[MadeHome] = []
    for path in sorted(folder.glob("home-*/truth/home.json")):
        record = json.loads(path.read_text("utf-8"))
        counts = np.bincount(
            [FINE_NAMES.index(thing["class"]) for thing in record["objects"]], minlength=len(FINE_NAMES)
        )
        summary = record["summary"]
        area, objects = tuple(summary["class_area"]), tuple(int(count) for count in counts)
        homes.append(MadeHome(record["seed"], summary["rooms"], area, summary["voxels"], objects))
    if not homes:
        raise DataError(f"{folder}: expected folders home-*/ that s4r synth made, got none")
    return homes


def overhead(scene: HomeScene, size: tuple[int, int]) -> np.ndarray:
    """A home from straight above without its ceiling, as bytes (height, width, 3)."""
    surface, height = scene.surface, scene.home.plan.height
    top = (surface.triangles[:, :, 2] > height - 1e-4).all(axis=1) & (surface.normals[:, 2] < -0.9)
    hung = np.isin(surface.owners.instance[surface.owner], _hung(scene))
    rows = np.flatnonzero(~(top | hung))
    open_scene = o3d.t.geometry.RaycastingScene()
    corners = surface.triangles[rows].reshape(-1, 3).astype(np.float32)
    open_scene.add_triangles(
        o3d.core.Tensor(corners), o3d.core.Tensor(np.arange(len(corners), dtype=np.uint32).reshape(-1, 3))
    )
    low, high = surface.air.low.min(axis=0), surface.air.high.max(axis=0)
    step = max((high[0] - low[0]) / size[0], (high[1] - low[1]) / size[1]) * 1.03
    x = (np.arange(size[0]) - (size[0] - 1) / 2) * step + (low[0] + high[0]) / 2
    y = ((size[1] - 1) / 2 - np.arange(size[1])) * step + (low[1] + high[1]) / 2
    rays = np.zeros((size[1], size[0], 6), dtype=np.float32)
    rays[..., 0], rays[..., 1], rays[..., 2], rays[..., 5] = x[None], y[:, None], height + 1, -1
    hits = open_scene.cast_rays(o3d.core.Tensor(rays.reshape(-1, 6)))
    depth = hits["t_hit"].numpy().astype(np.float64)
    met = np.isfinite(depth)
    triangle = np.where(met, rows[np.where(met, hits["primitive_ids"].numpy(), 0)], -1)
    triangle = np.where(surface.normals[triangle, 2] > 0, triangle, -1)
    points = rays.reshape(-1, 6)[:, :3].astype(np.float64)
    points[:, 2] -= np.where(met, depth, 0.0)
    colors = scene.shader.colors(points, triangle, np.full(len(points), step))
    image = np.where(triangle[:, None] >= 0, np.rint(255 * colors), _BACKGROUND).astype(np.uint8)
    return image.reshape(size[1], size[0], 3)


def _hung(scene: HomeScene) -> list[int]:
    """Lamps that hang from the ceiling: they would hide what is below."""
    height = scene.home.plan.height
    return [
        number
        for number, item in enumerate(scene.home.items)
        if any(
            solid.class_name == "lamp" and solid.center[2] + solid.size[2] / 2 > height - 1e-3 for solid in item.thing
        )
    ]


def draw_home(home: MadeHome, views: int) -> np.ndarray:
    """One row of tiles: from above, then ``views`` pictures along the walk."""
    scene = open_home(make_home(home.seed, home.rooms))
    camera = pinhole(*_TILE, _DEGREES, torch.eye(4, dtype=torch.float64))
    walk = walk_through(scene, _FRAMES * home.rooms, home.seed, camera.intrinsics, _TILE)
    chosen = [walk[int((i + 0.5) * len(walk) / views)] for i in range(views)]
    inside = [np.rint(scene.shoot(view).color * 255).astype(np.uint8) for view in chosen]
    return np.concatenate([overhead(scene, _TILE), *inside], axis=1)


def write_sheets(homes: list[MadeHome], out: Path, views: int, rows: int, columns: int) -> list[Path]:
    """Draw all homes, ``rows`` x ``columns`` on a sheet; the pictures that were written."""
    paths: list[Path] = []
    per_sheet = rows * columns
    for start in range(0, len(homes), per_sheet):
        tiles = [draw_home(home, views) for home in homes[start : start + per_sheet]]
        blank = np.full_like(tiles[0], _BACKGROUND)
        tiles += [blank] * (-len(tiles) % columns)
        lines = [np.concatenate(tiles[i : i + columns], axis=1) for i in range(0, len(tiles), columns)]
        paths.append(out / f"sheet-{start // per_sheet:02d}.png")
        Image.fromarray(np.concatenate(lines)).save(paths[-1])
    return paths


def write_histogram(homes: list[MadeHome], out: Path) -> None:
    """Surface and objects per fine class over all homes: histogram.json and histogram.png."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    area = np.sum([home.area for home in homes], axis=0)
    objects = np.sum([home.objects for home in homes], axis=0)
    order = np.argsort(-area)
    content = {
        "homes": len(homes),
        "rooms": sum(home.rooms for home in homes),
        "voxels": sum(home.voxels for home in homes),
        "square_metres": {FINE_NAMES[i]: round(float(area[i]), 2) for i in order},
        "objects": {FINE_NAMES[i]: int(objects[i]) for i in np.argsort(-objects)},
    }
    (out / "histogram.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    figure, axes = pyplot.subplots(1, 2, figsize=(11, 7))
    names = [FINE_NAMES[i] for i in order][::-1]
    axes[0].barh(names, area[order][::-1], color="#1f77b4", log=True)
    axes[0].set_xlabel("surface, square metres (log)")
    axes[1].barh(names, np.maximum(objects[order][::-1], 0.5), color="#ff7f0e", log=True)
    axes[1].set_xlabel("objects whose first part is of the class (log)")
    figure.suptitle(f"{content['rooms']} rooms in {len(homes)} homes")
    figure.tight_layout()
    figure.savefig(out / "histogram.png", dpi=90)


def main() -> None:
    """Run the tool."""
    parser = argparse.ArgumentParser(description="Contact sheets and class histogram of homes made by s4r synth.")
    parser.add_argument("homes", type=Path, help="folder that s4r synth wrote to")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--views", type=int, default=3, help="inside views of each home")
    parser.add_argument("--rows", type=int, default=8, help="rows of homes on a sheet")
    parser.add_argument("--columns", type=int, default=2, help="homes beside each other")
    parser.add_argument("--most", type=int, default=32, help="draw at most this many homes, evenly chosen")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    homes = read_homes(options.homes)
    write_histogram(homes, options.out)
    drawn = [homes[int(i * len(homes) / min(options.most, len(homes)))] for i in range(min(options.most, len(homes)))]
    for path in write_sheets(drawn, options.out, options.views, options.rows, options.columns):
        print(path)


if __name__ == "__main__":
    main()
