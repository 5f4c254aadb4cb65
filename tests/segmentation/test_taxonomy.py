from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sparse_s4r.data.synthetic import CLASS_NAMES
from sparse_s4r.segmentation.geometric import STRUCTURE_NAMES
from sparse_s4r.segmentation.taxonomy import load_taxonomy, shipped_taxonomies
from sparse_s4r.structures import IGNORE_LABEL
from sparse_s4r.structures.errors import DataError


def test_shipped_taxonomies() -> None:
    assert {"scannet15", "structure"} <= set(shipped_taxonomies())
    for name in shipped_taxonomies():
        taxonomy = load_taxonomy(name)
        assert taxonomy.name == name
        assert len(set(taxonomy.colors)) == len(taxonomy.class_names)


def test_names_agree_with_their_users() -> None:
    assert load_taxonomy("scannet15").class_names == CLASS_NAMES
    assert load_taxonomy("structure").class_names == STRUCTURE_NAMES


def test_paint(tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    path.write_text("name: two\nclasses: [{name: a, color: [1, 2, 3]}, {name: b, color: [255, 0, 9]}]\n")
    two = load_taxonomy(path)
    assert two.paint(torch.tensor([[1, 0], [IGNORE_LABEL, 1]])).tolist() == [
        [[255, 0, 9], [1, 2, 3]],
        [[0, 0, 0], [255, 0, 9]],
    ]
    with pytest.raises(ValueError, match="below 2 of two or 255, got 7"):
        two.paint(torch.tensor([7]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "expected YAML"),
        ("name: x", "keys name and classes"),
        ("- 1", "got list"),
        ("name: x\nclasses: []", "1 to 255 classes, got 0"),
        ("name: x\nclasses: [{name: a}]", "class 0: expected the keys name and color"),
        ("name: x\nclasses: [{name: a, color: [0, 0]}]", "class a: expected color"),
        ("name: x\nclasses: [{name: a, color: [0, 0, 256]}]", "class a: expected color"),
        ("name: x\nclasses: [{name: a, color: [0, 0, 1]}, {name: a, color: [0, 0, 2]}]", "'a' a second time"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        load_taxonomy(path)


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(DataError, match="scannet15"):
        load_taxonomy("scannet16")
