from __future__ import annotations

from pathlib import Path

import pytest

from sparse_s4r.segmentation.class_list import (
    ClassList,
    choose_label_map,
    load_class_list,
    match_class_list,
    shipped_class_lists,
)
from sparse_s4r.segmentation.label_map import load_label_map, shipped_label_maps
from sparse_s4r.segmentation.taxonomy import load_taxonomy
from sparse_s4r.structures import IGNORE_LABEL
from sparse_s4r.structures.errors import DataError

COUNTS = {"mseg194": 194, "ade150": 150, "coco133": 133}
TAXONOMIES = ("matterport11", "scannet15", "scannet20")
# Positions that the data sets' own documents give, counted from 0.
POSITIONS = {
    "mseg194": {"backpack": 0, "ceiling": 36, "floor": 43, "couch": 62, "door": 80, "wall": 191, "window_blind": 193},
    "ade150": {"wall": 0, "floor": 3, "windowpane": 8, "sofa": 23, "television receiver": 89, "flag": 149},
    "coco133": {"person": 0, "chair": 56, "toothbrush": 79, "banner": 80, "window-blind": 114, "rug-merged": 132},
}
# How many of MSeg's classes are mapped; scannet20 has three classes more that are not in scannet15 by another name.
MAPPED = {"matterport11": 125, "scannet15": 44, "scannet20": 47}
SHORT = ClassList(
    "s", ("window", "screen door", "screen"), (("window", "pane"), ("screen door", "screen"), ("screen",))
)


@pytest.mark.parametrize("name", COUNTS)
def test_class_lists(name: str) -> None:
    classes = load_class_list(name)
    assert classes.name == name
    assert len(set(classes.names)) == len(classes.names) == COUNTS[name]
    assert {known: classes.names.index(known) for known in POSITIONS[name]} == POSITIONS[name]
    assert all(names[0] == own for names, own in zip(classes.synonyms, classes.names, strict=True))


def test_every_list_has_its_label_maps() -> None:
    assert set(shipped_class_lists()) == set(COUNTS)
    lists = {*COUNTS, "rooms39"}
    assert set(shipped_label_maps()) == {f"{name}-{taxonomy}" for name in lists for taxonomy in TAXONOMIES}


@pytest.mark.parametrize("taxonomy", TAXONOMIES)
@pytest.mark.parametrize("name", COUNTS)
def test_shipped_maps_have_no_gaps_and_keep_names(name: str, taxonomy: str) -> None:
    source, target = load_class_list(name).names, load_taxonomy(taxonomy).class_names
    label_map = load_label_map(f"{name}-{taxonomy}", source, target)
    assert label_map.name == f"{name}-{taxonomy}"
    # A class of the same name is the same class, in every pair of these taxonomies.
    same = {own: target[label_map.targets[source.index(own)]] for own in source if own in target}
    assert same == {own: own for own in same}
    assert len(same) >= 3


@pytest.mark.parametrize("taxonomy", TAXONOMIES)
def test_counts_of_mapped_classes(taxonomy: str) -> None:
    source, target = load_class_list("mseg194").names, load_taxonomy(taxonomy).class_names
    targets = load_label_map(f"mseg194-{taxonomy}", source, target).targets
    assert sum(value != IGNORE_LABEL for value in targets) == MAPPED[taxonomy]
    assert {value for value in targets if value != IGNORE_LABEL} == set(range(len(target)))


@pytest.mark.parametrize(
    ("name", "label", "expected"),
    [
        ("mseg194", "rug_floormat", "floor"),
        ("mseg194", "desk", "table"),
        ("mseg194", "person", None),
        ("ade150", "blind", "window"),
        ("ade150", "monitor", "tv"),
        ("ade150", "armchair", "chair"),
        ("ade150", "sky", None),
        ("coco133", "couch", "sofa"),
        ("coco133", "wall-tile", "wall"),
        ("coco133", "floor-wood", "floor"),
        ("coco133", "car", None),
    ],
)
def test_what_counts_as_what_in_matterport11(name: str, label: str, expected: str | None) -> None:
    source, target = load_class_list(name).names, load_taxonomy("matterport11").class_names
    value = load_label_map(f"{name}-matterport11", source, target).targets[source.index(label)]
    assert value == (IGNORE_LABEL if expected is None else target.index(expected))


@pytest.mark.parametrize("name", COUNTS)
def test_a_network_is_recognised_by_its_names(name: str) -> None:
    classes = load_class_list(name)
    assert match_class_list(classes.names, classes) == classes.names
    # Published models write all synonyms, or the first, with other capitals, spaces and hyphens.
    assert match_class_list([", ".join(names) + " " for names in classes.synonyms], classes) == classes.names
    assert match_class_list([own.title().replace(" ", "_") for own in classes.names], classes) == classes.names
    assert match_class_list(classes.names[::-1], classes) == classes.names[::-1]
    assert match_class_list(classes.names[1:], classes) is None
    assert match_class_list(("spaceship", *classes.names[1:]), classes) is None
    assert match_class_list((classes.names[1], *classes.names[1:]), classes) is None


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["pane", "screen door", "screen"], ("window", "screen door", "screen")),
        (["screen", "pane", "screen_door"], ("screen", "window", "screen door")),
        # "a" is no name of theirs, so its other name decides, and that two classes have: the position does.
        (["window", "a, screen", "screen"], ("window", "screen door", "screen")),
        (["a, screen", "screen door", "window"], None),
    ],
)
def test_shared_names_are_told_apart(labels: list[str], expected: tuple[str, ...] | None) -> None:
    assert match_class_list(labels, SHORT) == expected


def test_other_names_of_ade20k_classes() -> None:
    # As models trained with MaskFormer's list write them.
    other = {8: "window ", 37: "tub", 38: "rail", 87: "street lamp", 89: "tv", 90: "plane", 92: "clothes", 109: "pool"}
    other |= {63: "blind, screen", 113: "falls", 138: "trash can", 99: "buffet, counter, sideboard"}
    classes = load_class_list("ade150")
    labels = [other.get(position, name) for position, name in enumerate(classes.names)]
    assert match_class_list(labels, classes) == classes.names


def test_the_map_of_a_network_is_found() -> None:
    names = load_class_list("coco133").names
    label_map = choose_label_map(names[::-1], "scannet20")
    assert label_map.name == "coco133-scannet20"
    assert label_map.class_names[label_map.targets[names[::-1].index("couch")]] == "sofa"


@pytest.mark.parametrize("spoken_in_capitals", [False, True])
def test_a_users_map_may_speak_the_words_of_the_list_or_of_the_network(
    tmp_path: Path, spoken_in_capitals: bool
) -> None:
    labels = tuple(name.upper() for name in load_class_list("ade150").names)
    spoken = labels if spoken_in_capitals else load_class_list("ade150").names
    rest = ", ".join(name for name in spoken if name.lower() not in ("wall", "floor", "ceiling"))
    wall, floor, ceiling = spoken[0], spoken[3], spoken[5]
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"name: m\nclasses: {{wall: [{wall}], floor: [{floor}], ceiling: [{ceiling}], object: [{rest}]}}\nignored: []\n"
    )
    found = choose_label_map(labels, "structure", path)
    # floor 0, wall 1, ceiling 2, object 3
    assert found.targets == (1, 3, 3, 0, 3, 2, *[3] * 144)


def test_what_cannot_be_mapped_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"network of 2 classes \(cat, dog, ...\): expected the classes of ade150"):
        choose_label_map(("cat", "dog"), "scannet20")
    with pytest.raises(DataError, match="taxonomy nyu40: expected one with a label map for ade150"):
        choose_label_map(load_class_list("ade150").names, "nyu40")
    path = tmp_path / "mine.yaml"
    path.write_text("name: m\nclasses: {wall: [], floor: [], ceiling: [], object: [cat]}\nignored: []\n")
    with pytest.raises(DataError, match="got none of dog"):
        choose_label_map(("cat", "dog"), "structure", path)
    with pytest.raises(DataError, match="class list ade151: expected one of ade150"):
        load_class_list("ade151")
