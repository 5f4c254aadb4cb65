"""Taxonomies: the names of classes and the colours they are shown in, kept as data files."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch
import yaml
from torch import Tensor

from sparse_s4r.structures import IGNORE_LABEL
from sparse_s4r.structures.errors import DataError

_IGNORED_COLOR = (0, 0, 0)


@dataclass(frozen=True)
class Taxonomy:
    """A list of classes.

    Attributes:
        name: Name of the taxonomy.
        class_names: K names; the position is the label.
        colors: K display colours, RGB in [0, 255].
    """

    name: str
    class_names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]

    def paint(self, labels: Tensor) -> Tensor:
        """Display colours (..., 3) uint8 of ``labels`` (...); black for ``IGNORE_LABEL``.

        Raises:
            ValueError: A label that is neither a class nor ``IGNORE_LABEL``.
        """
        table = torch.zeros(IGNORE_LABEL + 1, 3, dtype=torch.uint8)
        table[: len(self.colors)] = torch.tensor(self.colors, dtype=torch.uint8)
        table[IGNORE_LABEL] = torch.tensor(_IGNORED_COLOR, dtype=torch.uint8)
        labels = labels.long().cpu()
        wrong = (labels != IGNORE_LABEL) & ((labels < 0) | (labels >= len(self.colors)))
        if bool(wrong.any()):
            raise ValueError(
                f"labels: expected classes below {len(self.colors)} of {self.name} or {IGNORE_LABEL}, "
                f"got {int(labels[wrong][0])}"
            )
        return table[labels]


def shipped_taxonomies() -> tuple[str, ...]:
    """Names of the taxonomies that come with the package."""
    folder = resources.files("sparse_s4r.segmentation") / "taxonomies"
    return tuple(sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml")))


def load_taxonomy(source: str | Path) -> Taxonomy:
    """Read a taxonomy.

    Args:
        source: Name of a shipped taxonomy, or the path of a YAML file with ``name`` and ``classes``, a list of
            entries with ``name`` and ``color`` [r, g, b].

    Raises:
        DataError: No such taxonomy, or a file that is not one; the message names the entry.
    """
    if isinstance(source, str) and source in shipped_taxonomies():
        text = (resources.files("sparse_s4r.segmentation") / "taxonomies" / f"{source}.yaml").read_text("utf-8")
    elif Path(source).is_file():
        text = Path(source).read_text("utf-8")
    else:
        known = ", ".join(shipped_taxonomies())
        raise DataError(f"taxonomy {source}: expected one of {known} or the path of a YAML file, got neither")
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DataError(
            f"taxonomy {source}: expected YAML, got a file that cannot be read as such ({error})"
        ) from error
    return _parse(content, str(source))


def _parse(content: object, source: str) -> Taxonomy:
    if not isinstance(content, dict) or set(content) != {"name", "classes"} or not isinstance(content["classes"], list):
        raise DataError(f"taxonomy {source}: expected the keys name and classes (a list), got {_show(content)}")
    names: list[str] = []
    colors: list[tuple[int, int, int]] = []
    for index, entry in enumerate(content["classes"]):
        if not isinstance(entry, dict) or set(entry) != {"name", "color"}:
            raise DataError(f"taxonomy {source}: class {index}: expected the keys name and color, got {_show(entry)}")
        name, color = str(entry["name"]), entry["color"]
        if name in names:
            raise DataError(f"taxonomy {source}: class {index}: expected a new name, got {name!r} a second time")
        if not (isinstance(color, list) and len(color) == 3 and all(_is_byte(value) for value in color)):
            raise DataError(f"taxonomy {source}: class {name}: expected color [r, g, b] in [0, 255], got {color}")
        names.append(name)
        colors.append((color[0], color[1], color[2]))
    if not 1 <= len(names) <= IGNORE_LABEL:
        raise DataError(f"taxonomy {source}: expected 1 to {IGNORE_LABEL} classes, got {len(names)}")
    return Taxonomy(str(content["name"]), tuple(names), tuple(colors))


def _is_byte(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255


def _show(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, dict) else type(value).__name__
