"""Configuration files: YAML with sections of known keys, what they build on, and settings on top."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from sparse_s4r.structures.errors import ConfigError


class Section(BaseModel):
    """A part of the configuration: frozen, no unknown keys, finite numbers, defaults checked like given values."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, protected_namespaces=(), allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_as_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Python takes true for 1; ``steps: yes`` is a mistake all the same."""
        if isinstance(value, bool) and cls.model_fields[info.field_name or ""].annotation is not bool:
            raise ValueError("expected another type than a truth value")
        return value


# Key of a file that names the file it builds on.
BASE_KEY = "base"


def read_values(path: Path, section: type[BaseModel]) -> dict[str, Any]:
    """The nested values of a configuration file on top of those of the file that its key ``base`` names, if any.

    The base's path is relative to the file, and a base may have a base of its own. Sections are merged key by key;
    any other value, a list too, replaces that of the base.

    Args:
        path: YAML file.
        section: The outermost section, whose keys are known.

    Raises:
        ConfigError: Missing or malformed file, unknown key (the nearest one is named), or files in a circle.
    """
    return _read(path, section, ())


def _read(path: Path, section: type[BaseModel], above: tuple[Path, ...]) -> dict[str, Any]:
    resolved = path.resolve()
    if resolved in above:
        chain = " -> ".join(file.name for file in (*above, resolved))
        raise ConfigError(f"{path}: expected files that build on others, got a circle: {chain}; remove one {BASE_KEY}")
    values = _read_yaml(path)
    base = values.pop(BASE_KEY, None)
    expect_known(section, values, "", str(path))
    if base is None:
        return values
    if not isinstance(base, str):
        raise ConfigError(f"{path}: {BASE_KEY}: expected the path of a configuration file, got {base!r}")
    return merged(_read(path.parent / base, section, (*above, resolved)), values)


def merged(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested ``base`` with ``values`` on top, as a new dictionary."""
    result = dict(base)
    for key, value in values.items():
        below = result.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        result[key] = merged(below, value) if both and isinstance(below, Mapping) else value
    return result


def override(values: dict[str, Any], overrides: Sequence[str]) -> None:
    """Set ``section.key=value`` in nested ``values``, in place.

    Raises:
        ConfigError: No ``=``, a value that is no YAML, or a key below a plain value.
    """
    for text in overrides:
        key, separator, value = text.partition("=")
        if not separator:
            raise ConfigError(f"--set {text}: expected key=value, e.g. train.steps=500")
        assign(values, key.strip(), parse_yaml(f"--set {text}", value))


def parse_yaml(source: str, text: str | bytes) -> Any:
    """The content of YAML ``text``.

    Raises:
        ConfigError: It is none; the message starts with ``source``.
    """
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        # ValueError: a date that is none, bytes that are no text.
        raise ConfigError(f"{source}: not valid YAML: {error}") from error


def assign(values: dict[str, Any], key: str, value: Any) -> None:
    """Set ``section.key`` in nested ``values``, in place.

    Raises:
        ConfigError: A key below a plain value.
    """
    *parents, last = key.split(".")
    for parent in parents:
        inner = values.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {key}: {parent} is a value, not a section")
        values = inner
    values[last] = value


def expect_known(section: type[BaseModel], values: Any, prefix: str, source: str) -> None:
    """Raise ConfigError unless ``section`` has all keys of ``values``, and its sections theirs.

    Unknown keys are found here, and not by pydantic, to name the nearest known one.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{source}: {prefix.rstrip('.') or 'the file'}: expected a section with keys, got {values!r}")
    for key, value in values.items():
        field = section.model_fields.get(str(key))
        if field is None:
            near = difflib.get_close_matches(str(key), section.model_fields, n=1, cutoff=0.0)
            raise ConfigError(f"{source}: unknown key {prefix}{key}; did you mean {prefix}{near[0]}?")
        inner = [kind for kind in (field.annotation, *get_args(field.annotation)) if _is_section(kind)]
        if inner:
            expect_known(inner[0], value, f"{prefix}{key}.", source)


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigError(f"{path}: expected a configuration file, found none")
    values = parse_yaml(str(path), path.read_bytes())
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected sections with keys, got {type(values).__name__}")
    return values


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
