"""scene.json: what a scene folder says of itself, checked key by key when read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, JsonValue, ValidationError, field_validator
from torch import Tensor

from sparse_s4r.structures.errors import DataError

FORMAT = "sparse_s4r scene"
VERSION = 1
DOCUMENT = "scene.json"

Split = Literal["input", "target", "held_out"]
Row3 = tuple[FiniteFloat, FiniteFloat, FiniteFloat]
Row4 = tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]
Matrix3 = tuple[Row3, Row3, Row3]
Matrix4 = tuple[Row4, Row4, Row4, Row4]
Positive = Annotated[FiniteFloat, Field(gt=0)]
Pixels = Annotated[int, Field(ge=1, le=65536)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FrameDocument(_Strict):
    """One frame: its part in the scene, its files (relative to the scene folder) and its camera."""

    name: str
    split: Split
    color: str
    depth: str
    labels: str | None = None
    intrinsics: Matrix3
    camera_to_world: Matrix4
    width: Pixels
    height: Pixels

    @field_validator("name")
    @classmethod
    def _name_is_plain(cls, name: str) -> str:
        if not is_plain_name(name):
            raise ValueError(f"expected a plain frame name without slashes, got {name!r}")
        return name

    @field_validator("color", "depth", "labels")
    @classmethod
    def _path_stays_inside(cls, path: str | None) -> str | None:
        if path is not None and not (path.startswith("frames/") and is_plain_name(path[len("frames/") :])):
            raise ValueError(f"expected a file directly in frames/, got {path!r}")
        return path


class SceneDocument(_Strict):
    """The whole of scene.json; see docs/scene-format.md for every key."""

    format: Literal["sparse_s4r scene"] = "sparse_s4r scene"
    version: Literal[1] = 1
    name: str
    voxel_size: Positive
    origin: Row3
    truncation_voxels: Positive
    up: Row3 = (0.0, 0.0, 1.0)
    source_to_world: Matrix4
    class_names: tuple[str, ...] | None = None
    depth_scale: Positive
    frames: tuple[FrameDocument, ...]
    made_by: dict[str, JsonValue] = Field(default_factory=dict)

    @field_validator("frames")
    @classmethod
    def _names_are_unique(cls, frames: tuple[FrameDocument, ...]) -> tuple[FrameDocument, ...]:
        seen: set[str] = set()
        for frame in frames:
            if frame.name in seen:
                raise ValueError(f"expected each frame once, got {frame.name!r} twice")
            seen.add(frame.name)
        return frames


def is_plain_name(name: str) -> bool:
    """True for a name that can stand as one file name on every system."""
    return (
        0 < len(name) <= 200
        and not name.startswith(".")
        and not any(character in '/\\:*?"<>|' or ord(character) < 32 for character in name)
    )


def inside(folder: Path, relative: str) -> Path:
    """``relative`` in a scene folder, or in a folder of one; it need not exist.

    Raises:
        DataError: A link there leads out of the folder.
    """
    path = folder / relative
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{path}: expected a file inside the scene folder, got a link to {path.resolve()}")
    return path


def matrix3(tensor: Tensor) -> Matrix3:
    """A (3, 3) tensor as nested tuples, to the last bit of float64."""
    return cast(Matrix3, tuple(tuple(row) for row in tensor.double().tolist()))


def matrix4(tensor: Tensor) -> Matrix4:
    """A (4, 4) tensor as nested tuples, to the last bit of float64."""
    return cast(Matrix4, tuple(tuple(row) for row in tensor.double().tolist()))


def read_document(folder: Path) -> SceneDocument:
    """Read and validate ``folder``/scene.json.

    Raises:
        DataError: No such folder or file, no JSON, another format or version, or a key that breaks the schema.
    """
    path = folder / DOCUMENT
    if not path.is_file():
        raise DataError(f"{folder}: expected a scene folder with a {DOCUMENT}, got none; make one with `s4r import`")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected JSON, got a file that cannot be read as such ({error})") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError(f"{path}: expected format {FORMAT!r}; this is not a scene; make one with `s4r import`")
    if content.get("version") != VERSION:
        raise DataError(f"{path}: expected version {VERSION}, got {content.get('version')!r}; import the frames again")
    try:
        return SceneDocument.model_validate(content)
    except ValidationError as error:
        raise DataError(f"{path}: {explain(error)}") from error


def write_document(folder: Path, document: SceneDocument) -> None:
    """Write ``folder``/scene.json."""
    text = json.dumps(document.model_dump(mode="json"), indent=1, allow_nan=False)
    (folder / DOCUMENT).write_text(text + "\n", encoding="utf-8")


def explain(error: ValidationError) -> str:
    """The first problems of a document in one line."""
    problems = [
        f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors()[:5]
    ]
    more = error.error_count() - len(problems)
    return "; ".join(problems) + (f"; and {more} more" if more > 0 else "")
