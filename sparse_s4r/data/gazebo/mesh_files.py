"""Mesh files of a world, read once each: COLLADA, and OBJ and STL through trimesh."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from sparse_s4r.data.gazebo.collada import read_collada
from sparse_s4r.data.gazebo.findings import Findings, Problem
from sparse_s4r.data.gazebo.resources import Resources
from sparse_s4r.data.gazebo.sdf_shapes import MeshShape, primitive_triangles
from sparse_s4r.data.gazebo.surfaces import PLAIN, Surface
from sparse_s4r.data.gazebo.textures import Texture, load_texture, texture_of
from sparse_s4r.data.gazebo.world import Visual
from sparse_s4r.structures.errors import DataError

_SUFFIXES = (".dae", ".obj", ".stl")
_LIMIT = 512 << 20


class MeshFiles:
    """Reads the shapes of a world; a mesh or image that several visuals use is read once.

    Args:
        resources: Where the files are.
        findings: Told of textures that are missing or damaged.
    """

    def __init__(self, resources: Resources, findings: Findings) -> None:
        self._resources = resources
        self._findings = findings
        self._meshes: dict[tuple[Path, str], list[Surface]] = {}
        self._textures: dict[Path, Texture | None] = {}

    def surfaces(self, visual: Visual) -> list[Surface]:
        """Surfaces of a visual in the world.

        Raises:
            DataError: A mesh that cannot be read or has no triangles.
        """
        shape = visual.shape
        if not isinstance(shape, MeshShape):
            plain = Surface("", primitive_triangles(shape), None, visual.color or PLAIN)
            return [plain.moved(visual.pose)]
        pose = visual.pose @ np.diag([*shape.scale, 1.0])
        moved = [self._painted(surface, visual).moved(pose).solid() for surface in self._mesh(shape, visual.folder)]
        kept = [surface for surface in moved if len(surface.triangles)]
        if not kept:
            raise DataError(f"{shape.path}: expected triangles with an area, got none")
        return kept

    def _painted(self, surface: Surface, visual: Visual) -> Surface:
        """An SDF material stands above the mesh's own, as in Gazebo."""
        if visual.color is None and visual.texture is None:
            return surface
        texture = self._texture(visual.texture) if visual.texture else None
        if texture is not None and surface.uv is not None:
            return Surface(surface.name, surface.triangles, surface.uv, surface.color, texture)
        if surface.texture is not None or visual.color is None:
            return surface
        return Surface(surface.name, surface.triangles, None, visual.color)

    def _mesh(self, shape: MeshShape, folder: Path) -> list[Surface]:
        key = (shape.path, shape.submesh)
        if key not in self._meshes:
            self._meshes[key] = self._read(shape, folder)
        return self._meshes[key]

    def _read(self, shape: MeshShape, folder: Path) -> list[Surface]:
        path, suffix = shape.path, shape.path.suffix.lower()
        if suffix == ".dae":
            return read_collada(path, lambda name: self._named_texture(name, path, folder), shape.submesh)
        if suffix not in _SUFFIXES:
            raise DataError(f"{path}: expected a mesh in {', '.join(_SUFFIXES)}, got {suffix or 'no suffix'}")
        if shape.submesh:
            raise DataError(f"{path}: submesh {shape.submesh}: expected a COLLADA file for it, got {suffix}")
        return _read_by_trimesh(path, _Files(path, self._resources, self._findings))

    def _named_texture(self, name: str, mesh: Path, folder: Path) -> Texture | None:
        found = self._resources.find_texture(name, mesh, folder)
        if found is None:
            self._findings.add(Problem.TEXTURE, name, f"named in {mesh.parent.parent.name}/{mesh.name}; shown plain")
            return None
        return self._texture(found)

    def _texture(self, path: Path) -> Texture | None:
        if path not in self._textures:
            try:
                self._textures[path] = load_texture(path)
            except DataError as error:
                self._findings.add(Problem.TEXTURE, path.name, str(error))
                self._textures[path] = None
        return self._textures[path]


class _Files(trimesh.resolvers.Resolver):
    """Files beside a mesh, for trimesh: material lists and images, from the world's folders only."""

    def __init__(self, mesh: Path, resources: Resources, findings: Findings) -> None:
        self._mesh = mesh
        self._resources = resources
        self._findings = findings

    def get(self, name: str) -> bytes:
        """Content of the file that the mesh calls ``name``."""
        found = self._resources.find_texture(name, self._mesh, self._mesh.parent.parent)
        if found is None or not found.is_file() or found.stat().st_size > _LIMIT:
            self._findings.add(Problem.TEXTURE, name, f"named in {self._mesh}; shown plain")
            raise FileNotFoundError(name)
        return found.read_bytes()

    def keys(self) -> tuple[str, ...]:
        """No list of files is given."""
        return ()

    def write(self, name: str, data: bytes) -> None:
        """Nothing is written."""
        raise PermissionError(name)

    def namespaced(self, namespace: str) -> _Files:
        """The same files: names are looked up wherever they lie."""
        return self


def _read_by_trimesh(path: Path, files: _Files) -> list[Surface]:
    if path.stat().st_size > _LIMIT:
        raise DataError(f"{path}: expected a mesh of at most {_LIMIT:,} bytes, got {path.stat().st_size:,}")
    try:
        with path.open("rb") as stream:
            scene = trimesh.load_scene(stream, file_type=path.suffix[1:].lower(), resolver=files, process=False)
        meshes = list(scene.dump(concatenate=False))
    # The library raises whatever a damaged file leads it to.
    except Exception as error:
        raise DataError(f"{path}: expected a readable mesh, got a damaged one ({error})") from error
    surfaces = [_surface_of(mesh) for mesh in meshes if isinstance(mesh, trimesh.Trimesh) and len(mesh.faces)]
    if not surfaces:
        raise DataError(f"{path}: expected triangles, got none")
    return surfaces


def _surface_of(mesh: trimesh.Trimesh) -> Surface:
    triangles = np.asarray(mesh.triangles, dtype=np.float64)
    name = str(mesh.metadata.get("name", ""))
    material: Any = getattr(mesh.visual, "material", None)
    if material is None:
        return Surface(name, triangles)
    image, uv = getattr(material, "image", None), getattr(mesh.visual, "uv", None)
    if image is not None and uv is not None:
        return Surface(name, triangles, np.asarray(uv, dtype=np.float32)[mesh.faces], PLAIN, texture_of(image))
    diffuse = np.asarray(getattr(material, "diffuse", (178, 178, 178)))[:3] / 255.0
    return Surface(name, triangles, None, (float(diffuse[0]), float(diffuse[1]), float(diffuse[2])))
