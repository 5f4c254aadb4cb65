"""Complete ground truth of a world: every surface voxel with class, colour and signed distance."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from scipy import ndimage

from sparse_s4r.data.gazebo.floor_plan import EYE_HEIGHT, FloorPlan
from sparse_s4r.data.gazebo.scene import Hits, WorldScene
from sparse_s4r.structures import GridSpec

_NEIGHBOURS = np.array(
    sorted(
        ((x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1) if (x, y, z) != (0, 0, 0)),
        key=lambda offset: sum(map(abs, offset)),
    )
)


@dataclass(frozen=True)
class SurfaceTruth:
    """The surface of a world in voxels.

    Attributes:
        grid: Their placement.
        coordinates: (N, 3) int64, every voxel that holds a point of the surface; sorted by (x, y, z).
        labels: (N,) int64 class of the surface nearest to the centre, ``IGNORE_LABEL`` for none.
        color: (N, 3) float32 RGB in [0, 1], without shading.
        distance: (N,) float32 metres from the centre to the surface; negative where the surface lies between the
            centre and the space that can be reached.
        reachable: (N,) bool, whether the voxel borders on space that is connected to where a person walks, below
            the top of the walls; the others lie inside of furniture and walls or face outdoors.
    """

    grid: GridSpec
    coordinates: np.ndarray
    labels: np.ndarray
    color: np.ndarray
    distance: np.ndarray
    reachable: np.ndarray


def make_truth(scene: WorldScene, grid: GridSpec, coordinates: np.ndarray, plan: FloorPlan) -> SurfaceTruth:
    """Give surface voxels their class, colour and distance.

    Args:
        scene: The world.
        grid: Placement of the voxels.
        coordinates: (N, 3) from ``surface_voxels``.
        plan: Where a person walks: signs come from what is visible from there, not from normals, which meshes mix.
    """
    centers = np.array(grid.origin) + (coordinates + 0.5) * grid.voxel_size
    _, hits = scene.closest(centers)
    color = scene.albedo(hits, np.full(len(centers), grid.voxel_size, dtype=np.float32))
    beside = _free_neighbours(coordinates, grid, plan)
    reachable = (beside != 0).any(axis=1)
    behind = _is_crossed(scene, centers + beside * grid.voxel_size, centers)
    distance = np.where(behind | ~reachable, -hits.distance, hits.distance)
    return SurfaceTruth(grid, coordinates, scene.labels[hits.triangle], color, distance, reachable)


def save_truth(path: Path, truth: SurfaceTruth, class_names: tuple[str, ...]) -> None:
    """Write truth as safetensors; placement and classes stand in its header, docs/gazebo-worlds.md has the layout."""
    save_file(
        {
            # safetensors writes memory as it lies, so the order must be row by row.
            "coordinates": np.ascontiguousarray(truth.coordinates, dtype=np.int32),
            "label": truth.labels.astype(np.uint8),
            "color": np.ascontiguousarray((truth.color.clip(0, 1) * 255).round(), dtype=np.uint8),
            "distance": truth.distance.astype(np.float32),
            "reachable": truth.reachable.astype(np.uint8),
        },
        str(path),
        metadata={
            "voxel_size": repr(truth.grid.voxel_size),
            "origin": " ".join(map(repr, truth.grid.origin)),
            "class_names": "\n".join(class_names),
        },
    )


def _free_neighbours(coordinates: np.ndarray, grid: GridSpec, plan: FloorPlan) -> np.ndarray:
    """Step (N, 3) from each voxel to the nearest voxel beside it in reachable space; zeros where there is none."""
    lower = coordinates.min(axis=0)
    shape = coordinates.max(axis=0) - lower + 1
    empty = np.ones(shape, dtype=bool)
    place = coordinates - lower
    empty[place[:, 0], place[:, 1], place[:, 2]] = False
    highest = int(np.floor((plan.top - grid.origin[2]) / grid.voxel_size)) - int(lower[2]) + 1
    empty[:, :, max(highest, 1) :] = False
    space, _ = ndimage.label(empty)
    walked = np.argwhere(plan.walkable)
    eyes = np.column_stack([plan.points(walked), np.full(len(walked), plan.floor + EYE_HEIGHT)])
    seeds = np.floor((eyes - np.array(grid.origin)) / grid.voxel_size).astype(np.int64) - lower
    found = np.unique(space[tuple(np.clip(seeds, 0, shape - 1).T)])
    is_free = np.zeros(int(space.max()) + 1, dtype=bool)
    is_free[found[found > 0]] = True
    free = is_free[space]
    steps = np.zeros_like(coordinates)
    open_rows = np.arange(len(coordinates))
    for offset in _NEIGHBOURS:
        near = place[open_rows] + offset
        inside = ((near >= 0) & (near < shape)).all(axis=1)
        near = np.clip(near, 0, shape - 1)
        is_beside = inside & free[near[:, 0], near[:, 1], near[:, 2]]
        steps[open_rows[is_beside]] = offset
        open_rows = open_rows[~is_beside]
    return steps


def _is_crossed(scene: WorldScene, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Whether a surface lies between two points, (P,) bool."""
    hits: Hits = scene.cast(start, end - start)
    result: np.ndarray = hits.distance < 1.0
    return result
