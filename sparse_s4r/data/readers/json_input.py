"""JSON files checked against a description of their content."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from sparse_s4r.structures.errors import DataError

_MAX_BYTES = 1 << 28


class Document(BaseModel):
    """Base of descriptions: read-only, and keys that nobody asked for are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)


Model = TypeVar("Model", bound=BaseModel)


def load_json(path: Path, role: str, model: type[Model]) -> Model:
    """The content of a JSON file.

    Args:
        path: The file.
        role: What the file holds; named in errors.
        model: Description of the content.

    Raises:
        DataError: No such file, no JSON, or content that does not fit; the message names the key.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"{path}: expected {role} of at most {_MAX_BYTES >> 20} MiB, got more")
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f"{path}: expected {role} in this file, but it does not exist") from error
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: expected {role}, got a file that cannot be read ({error})") from error
    return parse_json(path, role, model, data)


def parse_json(path: Path, role: str, model: type[Model], data: bytes) -> Model:
    """As ``load_json``, of bytes that ``path`` held."""
    try:
        return model.model_validate_json(data.removeprefix(b"\xef\xbb\xbf"))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, problem["loc"]))
        place = f"{key}: " if key else ""
        raise DataError(f"{path}: expected {role} as JSON: {place}{problem['msg']}") from error
