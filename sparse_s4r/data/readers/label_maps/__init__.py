"""Which class of this package's taxonomies a data set's own class belongs to, kept as data files."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Literal

import yaml

from sparse_s4r.structures import IGNORE_LABEL
from sparse_s4r.structures.errors import DataError

Source = Literal["nyu40", "eigen13"]


@dataclass(frozen=True)
class SourceClass:
    """A class of a data set.

    Attributes:
        id: Its number there.
        name: Its name there.
        targets: (set, class) for every class set that has a place for it.
    """

    id: int
    name: str
    targets: tuple[tuple[str, str], ...]

    def target(self, class_set: str) -> str | None:
        """Name of its class in ``class_set``; None if pixels of it are to be ignored."""
        return dict(self.targets).get(class_set)


@dataclass(frozen=True)
class LabelMap:
    """The classes of a data set, and the class sets that they map to.

    Attributes:
        source: Name of the data set's own classes.
        classes: In the order of their ids.
        sets: (name, class names in the order of the labels) of each set; ``source`` itself is one.
    """

    source: Source
    classes: tuple[SourceClass, ...]
    sets: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def set_names(self) -> tuple[str, ...]:
        """Names of the class sets."""
        return tuple(name for name, _ in self.sets)

    def class_names(self, class_set: str) -> tuple[str, ...]:
        """Names of the classes of a set; the position is the label.

        Raises:
            DataError: No such set.
        """
        found = dict(self.sets).get(class_set)
        if found is None:
            raise DataError(f"classes: expected one of {', '.join(self.set_names)}, got {class_set!r}")
        return found

    def labels_of_ids(self, class_set: str) -> tuple[int, ...]:
        """Label of every id from 0 to the largest, ``IGNORE_LABEL`` where the set has no class."""
        names = self.class_names(class_set)
        labels = [IGNORE_LABEL] * (self.classes[-1].id + 1)
        for entry in self.classes:
            target = entry.target(class_set)
            if target is not None:
                labels[entry.id] = names.index(target)
        return tuple(labels)


def load_label_map(source: Source) -> LabelMap:
    """Read one of the maps that come with the package."""
    content = yaml.safe_load((resources.files(__name__) / f"{source}.yaml").read_text("utf-8"))
    classes = tuple(
        SourceClass(
            entry["id"],
            entry["name"],
            ((source, entry["name"]), *((key, value) for key, value in entry.items() if key not in ("id", "name"))),
        )
        for entry in content["classes"]
    )
    own = (source, tuple(entry.name for entry in classes))
    return LabelMap(source, classes, (own, *((name, tuple(names)) for name, names in content["sets"].items())))
