"""Shapes in SDF: what a ``<geometry>`` says, and the triangles of the primitive ones."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

from sparse_s4r.data.gazebo.poses import numbers
from sparse_s4r.data.gazebo.resources import Resources
from sparse_s4r.structures.errors import DataError

_SEGMENTS = 48


class Kind(Enum):
    """Primitive shapes; the numbers that each needs are those of ``Primitive.size``."""

    BOX = "box"
    SPHERE = "sphere"
    ELLIPSOID = "ellipsoid"
    CYLINDER = "cylinder"
    CAPSULE = "capsule"
    PLANE = "plane"


@dataclass(frozen=True)
class MeshShape:
    """A mesh file.

    Attributes:
        path: The file.
        scale: Factors along x, y, z.
        submesh: Name of the only part to take, "" for all.
    """

    path: Path
    scale: tuple[float, float, float]
    submesh: str = ""


@dataclass(frozen=True)
class Primitive:
    """A primitive about its own origin.

    Attributes:
        kind: Which.
        size: Box: edges. Sphere and ellipsoid: radii. Cylinder and capsule: radius, radius, length along z.
            Plane: edges, then 0. Metres.
        normal: Of a plane; (0, 0, 1) for others.
    """

    kind: Kind
    size: tuple[float, float, float]
    normal: tuple[float, float, float] = (0.0, 0.0, 1.0)


Shape = MeshShape | Primitive


def parse_shape(geometry: Element | None, file: Path, resources: Resources) -> Shape | None:
    """What a ``<geometry>`` of an SDF file describes; None for ``<empty>``.

    Raises:
        DataError: No such mesh file, wrong numbers, or a kind of geometry that is not supported.
    """
    if geometry is None or len(geometry) == 0:
        raise DataError(f"{file.name}: expected a <geometry> with a shape in it, got none")
    element = geometry[0]
    what = f"{file.name}: {element.tag}"
    if element.tag == "empty":
        return None
    if element.tag == "mesh":
        return _mesh(element, file, resources)
    if element.tag == "box":
        return Primitive(Kind.BOX, _sizes(element.findtext("size"), 3, what))
    if element.tag == "sphere":
        radius = _sizes(element.findtext("radius"), 1, what)[0]
        return Primitive(Kind.SPHERE, (radius, radius, radius))
    if element.tag == "ellipsoid":
        return Primitive(Kind.ELLIPSOID, _sizes(element.findtext("radii"), 3, what))
    if element.tag in ("cylinder", "capsule"):
        radius = _sizes(element.findtext("radius"), 1, what)[0]
        length = _sizes(element.findtext("length"), 1, what)[0]
        return Primitive(Kind(element.tag), (radius, radius, length))
    if element.tag == "plane":
        x, y = _sizes(element.findtext("size"), 2, what)[:2]
        normal = numbers(element.findtext("normal") or "0 0 1", 3, f"{what}: normal")
        if np.linalg.norm(normal) < 1e-9:
            raise DataError(f"{what}: normal: expected a direction, got zeros")
        return Primitive(Kind.PLANE, (x, y, 0.0), (float(normal[0]), float(normal[1]), float(normal[2])))
    raise DataError(f"{file.name}: expected a mesh or a primitive, got <{element.tag}>, which is not supported")


def parse_color(text: str | None, what: str) -> tuple[float, float, float] | None:
    """RGB in [0, 1] of an SDF colour with three or four numbers; None without text."""
    if text is None or not text.strip():
        return None
    r, g, b = np.clip(numbers(text, 4 if len(text.split()) == 4 else 3, what)[:3], 0.0, 1.0)
    return float(r), float(g), float(b)


def primitive_triangles(primitive: Primitive) -> np.ndarray:
    """Triangles (T, 3, 3) float64 in metres of a primitive; round ones have 48 sides."""
    x, y, z = primitive.size
    if primitive.kind is Kind.BOX:
        mesh = trimesh.creation.box(extents=primitive.size)
    elif primitive.kind in (Kind.SPHERE, Kind.ELLIPSOID):
        mesh = trimesh.creation.icosphere(subdivisions=4)
        mesh.apply_scale(primitive.size)
    elif primitive.kind is Kind.CYLINDER:
        mesh = trimesh.creation.cylinder(radius=x, height=z, sections=_SEGMENTS)
    elif primitive.kind is Kind.CAPSULE:
        mesh = trimesh.creation.capsule(radius=x, height=z, count=[_SEGMENTS, _SEGMENTS])
        mesh.apply_translation(-mesh.bounds.mean(axis=0))
    else:
        corners = np.array([[-x, -y, 0], [x, -y, 0], [x, y, 0], [-x, y, 0]]) / 2
        normal = np.array(primitive.normal) / np.linalg.norm(primitive.normal)
        turned = Rotation.align_vectors(normal[None], np.array([[0.0, 0.0, 1.0]]))[0].apply(corners)
        return np.stack([turned[[0, 1, 2]], turned[[0, 2, 3]]])
    return np.asarray(mesh.triangles, dtype=np.float64)


def _mesh(element: Element, file: Path, resources: Resources) -> MeshShape:
    uri = (element.findtext("uri") or element.findtext("filename") or "").strip()
    path = resources.find_uri(uri, file) if uri else None
    if path is None or not path.is_file():
        raise DataError(f"{uri or 'mesh'}: expected a mesh file in the world's folders, got none")
    scale = numbers(element.findtext("scale") or "1 1 1", 3, f"{file.name}: mesh scale")
    if (scale == 0).any():
        raise DataError(f"{file.name}: mesh scale: expected factors other than 0, got {scale.tolist()}")
    return MeshShape(path, (float(scale[0]), float(scale[1]), float(scale[2])), _submesh(element))


def _submesh(element: Element) -> str:
    return (element.findtext("submesh/name") or "").strip()


def _sizes(text: str | None, count: int, what: str) -> tuple[float, float, float]:
    values = numbers(text, count, what)
    if (values <= 0).any():
        raise DataError(f"{what}: expected sizes > 0 m, got {values.tolist()}")
    padded = [*map(float, values), 0.0, 0.0]
    return padded[0], padded[1], padded[2]
