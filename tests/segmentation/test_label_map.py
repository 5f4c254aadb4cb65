from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sparse_s4r.data.homes.classes import FINE_NAMES, label_map
from sparse_s4r.segmentation.label_map import LabelMap, load_label_map, map_probabilities
from sparse_s4r.segmentation.taxonomy import load_taxonomy
from sparse_s4r.structures import IGNORE_LABEL
from sparse_s4r.structures.errors import DataError

SOURCE = ("oak", "pine", "rock", "cloud")
CLASSES = ("tree", "stone")
GOOD = "name: m\nclasses: {tree: [pine, oak], stone: [rock]}\nignored: [cloud]\n"


@pytest.fixture
def small() -> LabelMap:
    return LabelMap("small", SOURCE, CLASSES, (0, 0, 1, IGNORE_LABEL))


def test_a_users_file(tmp_path: Path, small: LabelMap) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    read = load_label_map(path, SOURCE, CLASSES)
    assert (read.name, read.targets, read.class_names) == ("m", small.targets, CLASSES)
    # Channels follow the segmenter, not the file.
    assert load_label_map(str(path), SOURCE[::-1], CLASSES).targets == small.targets[::-1]


@pytest.mark.parametrize("taxonomy", ["matterport11", "scannet15", "scannet20"])
def test_rooms_are_mapped_as_the_homes_are_labelled(taxonomy: str) -> None:
    names = load_taxonomy(taxonomy).class_names
    read = load_label_map(f"rooms39-{taxonomy}", FINE_NAMES, names)
    assert len(FINE_NAMES) == 39
    assert read.targets == tuple(label_map(taxonomy, names).labels.tolist())


def test_sums_per_class(small: LabelMap) -> None:
    pixels = torch.tensor(
        [
            [0.3, 0.3, 0.2, 0.2],  # rock is not the class, though no source class has more than oak or pine
            [0.2, 0.2, 0.0, 0.6],  # ignored wins against the sum of the trees
            [0.25, 0.25, 0.0, 0.5],  # ... not when it is only as large
            [0.0, 0.0, 0.0, 1.0],
            [0.0, 0.0, 0.0, 0.0],  # no statement before, none after
        ]
    )
    mapped = map_probabilities(pixels.T.reshape(1, 4, 5, 1), small)
    expected = torch.tensor([[0.75, 0.25], [0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    assert mapped.dtype == torch.float32
    torch.testing.assert_close(mapped.reshape(2, 5).T, expected)


def test_another_number_of_channels_is_an_error(small: LabelMap) -> None:
    with pytest.raises(ValueError, match=r"expected \(B, 4, H, W\) for small, got \(1, 3, 2, 2\)"):
        map_probabilities(torch.rand(1, 3, 2, 2), small)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "expected YAML"),
        ("- 1", "keys name, classes and ignored, got list"),
        ("name: m\nclasses: {}", "keys name, classes and ignored, got name, classes"),
        (GOOD.replace("[pine, oak]", "pine"), "tree: expected a list of names"),
        (GOOD.replace("oak", "off"), "tree: expected a list of names.*quote odd names"),
        (GOOD.replace("{tree: [pine, oak], stone: [rock]}", "[pine]"), "classes: expected taxonomy class"),
        (GOOD.replace("oak", "oka"), "source classes among oak.*got the unknown oka"),
        (GOOD.replace(", oak", ""), "all 4 source classes, got none of oak; list each in a class or in ignored"),
        (GOOD.replace("[cloud]", "[cloud, rock]"), "each source class once, got rock more than once"),
        (GOOD.replace("[rock]", "[rock, rock]"), "each source class once, got rock more than once"),
        (GOOD.replace("stone", "stones"), "taxonomy classes among tree, stone, got the unknown stones"),
        (GOOD.replace(", stone: [rock]", "").replace("cloud", "cloud, rock"), "got none of stone; give each a list"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        load_label_map(path, SOURCE, CLASSES)


def test_an_unknown_map_lists_the_known() -> None:
    with pytest.raises(DataError, match="rooms39-scannet15"):
        load_label_map("rooms39-scannet16", SOURCE, CLASSES)
