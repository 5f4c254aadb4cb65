"""The scenes of a data set: named folders, or the official lists of a data set on disk."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sparse_s4r.data.scene_document import is_plain_name
from sparse_s4r.data.scene_format import open_scene
from sparse_s4r.structures.errors import DataError
from tools.tables.raw_files import raw_problems
from tools.tables.rows import Dataset

Role = Literal["train", "test"]
# SPSG and SG-NN list rooms of Matterport3D houses; a scene is a whole house here.
_ROOM = re.compile(r"_room\d+.*$")


@dataclass(frozen=True)
class TableScene:
    """A scene that a table needs.

    Attributes:
        name: Its name, that of its folder.
        role: To train on, or to judge on.
        folder: The scene folder, made by ``s4r import``.
        capture: The raw frames; None for scenes that were named as folders.
        problems: Why the raw frames cannot be used; empty if they can, or are not needed any more.
    """

    name: str
    role: Role
    folder: Path
    capture: Path | None = None
    problems: tuple[str, ...] = ()

    @property
    def imported(self) -> bool:
        """Whether its scene folder is there."""
        return (self.folder / "scene.json").is_file()

    def has_labels(self, label_set: str) -> bool:
        """Whether every frame of the imported scene is labelled in the set."""
        if not self.imported:
            return False
        scene = open_scene(self.folder)
        return label_set in scene.label_sets() and not scene.label_set(label_set).missing(scene.frame_names())


def named_scenes(train: Iterable[Path], test: Iterable[Path]) -> tuple[TableScene, ...]:
    """Scenes that were named as folders.

    Raises:
        DataError: None to train or to judge on, a folder named twice, or two that share a name.
    """
    scenes = [TableScene(path.resolve().name, "train", path) for path in train]
    scenes += [TableScene(path.resolve().name, "test", path) for path in test]
    return _expect_distinct(scenes, "name them with --scenes and --test")


def listed_scenes(dataset: Dataset, root: Path, lists: Path | None, imported: Path) -> tuple[TableScene, ...]:
    """Scenes of the official splits.

    Args:
        dataset: Names the files of the splits, and the folders below ``root`` in which a scene may lie.
        root: The data set.
        lists: Folder of the files; None: ``root``, or its folders ``splits`` and ``metadata``.
        imported: Folder in which scene folders are, or will be.

    Raises:
        DataError: No root, a missing or empty list, a line that is no name, or a scene in two splits.
    """
    if not root.is_dir():
        raise DataError(f"--root {root}: expected the folder of {dataset.title}, found none")
    scenes = []
    splits: tuple[tuple[Role, Sequence[str]], ...] = (("train", dataset.train), ("test", dataset.judge))
    for role, parts in splits:
        for split in parts:
            for name in _read_list(_list_file(dataset.lists[split], root, lists, dataset.title)):
                scenes.append(_listed_scene(dataset, name, role, root, imported))
    return _expect_distinct(scenes, "the lists must not overlap")


def _listed_scene(dataset: Dataset, name: str, role: Role, root: Path, imported: Path) -> TableScene:
    folder = imported / name
    if (folder / "scene.json").is_file():
        return TableScene(name, role, folder, root)
    places = [root / place.format(scene=name) for place in dataset.places]
    tried = [(place, raw_problems(place, dataset.layout, dataset.taxonomy)) for place in places if place.is_dir()]
    if not tried:
        expected = ", ".join(place.format(scene=name) for place in dataset.places)
        return TableScene(name, role, folder, None, (f"no folder {expected} below {root}",))
    # The place that looks most like a scene: Matterport3D's archives unpack into a folder within a folder.
    place, problems = min(tried, key=lambda found: len(found[1]))
    return TableScene(name, role, folder, place, problems)


def _list_file(name: str, root: Path, lists: Path | None, title: str) -> Path:
    places = [lists] if lists is not None else [root, root / "splits", root / "metadata"]
    path = next((place / name for place in places if (place / name).is_file()), None)
    if path is None:
        where = " or ".join(str(place) for place in places)
        raise DataError(
            f"{name}: expected this list of scenes of {title} in {where}, found none; it is a file of the data set's "
            "own benchmark: put it there, or name its folder with --split-dir"
        )
    return path


def _read_list(path: Path) -> tuple[str, ...]:
    names = {
        _ROOM.sub("", line.strip()): None for line in path.read_text(encoding="utf-8").splitlines() if line.strip()
    }
    if not names:
        raise DataError(f"{path}: expected the name of a scene on every line, got none")
    for name in names:
        if not is_plain_name(name):
            raise DataError(f"{path}: expected names of scenes, got {name[:60]!r}")
    return tuple(names)


def _expect_distinct(scenes: Sequence[TableScene], remedy: str) -> tuple[TableScene, ...]:
    for role in ("train", "test"):
        if not any(scene.role == role for scene in scenes):
            raise DataError(f"scenes to {role}: expected at least one, got none; {remedy}")
    seen: dict[str, TableScene] = {}
    for scene in scenes:
        if scene.name in seen:
            raise DataError(
                f"scene {scene.name}: expected it once, got it for {seen[scene.name].role} and {scene.role}; {remedy}"
            )
        seen[scene.name] = scene
    return tuple(scenes)
