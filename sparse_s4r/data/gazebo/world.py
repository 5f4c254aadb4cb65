"""World and model files of Gazebo (SDF): which visible shape stands where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from sparse_s4r.data.gazebo.findings import Findings, Problem
from sparse_s4r.data.gazebo.poses import Frames, parse_pose
from sparse_s4r.data.gazebo.resources import Resources, split_uri
from sparse_s4r.data.gazebo.sdf_shapes import Shape, parse_color, parse_shape
from sparse_s4r.data.gazebo.xml_input import parse_xml
from sparse_s4r.structures.errors import DataError

_SDF_LIMIT = 64 << 20
# Models that include models that include ...: deeper or more than any real world is an error, not a long wait.
_MAX_DEPTH = 16
_MAX_INCLUDES = 20_000
_MAX_VISUALS = 100_000
# A visual is as good as invisible from here on.
_INVISIBLE = 0.99


@dataclass(frozen=True)
class Visual:
    """One visible shape.

    Attributes:
        instance: Name of the outermost model, unique within the world.
        names: Names to choose a class by, most telling first: models from the inside out, then link and visual.
        pose: (4, 4) float64, shape to world, metres.
        shape: What it looks like.
        color: RGB in [0, 1] of its SDF material, None if there is none.
        texture: Image of its SDF material, None if there is none.
        folder: Folder of the model that it comes from.
    """

    instance: str
    names: tuple[str, ...]
    pose: np.ndarray
    shape: Shape
    color: tuple[float, float, float] | None
    texture: Path | None
    folder: Path


@dataclass(frozen=True)
class World:
    """A world file that was read, with everything it includes.

    Attributes:
        name: Name of the world.
        visuals: Its visible shapes.
        resources: Where its files are.
    """

    name: str
    visuals: tuple[Visual, ...]
    resources: Resources


@dataclass(frozen=True)
class _Place:
    """Where the reader is: the file, the model and its pose, and the files that led here."""

    file: Path
    pose: np.ndarray
    instance: str = ""
    names: tuple[str, ...] = ()
    stack: tuple[Path, ...] = ()


def read_world(path: Path, findings: Findings, model_paths: Sequence[Path] = ()) -> World:
    """Read a Gazebo world, or a single model.

    Args:
        path: A ``.world`` or ``.sdf`` file.
        findings: Told of models, shapes and files that are left out.
        model_paths: Folders with models, beside ``models`` in or next to the world's folder.

    Raises:
        DataError: A file that is no SDF, has a document type, or includes without end.
    """
    resources = Resources(path, model_paths, findings)
    root = parse_xml(path, _SDF_LIMIT)
    scope = next((found for tag in ("world", "model") if (found := root.find(tag)) is not None), None)
    if root.tag != "sdf" or scope is None:
        raise DataError(f"{path}: expected an <sdf> file with a <world> or a <model>, got <{root.tag}>")
    reader = _Reader(resources, findings)
    place = _Place(path.resolve(), np.eye(4), stack=(path.resolve(),))
    if scope.tag == "world":
        reader.read_scope(scope, place)
    else:
        reader.read_model(scope, place, parse_pose(scope.find("pose"), f"{path}: model"), "")
    return World(scope.get("name", path.stem), tuple(reader.visuals), resources)


class _Reader:
    def __init__(self, resources: Resources, findings: Findings) -> None:
        self.visuals: list[Visual] = []
        self._resources = resources
        self._findings = findings
        self._includes = 0
        self._taken: dict[str, int] = {}
        self._roots: dict[Path, Element] = {}
        self._files: dict[tuple[str, Path], Path] = {}

    def read_scope(self, scope: Element, place: _Place) -> None:
        """Models, includes and links of a world or model; a bad one is noted and left out."""
        frames = Frames(scope, place.file.name)
        for child in scope:
            name = child.get("name") or child.findtext("name") or (child.findtext("uri") or "").strip() or child.tag
            try:
                if child.tag == "model":
                    self.read_model(child, place, frames.pose(child), "")
                elif child.tag == "include":
                    self._read_include(child, place, frames)
                elif child.tag == "link":
                    self._read_link(child, replace(place, pose=place.pose @ frames.pose(child)))
                elif child.tag in ("actor", "population", "road", "heightmap"):
                    self._findings.add(Problem.IGNORED, name, f"<{child.tag}> in {place.file.name}")
            except _EndlessError:
                raise
            except DataError as error:
                self._findings.add(Problem.MODEL, name, str(error))

    def read_model(self, model: Element, place: _Place, pose: np.ndarray, include_name: str) -> None:
        """A model at ``pose`` in the place's scope, under the name that an include gives it, if it does."""
        if len(place.names) > 2 * _MAX_DEPTH:
            raise DataError(f"{place.file}: expected models at most {_MAX_DEPTH} deep, got more")
        name = include_name or model.get("name", "model")
        inner = replace(
            place,
            pose=place.pose @ pose,
            instance=place.instance or self._unique(name),
            names=tuple(dict.fromkeys((model.get("name", ""), name, *place.names))),
        )
        self.read_scope(model, inner)

    def _unique(self, name: str) -> str:
        self._taken[name] = self._taken.get(name, 0) + 1
        return name if self._taken[name] == 1 else f"{name} ({self._taken[name]})"

    def _parsed(self, file: Path) -> Element:
        """Root of a file; a model that stands in many places is parsed once."""
        if file not in self._roots:
            self._roots[file] = parse_xml(file, _SDF_LIMIT)
        return self._roots[file]

    def _read_include(self, include: Element, place: _Place, frames: Frames) -> None:
        self._includes += 1
        if self._includes > _MAX_INCLUDES:
            raise _EndlessError(f"{place.file}: expected at most {_MAX_INCLUDES} includes in a world, got more")
        uri = (include.findtext("uri") or "").strip()
        file = self._model_file(uri, place)
        if file in place.stack or len(place.stack) > _MAX_DEPTH:
            raise DataError(f"{file}: expected models that do not include themselves, got a circle")
        model = self._parsed(file).find("model")
        if model is None:
            raise DataError(f"{file}: expected a <model>, got none")
        # The include's pose replaces the model's own.
        pose = frames.pose(include, parse_pose(model.find("pose"), f"{file}: model"))
        name = (include.findtext("name") or "").strip()
        folder = file.parent.name
        inner = replace(place, file=file, stack=(*place.stack, file), names=(folder, *place.names))
        self.read_model(model, inner, pose, name)

    def _model_file(self, uri: str, place: _Place) -> Path:
        key = (uri, place.file.parent)
        if key not in self._files:
            self._files[key] = self._find_model(uri, place)
        return self._files[key]

    def _find_model(self, uri: str, place: _Place) -> Path:
        scheme, _ = split_uri(uri)
        if scheme not in ("", "model", "package", "file"):
            raise DataError(
                f"{uri}: expected model:// or file://, got {scheme}://; fetch the model and name its folder"
            )
        found = self._resources.find_uri(uri, place.file) if uri else None
        if found is None:
            raise DataError(
                f"{uri or 'include'}: expected a model in one of the model paths, got none; give its folder"
            )
        return _sdf_of(found) if found.is_dir() else found

    def _read_link(self, link: Element, place: _Place) -> None:
        frames = Frames(link, place.file.name)
        for visual in link.findall("visual"):
            name = f"{place.instance}/{link.get('name', '')}/{visual.get('name', '')}"
            try:
                pose = place.pose @ frames.pose(visual)
                self._add_visual(visual, replace(place, pose=pose), (link.get("name", ""), visual.get("name", "")))
            except _EndlessError:
                raise
            except DataError as error:
                self._findings.add(Problem.GEOMETRY, name, str(error))

    def _add_visual(self, visual: Element, place: _Place, own_names: tuple[str, str]) -> None:
        if len(self.visuals) >= _MAX_VISUALS:
            raise _EndlessError(f"{place.file}: expected at most {_MAX_VISUALS} visible shapes, got more")
        transparency = visual.findtext("transparency")
        if transparency and _number(transparency, place.file) >= _INVISIBLE:
            return
        shape = parse_shape(visual.find("geometry"), place.file, self._resources)
        if shape is None:
            return
        names = tuple(name for name in (*place.names, *own_names) if name)
        color, texture = self._material(visual.find("material"), place)
        instance = place.instance or names[0]
        self.visuals.append(Visual(instance, names, place.pose, shape, color, texture, place.file.parent))

    def _material(
        self, material: Element | None, place: _Place
    ) -> tuple[tuple[float, float, float] | None, Path | None]:
        if material is None:
            return None, None
        script = material.findtext("script/name")
        if script:
            self._findings.add(Problem.IGNORED, script.strip(), "material script; shown in the colour of its <diffuse>")
        color = parse_color(material.findtext("diffuse"), f"{place.file.name}: diffuse")
        image = (material.findtext(".//albedo_map") or "").strip()
        texture = self._resources.find_texture(image, place.file, place.file.parent) if image else None
        if image and texture is None:
            self._findings.add(Problem.TEXTURE, image, f"albedo map in {place.file}")
        return color, texture


class _EndlessError(DataError):
    """A world so large that reading it must end here."""


def _number(text: str, file: Path) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise DataError(f"{file}: transparency: expected a number, got {text.strip()[:40]!r}") from error


def _sdf_of(folder: Path) -> Path:
    """The newest SDF file that the folder's model.config names, else model.sdf."""
    config = folder / "model.config"
    chosen = folder / "model.sdf"
    if config.is_file():
        versions = []
        for element in parse_xml(config, _SDF_LIMIT).findall("sdf"):
            name = (element.text or "").strip()
            digits = tuple(int(part) for part in element.get("version", "0").split(".") if part.isdigit())
            # Only a file of the model's own folder.
            if name and "/" not in name and "\\" not in name and (folder / name).is_file():
                versions.append((digits, name))
        if versions:
            chosen = folder / max(versions)[1]
    if not chosen.is_file() or not chosen.resolve().is_relative_to(folder):
        raise DataError(f"{folder}: expected model.config and the SDF file it names, or model.sdf; got neither")
    return chosen
