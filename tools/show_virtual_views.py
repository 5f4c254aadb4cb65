"""Show the virtual views of a scene: what they see, the real views they derive from, and where they stand.

Example: python tools/show_virtual_views.py SCENE_DIR --out virtual_views.png
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import torch
from matplotlib import pyplot
from matplotlib.axes import Axes
from torch import Tensor

from sparse_s4r.data.scene_format import Scene, open_scene
from sparse_s4r.render import Raycaster
from sparse_s4r.render.pictures import color_picture, depth_picture
from sparse_s4r.render.virtual_options import VirtualViewOptions
from sparse_s4r.render.virtual_views import VirtualView, VirtualViews, VirtualViewSampler, count_refusals
from sparse_s4r.structures import RenderedView, ScenePrediction, SparseTSDF
from sparse_s4r.structures.errors import UserError

# Above this height over the lowest part of the scan lie ceilings and lamps, which would hide the floor plan.
_PLAN_HEIGHT = 2.0
_DEPTH_SHOWN = 5.0


def show(scene: Scene, found: VirtualViews, names: tuple[str, ...], file: Path) -> None:
    """Write a PNG: one row per view, virtual beside real, and a plan of all.

    Args:
        scene: The scene.
        found: Its virtual views.
        names: Names of the real frames, in the order of the cameras that were sampled from.
        file: Where to.
    """
    scan = scene.load_scan("target")
    raycaster, rows = Raycaster(), len(found.views)
    field = raycaster.prepare(ScenePrediction.from_scan(scan))
    figure = pyplot.figure(figsize=(23, 2.3 * rows), layout="constrained")
    grid = figure.add_gridspec(rows, 8, width_ratios=[1] * 5 + [1.2] * 3)
    for row, view in enumerate(found.views):
        with torch.inference_mode():
            rendered = raycaster.render(field, view.camera)
        name = names[view.source]
        frame = scene.load_frame(name, width=320)
        quality = view.quality
        said = f"hits {quality.hits:.0%}, behind {quality.behind:.1%}, median {quality.median_depth:.1f} m"
        pictures = [
            (_color(rendered), f"{row + 1}: virtual, {said}"),
            (depth_picture(rendered.depth, _DEPTH_SHOWN), "depth"),
            (_normals(rendered), "normals"),
            (color_picture(frame.color), f"real {name}"),
            (depth_picture(frame.depth, _DEPTH_SHOWN), "depth"),
        ]
        for column, (picture, title) in enumerate(pictures):
            axis = figure.add_subplot(grid[row, column])
            axis.imshow(picture.numpy())
            axis.set_axis_off()
            axis.set_title(title, fontsize=7)
    _plan(figure.add_subplot(grid[:, 5:]), scene, scan, found.views, names)
    figure.savefig(file, dpi=90)
    pyplot.close(figure)


def _color(view: RenderedView) -> Tensor:
    shade = view.normal[..., 2:].mul(0.3).add(0.6).expand(-1, -1, 3)
    return color_picture(shade if view.color is None else view.color, view.hit)


def _normals(view: RenderedView) -> Tensor:
    return color_picture(0.5 + 0.5 * view.normal, view.hit)


def _plan(axis: Axes, scene: Scene, scan: SparseTSDF, views: tuple[VirtualView, ...], names: tuple[str, ...]) -> None:
    """The scan from above, real cameras as dots, virtual ones as numbered wedges with a line to their target."""
    points = scan.grid.centers(scan.coordinates)
    surface = (scan.tsdf.abs() < scan.grid.voxel_size) & (points[:, 2] < _floor(points) + _PLAN_HEIGHT)
    points = points[surface]
    order = torch.argsort(points[:, 2])[:: max(1, len(points) // 200_000)]
    color = torch.full_like(points, 0.7) if scan.color is None else scan.color[surface]
    axis.scatter(points[order, 0], points[order, 1], c=0.4 + 0.6 * color[order].clamp(0, 1).numpy(), s=2, lw=0)
    centers = torch.stack([scene.camera(name).center for name in names])
    axis.plot(centers[:, 0], centers[:, 1], ".", color="tab:blue", markersize=3, label="real cameras")
    for number, view in enumerate(views, start=1):
        camera, target = view.camera, view.target
        x, y = camera.center[:2].tolist()
        half = math.atan(0.5 * camera.width / float(camera.intrinsics[0, 0]))
        middle = math.atan2(float(target[1]) - y, float(target[0]) - x)
        sides = [(x + 0.8 * math.cos(middle + turn), y + 0.8 * math.sin(middle + turn)) for turn in (half, -half)]
        axis.fill([x, sides[0][0], sides[1][0]], [y, sides[0][1], sides[1][1]], color="tab:red", alpha=0.25, lw=0)
        axis.plot([x, float(target[0])], [y, float(target[1])], ":", color="tab:red", lw=1)
        real = centers[view.source]
        axis.plot([x, float(real[0])], [y, float(real[1])], "-", color="tab:blue", lw=0.7)
        axis.annotate(f"{number} (z {float(camera.center[2]):+.2f})", (x, y), fontsize=9, weight="bold")
    axis.set_aspect("equal")
    axis.set(xlabel="x, m", ylabel="y, m", title="from above: wedge = virtual, dots = real, blue line = derived from")


def _floor(points: Tensor) -> float:
    """Height below which only a few stray points lie, metres."""
    return float(points[:: max(1, len(points) // 100_000), 2].quantile(0.02))


def main() -> None:
    """Draw the views, print what was refused, and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path, help="scene folder")
    parser.add_argument("--out", type=Path, required=True, help="PNG to write")
    parser.add_argument("--count", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--field-of-view", type=float, default=VirtualViewOptions.field_of_view, help="degrees")
    arguments = parser.parse_args()
    try:
        options = VirtualViewOptions(field_of_view=arguments.field_of_view)
    except ValueError as error:
        parser.error(str(error))
    try:
        scene = open_scene(arguments.scene)
        names = scene.frame_names("input", "target")
        sampler = VirtualViewSampler(scene.load_scan("target"), scene.load_observation("target"), options)
        start = time.perf_counter()
        found = sampler.sample([scene.camera(name) for name in names], arguments.count, arguments.seed)
    except UserError as error:
        raise SystemExit(str(error)) from error
    each = (time.perf_counter() - start) / len(found.views)
    print(f"{len(found.views)} of {found.asked} views, {each:.2f} s each; {count_refusals(found.refusals)}")
    show(scene, found, names, arguments.out)


if __name__ == "__main__":
    main()
