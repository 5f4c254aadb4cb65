"""COLLADA files: triangles in metres with z up, and the colour or image of each material."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import collada
import numpy as np

from sparse_s4r.data.gazebo.surfaces import PLAIN, Surface
from sparse_s4r.data.gazebo.textures import Texture
from sparse_s4r.data.gazebo.xml_input import read_xml_bytes
from sparse_s4r.structures.errors import DataError

_LIMIT = 512 << 20
# Columns: the file's x, y, z axes in a world with z up.
_TO_Z_UP = {
    "Z_UP": np.eye(3),
    "Y_UP": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
    "X_UP": np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]]),
}
# What the library raises on files that break the format, beside its own errors.
_BROKEN = (collada.DaeError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


def read_collada(path: Path, texture: Callable[[str], Texture | None], submesh: str = "") -> list[Surface]:
    """Read the scene of a COLLADA file.

    Units and the up axis are applied as the file states them, and so are the transforms of its nodes.

    Args:
        path: The file.
        texture: Gives the image that a material names, or None.
        submesh: Take only the geometry or node with this name; "" for all.

    Raises:
        DataError: A file that is missing, too large, no COLLADA, damaged or without triangles.
    """
    content = read_xml_bytes(path, _LIMIT)
    try:
        document = collada.Collada(io.BytesIO(content), ignore=[collada.DaeError])
        if document.scene is None:
            raise DataError(f"{path}: expected a COLLADA file with a scene, got none")
        unit = float(document.assetInfo.unitmeter or 1.0)
        turn = _TO_Z_UP[_up_axis(document, path)]
        if not (math.isfinite(unit) and unit > 0):
            raise DataError(f"{path}: unit: expected metres > 0, got {unit}")
        surfaces = [
            _surface(name, primitive, unit * turn, texture) for name, primitive in _primitives(document, path, submesh)
        ]
    except _BROKEN as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: expected a COLLADA file, got a damaged one ({error})") from error
    if not surfaces:
        raise DataError(f"{path}: expected triangles{f' of {submesh}' if submesh else ''}, got none")
    return surfaces


def _up_axis(document: Any, path: Path) -> str:
    """The axis that the file states; the library takes an unknown one for the default without a word."""
    stated = [(element.text or "").strip() for element in document.xmlnode.iter() if _is_up_axis(element.tag)]
    axis = stated[0] if stated else "Y_UP"
    if axis not in _TO_Z_UP:
        raise DataError(f"{path}: up_axis: expected one of {', '.join(_TO_Z_UP)}, got {axis!r}")
    return axis


def _is_up_axis(tag: object) -> bool:
    return isinstance(tag, str) and tag.rpartition("}")[2] == "up_axis"


def _primitives(document: Any, path: Path, submesh: str) -> Iterator[tuple[str, Any]]:
    """(name, triangle set) of every bound primitive; lines are passed over."""
    for kind in ("geometry", "controller"):
        for bound in document.scene.objects(kind):
            # A skin without its skeleton stands as it was modelled.
            geometry = bound.geometry if hasattr(bound, "geometry") else bound
            original = getattr(geometry, "original", geometry)
            name = str(getattr(original, "name", "") or getattr(original, "id", "") or "")
            if submesh and submesh not in (name, getattr(original, "id", "")):
                continue
            for primitive in geometry.primitives():
                if hasattr(primitive, "triangleset"):
                    primitive = primitive.triangleset()
                if not isinstance(primitive, collada.triangleset.BoundTriangleSet) or primitive.vertex is None:
                    continue
                if len(primitive.vertex_index):
                    _expect_indices(path, primitive.vertex_index, len(primitive.vertex))
                    yield name, primitive


def _surface(name: str, primitive: Any, to_world: np.ndarray, texture: Callable[[str], Texture | None]) -> Surface:
    triangles = np.asarray(primitive.vertex, dtype=np.float64)[primitive.vertex_index] @ to_world.T
    color, image, channel = _material(primitive)
    found = texture(image) if image else None
    uv = None
    if found is not None and len(primitive.texcoordset) > 0:
        chosen = channel if channel < len(primitive.texcoordset) else 0
        coordinates = np.asarray(primitive.texcoordset[chosen], dtype=np.float32)[:, :2]
        uv = coordinates[primitive.texcoord_indexset[chosen]]
    if uv is None or not np.isfinite(uv).all():
        return Surface(name, triangles, None, color)
    return Surface(name, triangles, uv, color, found)


def _material(primitive: Any) -> tuple[tuple[float, float, float], str, int]:
    """Colour, image ("" for none) and index of the texture coordinates of a bound primitive."""
    effect = getattr(primitive.material, "effect", None)
    diffuse = getattr(effect, "diffuse", None)
    # Some exporters put the image where light is emitted.
    for channel in (diffuse, getattr(effect, "emission", None)):
        if channel is not None and hasattr(channel, "sampler"):
            return PLAIN, str(channel.sampler.surface.image.path), _texcoord_set(primitive, str(channel.texcoord))
    if isinstance(diffuse, tuple) and len(diffuse) >= 3:
        r, g, b = (min(max(float(value), 0.0), 1.0) for value in diffuse[:3])
        return (r, g, b), "", 0
    return PLAIN, "", 0


def _texcoord_set(primitive: Any, semantic: str) -> int:
    """Position among the primitive's texture coordinates of the set that ``bind_vertex_input`` names; else 0."""
    _, wanted = (getattr(primitive, "inputmap", None) or {}).get(semantic, ("", None))
    sets = [source[3] for source in primitive.original.sources.get("TEXCOORD", ())]
    return sets.index(wanted) if wanted is not None and wanted in sets else 0


def _expect_indices(path: Path, index: np.ndarray, count: int) -> None:
    if int(index.min()) < 0 or int(index.max()) >= count:
        raise DataError(f"{path}: expected vertex numbers below {count}, got {int(index.min())} to {int(index.max())}")
