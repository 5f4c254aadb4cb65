"""How exactly the raycaster sees a field, beside Open3D's ray cast of the same voxels.

Two tables: bodies whose depth a formula gives, and real frames, judged by the ray cast of the field's mesh and by the
depth images themselves. A third counts the pixels that holes in the field touch.

Example: python tools/raycaster_accuracy.py SCENE_DIR --frames 12 --json accuracy.json --picture accuracy.png
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sparse_s4r.data.scene import Scene, open_scene
from sparse_s4r.render import Raycaster
from sparse_s4r.structures import Camera, GridSpec, ScenePrediction
from sparse_s4r.structures.errors import UserError
from tools.accuracy_cases import analytic_cases
from tools.accuracy_errors import ErrorRecord, SpeckleRecord, compare, count_speckles
from tools.open3d_fields import BlockGridCaster, MeshCaster
from tools.plot_accuracy import FrameErrors, plot_errors

NEAR, FAR = 0.1, 10.0
# The strict renderer first: what the others see beyond it is counted.
SPSG = "spsg mode"
VARIANTS: tuple[tuple[str, dict[str, Any]], ...] = (
    *((f"exact, {corners} corners", {"min_corners": corners}) for corners in (8, 7, 6, 5)),
    (SPSG, {"mode": "spsg"}),
)
MESH, REAL, FORMULA = "mesh ray cast", "depth image", "formula"
OPEN3D, OPEN3D_MOVED = "Open3D ray_cast", "Open3D, half a voxel moved"

Render = Callable[[Camera], Tensor]


def renderers(prediction: ScenePrediction) -> dict[str, Render]:
    """All renderers of ``prediction``: camera to depth (H, W) in metres, 0 where they see nothing."""
    found: dict[str, Render] = {}
    for name, options in VARIANTS:
        raycaster = Raycaster(near=NEAR, far=FAR, **options)
        found[name] = partial(_depth, raycaster, raycaster.prepare(prediction))
    for name, middle in ((OPEN3D, False), (OPEN3D_MOVED, True)):
        found[name] = partial(_grid_depth, BlockGridCaster(prediction, middle=middle))
    return found


def _depth(raycaster: Raycaster, field: Any, camera: Camera) -> Tensor:
    with torch.no_grad():
        return raycaster.render(field, camera).depth


def _grid_depth(caster: BlockGridCaster, camera: Camera) -> Tensor:
    return caster.cast(camera, NEAR, FAR).depth


def analytic_records(grid: GridSpec) -> list[ErrorRecord]:
    """Every renderer, and the judge of the real frames, against formulas."""
    records = []
    for case in analytic_cases():
        field = case.field(grid)
        truths = [case.depth(camera) for camera in case.cameras]
        mesh: Render = partial(MeshCaster(field).cast, near=NEAR, far=FAR)
        for name, render in {**renderers(field), MESH: mesh}.items():
            images = [(render(camera), truth) for camera, truth in zip(case.cameras, truths, strict=True)]
            records.append(compare(case.name, name, FORMULA, images, grid.truncation))
    return records


def scene_records(scene: Scene, names: Sequence[str]) -> tuple[list[ErrorRecord], list[SpeckleRecord], FrameErrors]:
    """Every renderer of the target scan on frames ``names``, and the errors of the middle one as images."""
    prediction = ScenePrediction.from_scan(scene.load_scan("target"))
    reach = scene.grid.truncation
    cameras = [scene.camera(name) for name in names]
    judge = MeshCaster(prediction)
    meshes = [judge.cast(camera, NEAR, FAR) for camera in cameras]
    frames = [scene.load_frame(name) for name in names]
    real = [frame.depth for frame in frames]
    images = {name: [render(camera) for camera in cameras] for name, render in renderers(prediction).items()}
    records = [compare("scan", name, MESH, _pairs(depths, meshes), reach) for name, depths in images.items()]
    records.append(compare("scan", REAL, MESH, _pairs(real, meshes), reach))
    everyone = {**images, MESH: meshes}
    records += [compare("scan", name, REAL, _pairs(depths, real), reach) for name, depths in everyone.items()]
    strict = images[VARIANTS[0][0]]
    speckles = [count_speckles(name, depths, strict, real, reach) for name, depths in everyone.items()]
    middle = len(names) // 2
    # Its depth is that of the exact mode.
    shown = {name: depths[middle] for name, depths in {**images, REAL: real}.items() if name != SPSG}
    return records, speckles, FrameErrors(names[middle], frames[middle].color, meshes[middle], shown)


def _pairs(depths: Sequence[Tensor], truths: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    return list(zip(depths, truths, strict=True))


def choose_frames(scene: Scene, count: int, held_out: bool = False) -> tuple[str, ...]:
    """``count`` frames that were fused, or of those that were not, spread evenly over the capture.

    Raises:
        UserError: The scene has fewer.
    """
    names = scene.frame_names("held_out") if held_out else scene.frame_names("input", "target")
    if not 1 <= count <= len(names):
        kind = "held-out" if held_out else "fused"
        raise UserError(f"--frames: expected 1 to {len(names)}, the {kind} frames of {scene.path}, got {count}")
    return tuple(names[int((i + 0.5) * len(names) / count)] for i in range(count))


def error_table(records: Sequence[ErrorRecord]) -> str:
    """The records as text, one line each."""
    titles = ["judge", "case", "renderer", "median", "bias", "mean", "p95", "all: median", "p95"]
    titles += ["hit", "missed", "elsewhere", "extra"]
    rows = [
        [
            *(one.judge, one.case, one.renderer),
            *map(_mm, (one.median_mm, one.bias_mm, one.mean_mm, one.p95_mm, one.median_all_mm, one.p95_all_mm)),
            *(f"{100 * share:.2f}%" for share in (one.hit_share, one.missed_share, one.elsewhere_share)),
            f"{100 * one.extra_share:.2f}%",
        ]
        for one in records
    ]
    return _aligned([titles, *rows], 3)


def speckle_table(records: Sequence[SpeckleRecord]) -> str:
    """The records as text, one line each."""
    titles = ["renderer", "speckles", "measured", "on a surface", "gained", "measured", "right", "median", "spoiled"]
    rows = [
        [
            one.renderer,
            *map(str, (one.speckles, one.speckles_measured, one.speckles_surface)),
            *map(str, (one.gained, one.gained_measured, one.gained_right)),
            *(_mm(one.gained_median_mm), str(one.spoiled)),
        ]
        for one in records
    ]
    return _aligned([titles, *rows], 1)


def _mm(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _aligned(rows: Sequence[Sequence[str]], left: int) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def main() -> None:
    """Measure and print; write the records as JSON and the picture when asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path, help="scene folder; its target scan is rendered")
    parser.add_argument("--frames", type=int, default=12, help="so many of the fused frames, evenly spread")
    parser.add_argument("--held-out", action="store_true", help="of the held-out frames instead, which were not fused")
    parser.add_argument("--json", type=Path, help="file for the records")
    parser.add_argument("--picture", type=Path, help="PNG file for the errors in one frame")
    arguments = parser.parse_args()
    scene = open_scene(arguments.scene)
    names = choose_frames(scene, arguments.frames, arguments.held_out)
    analytic = analytic_records(scene.grid)
    records, speckles, frame = scene_records(scene, names)
    print(f"Errors in mm against a formula, voxels of {100 * scene.grid.voxel_size:g} cm:")
    print(error_table(analytic))
    kind = "held-out" if arguments.held_out else "fused"
    print(f"\nErrors in mm on {len(names)} {kind} frames of {scene.path}:")
    print(error_table(records))
    print("\nPixels at holes, judged by the depth images; gained and spoiled against the first renderer:")
    print(speckle_table(speckles))
    if arguments.json is not None:
        written = {
            "analytic": [asdict(one) for one in analytic],
            "frames": [asdict(one) for one in records],
            "speckles": [asdict(one) for one in speckles],
        }
        arguments.json.write_text(json.dumps(written, indent=1) + "\n")
    if arguments.picture is not None:
        plot_errors(frame, arguments.picture)


if __name__ == "__main__":
    main()
