"""The fine classes of homes, and their names in the taxonomies."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import numpy as np
import yaml
from numpy.typing import NDArray

from sparse_s4r.structures import IGNORE_LABEL
from sparse_s4r.structures.errors import DataError

_TEXT = (resources.files("sparse_s4r.data.homes") / "classes.yaml").read_text("utf-8")
_TABLE = yaml.safe_load(_TEXT)
FINE_NAMES: tuple[str, ...] = tuple(_TABLE["classes"])
TAXONOMY_NAMES: tuple[str, ...] = tuple(_TABLE["taxonomies"])
# Homes in their own classes, the most that is known.
FINE = "homes"


@dataclass(frozen=True)
class LabelMap:
    """From fine classes to those of a taxonomy.

    Attributes:
        taxonomy: Its name.
        class_names: K names; the position is the label.
        labels: (F,) uint8 label of every fine class, ``IGNORE_LABEL`` where it has none.
    """

    taxonomy: str
    class_names: tuple[str, ...]
    labels: NDArray[np.uint8]


def label_map(taxonomy: str, class_names: tuple[str, ...]) -> LabelMap:
    """The map to ``taxonomy``, whose classes in their order are ``class_names``.

    Raises:
        DataError: A taxonomy that the table does not know, or a class in the table that the taxonomy does not have.
    """
    if taxonomy == FINE:
        return LabelMap(FINE, FINE_NAMES, np.arange(len(FINE_NAMES), dtype=np.uint8))
    if taxonomy not in TAXONOMY_NAMES:
        known = ", ".join((*TAXONOMY_NAMES, FINE))
        raise DataError(f"taxonomy {taxonomy}: expected one that homes can be labelled in ({known}), got another")
    column = TAXONOMY_NAMES.index(taxonomy)
    labels = np.full(len(FINE_NAMES), IGNORE_LABEL, dtype=np.uint8)
    for index, fine in enumerate(FINE_NAMES):
        name = _TABLE["classes"][fine][column]
        if name is None:
            continue
        if name not in class_names:
            raise DataError(f"taxonomy {taxonomy}: expected a class {name!r} for {fine}, got {', '.join(class_names)}")
        labels[index] = class_names.index(name)
    return LabelMap(taxonomy, class_names, labels)


def map_to_names(class_names: tuple[str, ...]) -> LabelMap | None:
    """The map to the taxonomy whose classes are ``class_names``, None if homes know none like it.

    Of the taxonomies all of whose names for fine classes are among ``class_names``, the one with the most names.
    """
    if class_names == FINE_NAMES:
        return label_map(FINE, FINE_NAMES)
    used = {
        taxonomy: {row[column] for row in _TABLE["classes"].values()} - {None}
        for column, taxonomy in enumerate(TAXONOMY_NAMES)
    }
    fitting = {taxonomy: names for taxonomy, names in used.items() if names <= set(class_names)}
    if not fitting:
        return None
    return label_map(max(fitting, key=lambda taxonomy: len(fitting[taxonomy])), class_names)
