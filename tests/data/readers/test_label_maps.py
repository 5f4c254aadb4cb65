"""The maps from data sets' classes to this package's taxonomies have no gaps, and agree with the taxonomies."""

from typing import get_args

import pytest

from sparse_s4r.data.readers import matterport, scannet_labels
from sparse_s4r.data.readers.label_maps import Source, load_label_map
from sparse_s4r.segmentation.taxonomy import load_taxonomy
from sparse_s4r.structures import IGNORE_LABEL

# ScanNet's benchmark: these NYU ids count, by its file classes_SemVoxLabel-nyu40id.txt.
BENCHMARK_IDS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 24, 28, 33, 34, 36, 39)


@pytest.mark.parametrize(("source", "count"), [("nyu40", 40), ("eigen13", 13)])
def test_ids_are_complete_and_names_differ(source: Source, count: int) -> None:
    classes = load_label_map(source).classes
    assert [entry.id for entry in classes] == list(range(1, count + 1))
    assert len({entry.name for entry in classes}) == count


@pytest.mark.parametrize("source", get_args(Source))
def test_every_target_is_a_class_and_every_class_a_target(source: Source) -> None:
    label_map = load_label_map(source)
    for class_set in label_map.set_names:
        names = label_map.class_names(class_set)
        assert len(set(names)) == len(names)
        assert {entry.target(class_set) for entry in label_map.classes} - {None} == set(names)
        used = {key for entry in label_map.classes for key, _ in entry.targets}
        assert used == set(label_map.set_names)
        labels = label_map.labels_of_ids(class_set)
        assert labels[0] == IGNORE_LABEL
        assert set(labels) - {IGNORE_LABEL} == set(range(len(names)))


@pytest.mark.parametrize(
    ("source", "class_set"),
    [("nyu40", "scannet15"), ("nyu40", "scannet20"), ("nyu40", "nyu40"), ("eigen13", "matterport11")],
)
def test_labels_are_those_of_the_taxonomy(source: Source, class_set: str) -> None:
    assert load_label_map(source).class_names(class_set) == load_taxonomy(class_set).class_names


def test_the_sets_offered_are_those_of_the_maps() -> None:
    assert set(scannet_labels.CLASS_SETS) == set(load_label_map("nyu40").set_names)
    assert set(matterport.CLASS_SETS) == set(load_label_map("eigen13").set_names)


def test_scannet20_is_the_benchmarks() -> None:
    labels = load_label_map("nyu40").labels_of_ids("scannet20")
    assert tuple(identity for identity, label in enumerate(labels) if label != IGNORE_LABEL) == BENCHMARK_IDS
    assert [labels[identity] for identity in BENCHMARK_IDS] == list(range(20))
