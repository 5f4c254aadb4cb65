from __future__ import annotations

import numpy as np
import pytest
import yaml

from sparse_s4r.cli.synth import taxonomy_map
from sparse_s4r.data.homes import classes
from sparse_s4r.data.homes.classes import FINE_NAMES, TAXONOMY_NAMES, label_map
from sparse_s4r.data.homes.home import make_home
from sparse_s4r.segmentation.taxonomy import load_taxonomy
from sparse_s4r.structures import IGNORE_LABEL
from sparse_s4r.structures.errors import DataError


def test_the_table_has_no_gaps() -> None:
    table = yaml.safe_load(classes._TEXT)
    assert set(TAXONOMY_NAMES) == {"scannet15", "scannet20", "matterport11", "structure"}
    for fine, names in table["classes"].items():
        assert len(names) == len(TAXONOMY_NAMES), fine
    for column, taxonomy in enumerate(TAXONOMY_NAMES):
        used = {names[column] for names in table["classes"].values()} - {None}
        # Every class of every taxonomy can occur, and no other.
        assert used == set(load_taxonomy(taxonomy).class_names), taxonomy


def test_homes_use_the_fine_classes_alone_and_all_of_them() -> None:
    used = {s.class_name for seed in range(12) for item in make_home(seed, 6).items for s in item.thing}
    assert used == set(FINE_NAMES) - {"wall", "floor", "ceiling"}


def test_known_pairs() -> None:
    twenty, eleven, fifteen = (taxonomy_map(name) for name in ("scannet20", "matterport11", "scannet15"))

    def name(labels: classes.LabelMap, fine: str) -> str | None:
        value = int(labels.labels[FINE_NAMES.index(fine)])
        return None if value == IGNORE_LABEL else labels.class_names[value]

    assert name(twenty, "shower_curtain") == "shower curtain"
    assert name(fifteen, "shower_curtain") == "curtain"
    assert name(fifteen, "refrigerator") == "otherfurniture"
    assert name(twenty, "ceiling") is None
    assert name(eleven, "ceiling") == "ceiling"
    assert name(eleven, "door") == "wall"
    assert name(eleven, "desk") == "table"
    assert name(fifteen, "toilet") is None
    homes = taxonomy_map("homes")
    assert homes.class_names == FINE_NAMES
    assert np.array_equal(homes.labels, np.arange(len(FINE_NAMES)))


def test_a_taxonomy_that_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="scannet15, scannet20, matterport11, structure, homes"):
        label_map("mseg", ("wall",))
    with pytest.raises(DataError, match="expected a class 'floor' for floor, got wall"):
        label_map("structure", ("wall",))
