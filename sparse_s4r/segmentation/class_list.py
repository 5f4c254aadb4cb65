"""Lists of the classes that published 2D networks know, kept as data files, and which of them a network speaks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import yaml

from sparse_s4r.segmentation.label_map import LabelMap, load_label_map, shipped_label_maps
from sparse_s4r.segmentation.taxonomy import load_taxonomy
from sparse_s4r.structures.errors import DataError


@dataclass(frozen=True)
class ClassList:
    """The classes of a data set.

    Attributes:
        name: Name of the list, the first part of the names of its label maps.
        names: U names, in the order of the data set's ids.
        synonyms: U tuples of all names that a class goes by, its own first.
    """

    name: str
    names: tuple[str, ...]
    synonyms: tuple[tuple[str, ...], ...]


def shipped_class_lists() -> tuple[str, ...]:
    """Names of the class lists that come with the package."""
    folder = resources.files("sparse_s4r.segmentation") / "class_lists"
    return tuple(sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml")))


@cache
def load_class_list(name: str) -> ClassList:
    """Read the shipped class list ``name``.

    Raises:
        DataError: There is none of that name.
    """
    if name not in shipped_class_lists():
        raise DataError(f"class list {name}: expected one of {', '.join(shipped_class_lists())}, got another")
    text = (resources.files("sparse_s4r.segmentation") / "class_lists" / f"{name}.yaml").read_text("utf-8")
    entries = yaml.safe_load(text)["classes"]
    synonyms = tuple(tuple(entry) if isinstance(entry, list) else (entry,) for entry in entries)
    return ClassList(name, tuple(names[0] for names in synonyms), synonyms)


def match_class_list(labels: Sequence[str], classes: ClassList) -> tuple[str, ...] | None:
    """What ``labels``, the classes of a network, are called in a class list; None if they are not the same classes.

    Case, spaces, hyphens and underscores do not count. A label may hold several names with commas between them; names
    that several classes go by (screen, counter) are told apart by the others and by the position.
    """
    if len(labels) != len(classes.names):
        return None
    own = [_plain(name) for name in classes.names]
    known = [{_plain(name) for name in names} for names in classes.synonyms]
    found: list[int] = []
    for position, label in enumerate(labels):
        parts = [_plain(part) for part in re.split("[,;]", label)]
        if parts[0] in own:
            found.append(own.index(parts[0]))
            continue
        fitting = [index for index, names in enumerate(known) if names & set(parts)]
        if position in fitting:
            found.append(position)
        elif len(fitting) == 1:
            found.append(fitting[0])
        else:
            return None
    return tuple(classes.names[index] for index in found) if len(set(found)) == len(found) else None


def choose_label_map(
    labels: Sequence[str], taxonomy: str, path: Path | None = None, among: Sequence[str] | None = None
) -> LabelMap:
    """The label map for a network.

    Args:
        labels: U names of its classes, in the order of its channels.
        taxonomy: Name of a shipped taxonomy, or the path of a YAML file.
        path: A user's label map over ``labels`` as they are or, where they are those of a shipped class list, over the
            names of that list; None for the shipped map.
        among: Class lists that the labels may be of; None for all that are shipped.

    Raises:
        DataError: Labels of no shipped list and no ``path``; a taxonomy without a shipped map; a map with gaps.
    """
    names = load_taxonomy(taxonomy)
    matches = {name: match_class_list(labels, load_class_list(name)) for name in among or shipped_class_lists()}
    known = next(((name, match) for name, match in matches.items() if match is not None), None)
    if path is not None:
        try:
            return load_label_map(path, tuple(labels), names.class_names)
        except DataError:
            if known is None:
                raise
            return load_label_map(path, known[1], names.class_names)
    if known is None:
        raise DataError(
            f"network of {len(labels)} classes ({', '.join(labels[:3])}, ...): expected the classes of "
            f"{', '.join(matches)}, got others; write a label map over them and name it"
        )
    wanted = f"{known[0]}-{names.name}"
    if wanted not in shipped_label_maps():
        shipped = ", ".join(name for name in shipped_label_maps() if name.startswith(f"{known[0]}-"))
        raise DataError(
            f"taxonomy {names.name}: expected one with a label map for {known[0]} ({shipped}), got another; write a "
            f"label map and name it"
        )
    return load_label_map(wanted, known[1], names.class_names)


def _plain(name: str) -> str:
    return " ".join(re.split(r"[\s_-]+", name.strip().lower()))
