"""A world as triangles: what a ray meets, how far it is, and which class and colour it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import open3d as o3d

from sparse_s4r.data.gazebo.classes import ModelClasses
from sparse_s4r.data.gazebo.findings import Findings, Problem
from sparse_s4r.data.gazebo.mesh_files import MeshFiles
from sparse_s4r.data.gazebo.placements import Placement, absurd_placements
from sparse_s4r.data.gazebo.sdf_shapes import Kind, Primitive
from sparse_s4r.data.gazebo.surfaces import Surface
from sparse_s4r.data.gazebo.world import Visual, World, read_world
from sparse_s4r.structures import IGNORE_LABEL
from sparse_s4r.structures.errors import DataError

_MISS = np.uint32(0xFFFFFFFF)
_STRUCTURE = {"wall", "floor", "ceiling"}
# A ground plane is infinite in Gazebo and 100 m in its models: around the building, this much of it is kept.
_PLANE_MARGIN = 1.0


@dataclass(frozen=True)
class Part:
    """A surface in the world with its class.

    Attributes:
        instance: Name of the model that it belongs to.
        label: Class, ``IGNORE_LABEL`` for none.
        surface: Its triangles in the world.
    """

    instance: str
    label: int
    surface: Surface


@dataclass(frozen=True)
class Hits:
    """Where rays met the world.

    Attributes:
        distance: (P,) float32 ray parameter, inf for a miss.
        triangle: (P,) int64, -1 for a miss.
        barycentric: (P, 2) float32 weights of the second and third corner.
    """

    distance: np.ndarray
    triangle: np.ndarray
    barycentric: np.ndarray


class WorldScene:
    """All triangles of a world in one ray-casting scene.

    Args:
        parts: At least one.
        class_names: Names of the labels.

    Attributes:
        triangles: (T, 3, 3) float32 corners, metres.
        normals: (T, 3) float32 unit normals; which side they face is not told.
        labels: (T,) int64 class.
        part_of: (T,) int64 index into ``parts``.
    """

    def __init__(self, parts: Sequence[Part], class_names: tuple[str, ...]) -> None:
        self.parts = tuple(parts)
        self.class_names = class_names
        counts = [len(part.surface.triangles) for part in parts]
        self.triangles = np.concatenate([part.surface.triangles for part in parts]).astype(np.float32)
        self.part_of = np.repeat(np.arange(len(parts)), counts)
        self.labels = np.array([part.label for part in parts], dtype=np.int64)[self.part_of]
        self._uv = np.concatenate([_uv_of(part.surface) for part in parts])
        edges = (self.triangles[:, 1:] - self.triangles[:, :1]).astype(np.float64)
        cross = np.cross(edges[:, 0], edges[:, 1])
        area = np.linalg.norm(cross, axis=1)
        self.normals = (cross / np.maximum(area, 1e-30)[:, None]).astype(np.float32)
        self._texels = np.sqrt(self._texel_areas() / np.maximum(area / 2, 1e-12)).astype(np.float32)

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper corner (3,) of all triangles, metres."""
        corners = self.triangles.reshape(-1, 3)
        return corners.min(axis=0), corners.max(axis=0)

    @cached_property
    def raycasting(self) -> o3d.t.geometry.RaycastingScene:
        """The triangles in Open3D; primitive id = row of ``triangles``."""
        scene = o3d.t.geometry.RaycastingScene()
        faces = np.arange(3 * len(self.triangles), dtype=np.uint32).reshape(-1, 3)
        scene.add_triangles(o3d.core.Tensor(self.triangles.reshape(-1, 3).copy()), o3d.core.Tensor(faces))
        return scene

    def cast(self, origins: np.ndarray, directions: np.ndarray) -> Hits:
        """First hits of rays with origins (P, 3) or (3,) and directions (P, 3), in lengths of the direction."""
        origins = np.broadcast_to(origins, directions.shape)
        rays = np.concatenate([origins, directions], axis=1).astype(np.float32)
        result = self.raycasting.cast_rays(o3d.core.Tensor(np.ascontiguousarray(rays)))
        ids = result["primitive_ids"].numpy()
        triangle = np.where(ids == _MISS, -1, ids.astype(np.int64))
        return Hits(result["t_hit"].numpy(), triangle, result["primitive_uvs"].numpy())

    def closest(self, points: np.ndarray) -> tuple[np.ndarray, Hits]:
        """Nearest points (P, 3) of the surface to ``points`` (P, 3), and which triangle they lie in."""
        query = o3d.core.Tensor(np.ascontiguousarray(points, dtype=np.float32))
        result = self.raycasting.compute_closest_points(query)
        nearest = result["points"].numpy()
        triangle = result["primitive_ids"].numpy().astype(np.int64)
        distance = np.linalg.norm(nearest - points, axis=1).astype(np.float32)
        return nearest, Hits(distance, triangle, result["primitive_uvs"].numpy())

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Distance (P,) float32 in metres of ``points`` (P, 3) to the nearest surface, without a sign."""
        query = o3d.core.Tensor(np.ascontiguousarray(points, dtype=np.float32))
        result: np.ndarray = self.raycasting.compute_distance(query).numpy()
        return result

    def albedo(self, hits: Hits, footprint: np.ndarray) -> np.ndarray:
        """Colour (P, 3) float32 of the surface at hits; black for misses.

        Args:
            hits: Where.
            footprint: (P,) width in metres of what is averaged.
        """
        color = np.zeros((len(hits.triangle), 3), dtype=np.float32)
        part = np.where(hits.triangle >= 0, self.part_of[hits.triangle], -1)
        order = np.argsort(part, kind="stable")
        present, starts = np.unique(part[order], return_index=True)
        for index, rows in zip(present, np.split(order, starts[1:]), strict=True):
            if index < 0:
                continue
            surface = self.parts[index].surface
            if surface.texture is None:
                color[rows] = surface.color
                continue
            triangle, weights = hits.triangle[rows], hits.barycentric[rows]
            corners = self._uv[triangle]
            uv = corners[:, 0] + ((corners[:, 1:] - corners[:, :1]) * weights[:, :, None]).sum(axis=1)
            color[rows] = surface.texture.colors(uv, footprint[rows] * self._texels[triangle])
        return color

    def _texel_areas(self) -> np.ndarray:
        """Area (T,) of each triangle in its texture, texels."""
        sides = (self._uv[:, 1:] - self._uv[:, :1]).astype(np.float64)
        area = np.abs(sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0]) / 2
        sizes = [part.surface.texture.size if part.surface.texture else (0, 0) for part in self.parts]
        result: np.ndarray = area * np.array([width * height for width, height in sizes])[self.part_of]
        return result


@dataclass(frozen=True)
class LoadedWorld:
    """A world ready to be looked at.

    Attributes:
        name: Its name.
        scene: Its triangles.
        models: Number of models in it.
        findings: What is missing, left out or dropped.
    """

    name: str
    scene: WorldScene
    models: int
    findings: Findings


def load_world(path: Path, classes: ModelClasses, model_paths: Sequence[Path] = ()) -> LoadedWorld:
    """Read a Gazebo world and everything it shows.

    Args:
        path: The world file.
        classes: Which names are which class.
        model_paths: Folders with models, beside the usual ones.

    Raises:
        DataError: No world, or one in which nothing is visible.
    """
    findings = Findings()
    world = read_world(path, findings, model_paths)
    files = MeshFiles(world.resources, findings)
    parts, planes = _parts(world, files, classes, findings)
    parts = _sensible(parts, class_names=classes.class_names, findings=findings)
    parts += _clipped(planes, parts, files, classes, findings)
    if not parts:
        hint = "; ".join(findings.lines()[:3])
        raise DataError(f"{path}: expected something visible, got nothing; give the folder of its models ({hint})")
    scene = WorldScene(parts, classes.class_names)
    return LoadedWorld(world.name, scene, len({part.instance for part in parts}), findings)


def _parts(
    world: World, files: MeshFiles, classes: ModelClasses, findings: Findings
) -> tuple[list[Part], list[Visual]]:
    """Everything visible, and apart from it the planes, which have no end."""
    parts: list[Part] = []
    planes: list[Visual] = []
    for visual in world.visuals:
        if isinstance(visual.shape, Primitive) and visual.shape.kind is Kind.PLANE:
            planes.append(visual)
            continue
        try:
            surfaces = files.surfaces(visual)
        except DataError as error:
            findings.add(Problem.GEOMETRY, visual.instance, str(error))
            continue
        parts += [Part(visual.instance, _label(visual, surface, classes, findings), surface) for surface in surfaces]
    return parts, planes


def _label(visual: Visual, surface: Surface, classes: ModelClasses, findings: Findings) -> int:
    label = classes.label((*visual.names, surface.name))
    if label is None:
        findings.add(Problem.CLASS, visual.names[0], "expected a name that the list of classes knows; has no label")
        return IGNORE_LABEL
    return label


def _clipped(
    planes: list[Visual], parts: list[Part], files: MeshFiles, classes: ModelClasses, findings: Findings
) -> list[Part]:
    """Planes, no larger than what stands on them needs."""
    boxes = [surface.triangles.reshape(-1, 3) for surface in (part.surface for part in parts)]
    clipped = []
    for plane in planes:
        size = np.array(plane.shape.size[:2]) if isinstance(plane.shape, Primitive) else np.zeros(2)
        if boxes and isinstance(plane.shape, Primitive):
            to_plane = np.linalg.inv(plane.pose)
            points = np.concatenate([np.stack([box.min(axis=0), box.max(axis=0)]) for box in boxes])
            reach = np.abs(points @ to_plane[:3, :3].T + to_plane[:3, 3])[:, :2]
            reach = reach[(reach < _PLANE_MARGIN + size / 2).all(axis=1)]
            needed = 2 * (reach.max(axis=0) + _PLANE_MARGIN) if len(reach) else size
            x, y = np.minimum(size, needed)
            plane = replace(plane, shape=replace(plane.shape, size=(float(x), float(y), 0.0)))
        for surface in files.surfaces(plane):
            clipped.append(Part(plane.instance, _label(plane, surface, classes, findings), surface))
    return clipped


def _sensible(parts: list[Part], class_names: tuple[str, ...], findings: Findings) -> list[Part]:
    """Parts of models that stand where they can."""
    placements = []
    for instance in dict.fromkeys(part.instance for part in parts):
        own = [part for part in parts if part.instance == instance]
        corners = np.concatenate([part.surface.triangles.reshape(-1, 3) for part in own])
        names = {class_names[part.label] for part in own if part.label != IGNORE_LABEL}
        placements.append(
            Placement(instance, corners.min(axis=0), corners.max(axis=0), bool(names & _STRUCTURE), names == {"floor"})
        )
    reasons = absurd_placements(placements)
    for instance, reason in reasons.items():
        findings.add(Problem.PLACEMENT, instance, reason)
    return [part for part in parts if part.instance not in reasons]


def _uv_of(surface: Surface) -> np.ndarray:
    if surface.uv is None:
        return np.zeros((len(surface.triangles), 3, 2), dtype=np.float32)
    return surface.uv
