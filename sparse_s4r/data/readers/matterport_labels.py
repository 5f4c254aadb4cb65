"""Labels of Matterport3D frames: the annotated meshes of a house's regions, seen from each frame's camera.

Read are region_segmentations/regionN.ply (vertices and triangles), regionN.fsegs.json (the segment of each triangle),
regionN.semseg.json (the raw label of each object and its segments), and the columns raw_category and eigen13class of
category_mapping.tsv, which the data set keeps in its repository. The ids in the .ply file, object boxes and the house's
own mesh are not used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import open3d as o3d
import torch
import trimesh
from torch import Tensor

from sparse_s4r.data.import_options import Labelling
from sparse_s4r.data.readers.capture import Capture
from sparse_s4r.data.readers.json_input import Document, load_json
from sparse_s4r.data.readers.label_maps import load_label_map
from sparse_s4r.data.readers.listing import numbered_files
from sparse_s4r.data.readers.matterport import CLASS_SETS
from sparse_s4r.data.readers.scannet_labels import read_columns
from sparse_s4r.structures import IGNORE_LABEL, RGBDFrame
from sparse_s4r.structures.errors import DataError

CATEGORY_TABLE = "category_mapping.tsv"
_FOLDER = "region_segmentations"
_MESH = re.compile(r"region(\d{1,6})\.ply")
# Where the mesh is further from the measured depth than this, metres, another surface is seen; which one is unknown.
_SAME_SURFACE = 0.1
_NO_CLASS = ("", "void")
_NO_TABLE = (
    f"{CATEGORY_TABLE}, which gives labels their classes, is neither in the house's folder nor up to three folders "
    "above, nor in a folder metadata there; the data set's repository has it in metadata"
)


class _Segments(Document):
    segIndices: tuple[int, ...]  # noqa: N815 - the file's spelling


class _Object(Document):
    label: str
    segments: tuple[int, ...]


class _Objects(Document):
    segGroups: tuple[_Object, ...]  # noqa: N815 - the file's spelling


@dataclass(frozen=True)
class LabelledMesh:
    """Triangles with a class.

    Attributes:
        vertices: (V, 3) float32 metres.
        triangles: (F, 3) uint32.
        labels: (F,) int64, ``IGNORE_LABEL`` for none.
    """

    vertices: npt.NDArray[np.float32]
    triangles: npt.NDArray[np.uint32]
    labels: npt.NDArray[np.int64]


def find_labels(capture: Capture, folder: Path, classes: str = CLASS_SETS[0]) -> tuple[Labelling | None, str]:
    """Labels of a capture's frames if the house has them, and a note: where they come from, or why there are none.

    Args:
        capture: From ``open_matterport``.
        folder: The house's folder.
        classes: Class set of the labels, one of ``CLASS_SETS``.

    Raises:
        DataError: Meshes or a table that are there but damaged.
    """
    if not (folder / _FOLDER).is_dir() or not numbered_files(folder / _FOLDER, _MESH):
        return None, f"labels: none, as there is no {_FOLDER}/regionN.ply"
    table = find_category_table(folder)
    if table is None:
        return None, f"labels: {_FOLDER}/ is not read, as {_NO_TABLE}"
    return label_matterport(capture, folder, classes), f"labels: {_FOLDER}/, as {classes} by {table}"


def label_matterport(capture: Capture, folder: Path, classes: str = CLASS_SETS[0]) -> Labelling:
    """Labels of a capture's frames from the meshes of its house.

    A pixel takes the class of the triangle that its ray meets first, unless the frame's depth lies elsewhere. Pixels
    that meet no triangle, or one without a class, are ignored.

    Args:
        capture: From ``open_matterport``; tells where each frame was taken.
        folder: The house's folder.
        classes: Class set of the labels, one of ``CLASS_SETS``.

    Raises:
        DataError: No meshes, a mesh without its .json files, no ``category_mapping.tsv`` beside the house, up to three
            folders above or in a folder metadata there, or damaged files.
    """
    table = find_category_table(folder)
    if table is None:
        raise DataError(f"{folder}: expected {CATEGORY_TABLE}, got none: {_NO_TABLE}")
    categories = load_categories(table, classes)
    meshes = numbered_files(folder / _FOLDER, _MESH)
    if not meshes:
        raise DataError(f"{folder / _FOLDER}: expected regionN.ply files with the labels of the house, got none")
    caster = _Caster([load_region(file, categories, table) for file in meshes.values()])
    poses = {name: index for index, name in enumerate(capture.names)}

    def label_frame(frame: RGBDFrame) -> Tensor:
        # The scene's world may be turned; the meshes are in the capture's.
        camera = replace(frame.camera, camera_to_world=capture.pose(poses[frame.name]))
        labels, depth = caster.cast(camera.center, camera.ray_directions())
        elsewhere = (frame.depth > 0) & ((frame.depth - depth).abs() > _SAME_SURFACE)
        return torch.where(elsewhere, IGNORE_LABEL, labels)

    return Labelling(load_label_map("eigen13").class_names(classes), label_frame)


def load_categories(path: Path, classes: str = "matterport11") -> dict[str, int]:
    """Label of every raw category, ``IGNORE_LABEL`` for none.

    Raises:
        DataError: No such table, or a class in it that is not one of the thirteen.
    """
    names = load_label_map("eigen13")
    of_ids = names.labels_of_ids(classes)
    of_names = {entry.name: of_ids[entry.id] for entry in names.classes}
    labels = {}
    for raw, eigen in read_columns(path, ("raw_category", "eigen13class")):
        if eigen not in of_names and eigen not in _NO_CLASS:
            raise DataError(
                f"{path}: expected eigen13class among {', '.join(of_names)}, got {eigen[:40]!r} for {raw!r}"
            )
        labels[raw] = of_names.get(eigen, IGNORE_LABEL)
    return labels


def load_region(path: Path, categories: dict[str, int], table: Path) -> LabelledMesh:
    """The mesh of a region with the class of each triangle.

    Args:
        path: regionN.ply; regionN.fsegs.json and regionN.semseg.json lie beside it.
        categories: From ``load_categories``.
        table: Its file; named in errors.

    Raises:
        DataError: A missing or damaged file, files that do not fit together, or a label that the table lacks.
    """
    vertices, triangles = _load_mesh(path)
    segments_file = path.with_name(f"{path.stem}.fsegs.json")
    segments = load_json(segments_file, "the segment of each triangle", _Segments).segIndices
    if len(segments) != len(triangles):
        raise DataError(f"{segments_file}: expected {len(triangles)} segments as {path.name} has, got {len(segments)}")
    objects_file = path.with_name(f"{path.stem}.semseg.json")
    label_of = {}
    for entry in load_json(objects_file, "the objects of a region", _Objects).segGroups:
        raw = entry.label.strip()
        if raw not in categories:
            raise DataError(f"{objects_file}: expected labels with a row in {table}, got {raw[:60]!r}; add it there")
        label_of.update(dict.fromkeys(entry.segments, categories[raw]))
    labels = np.array([label_of.get(segment, IGNORE_LABEL) for segment in segments], dtype=np.int64)
    return LabelledMesh(vertices, triangles, labels)


def _load_mesh(path: Path) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint32]]:
    try:
        mesh = trimesh.load_mesh(path, file_type="ply", process=False)
        vertices, triangles = np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces)
    # The parser gives whatever its steps raise on garbage.
    except Exception as error:
        raise DataError(f"{path}: expected a mesh, got a damaged .ply file ({error})") from error
    if not len(triangles) or triangles.min() < 0 or triangles.max() >= len(vertices):
        raise DataError(f"{path}: expected triangles between {len(vertices)} vertices, got none or others")
    return vertices, triangles.astype(np.uint32)


def find_category_table(folder: Path) -> Path | None:
    """``category_mapping.tsv`` of a house: in its folder, up to three above, or in a folder metadata there."""
    places = [folder, *folder.resolve().parents[:3]]
    tables = [place / part / CATEGORY_TABLE for place in places for part in ("", "metadata")]
    return next((table for table in tables if table.is_file()), None)


class _Caster:
    """Rays against the meshes of all regions."""

    def __init__(self, meshes: list[LabelledMesh]) -> None:
        self._scene = o3d.t.geometry.RaycastingScene()
        self._labels = []
        for mesh in meshes:
            self._scene.add_triangles(o3d.core.Tensor(mesh.vertices), o3d.core.Tensor(mesh.triangles))
            self._labels.append(torch.from_numpy(mesh.labels))
        # The triangles of a mesh are numbered from 0.
        self._first = torch.tensor([0, *(len(labels) for labels in self._labels[:-1])]).cumsum(0)
        self._flat = torch.cat(self._labels)

    def cast(self, center: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Labels and z-depth (H, W) of rays (H, W, 3) scaled to z-depth; ``IGNORE_LABEL`` and infinity for misses."""
        rays = torch.cat([center.expand_as(directions), directions], dim=-1).float()
        hits = self._scene.cast_rays(o3d.core.Tensor(rays.contiguous().numpy()))
        depth = torch.from_numpy(hits["t_hit"].numpy())
        mesh = torch.from_numpy(hits["geometry_ids"].numpy().astype(np.int64))
        triangle = torch.from_numpy(hits["primitive_ids"].numpy().astype(np.int64))
        hit = torch.isfinite(depth)
        place = torch.where(hit, self._first[mesh.clamp(max=len(self._first) - 1)] + triangle, 0)
        return torch.where(hit, self._flat[place], IGNORE_LABEL), depth
