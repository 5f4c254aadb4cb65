"""The shipped segmenter: probabilities, files of weights, and how well it does on a room made for the test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sparse_s4r.cli.synth import taxonomy_map
from sparse_s4r.data.homes.capture import HomeOptions
from sparse_s4r.data.homes.classes import FINE_NAMES
from sparse_s4r.data.homes.production import make_homes, plan_jobs
from sparse_s4r.data.homes.sensor import EXACT
from sparse_s4r.data.labelled_pictures import load_pictures
from sparse_s4r.evaluation.pictures import score_segmenter
from sparse_s4r.segmentation.label_map import LabelMap
from sparse_s4r.segmentation.room_net import RoomNet
from sparse_s4r.segmentation.room_segmenter import (
    RoomSegmenter,
    RoomWeights,
    load_room_segmenter,
    load_room_weights,
    room_label_map,
    save_room_weights,
)
from sparse_s4r.segmentation.taxonomy import load_taxonomy
from sparse_s4r.structures import IGNORE_LABEL
from sparse_s4r.structures.errors import DataError

FINE = ("bed", "chair", "stool", "lamp")
COARSE = LabelMap("coarse", FINE, ("seat", "bed"), (1, 0, 0, IGNORE_LABEL))


@pytest.fixture
def network() -> RoomNet:
    return RoomNet(4).eval()


@pytest.fixture
def stored(tmp_path: Path, network: RoomNet) -> Path:
    path = tmp_path / "net.safetensors"
    save_room_weights(path, RoomWeights(network, FINE, "train it", 7, 96))
    return path


@torch.no_grad()
def test_probabilities_are_the_sums_of_those_of_the_fine_classes(network: RoomNet) -> None:
    # Far from a decision, no pixel is left without a statement here.
    network.classify.weight.mul_(0.01)
    network.classify.bias.copy_(torch.tensor([0.3, 0.2, 0.1, -3.0]))
    images = torch.rand(2, 3, 64, 96)
    fine = network.quarter_logits(images).softmax(1)
    expected = torch.stack([fine[:, 1] + fine[:, 2], fine[:, 0]], 1)
    expected = torch.nn.functional.interpolate(expected, (64, 96), mode="bilinear")
    expected = expected / expected.sum(1, keepdim=True)
    found = RoomSegmenter(network, COARSE, 96).probabilities(images)
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-3)


@torch.no_grad()
def test_images_are_shown_at_the_size_of_the_training(network: RoomNet) -> None:
    # A picture of blocks, at its size and four times as large, looks the same to the network.
    small = torch.rand(1, 3, 32, 64)
    large = small.repeat_interleave(4, 2).repeat_interleave(4, 3)
    segmenter = RoomSegmenter(network, COARSE, 64)
    found = torch.nn.functional.avg_pool2d(segmenter.probabilities(large), 4)
    torch.testing.assert_close(found, segmenter.probabilities(small), atol=0.03, rtol=0.0)
    assert RoomSegmenter(network, COARSE, 64).probabilities(torch.rand(1, 3, 7, 500)).shape == (1, 2, 7, 500)


@torch.no_grad()
def test_no_statement_where_an_unknown_class_is_more_probable(network: RoomNet) -> None:
    network.classify.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 50.0]))
    assert not RoomSegmenter(network, COARSE).probabilities(torch.rand(1, 3, 40, 50)).any()


@pytest.mark.parametrize(("height", "width"), [(61, 97), (1, 1), (240, 320)])
def test_any_size_gives_probabilities_of_every_pixel(height: int, width: int) -> None:
    segmenter = load_room_segmenter("rooms39")
    images = torch.rand(2, 3, height, width)
    found = segmenter.probabilities(images)
    assert found.shape == (2, 39, height, width)
    assert found.dtype == torch.float32
    assert not found.requires_grad
    torch.testing.assert_close(found.sum(1), torch.ones(2, height, width))
    torch.testing.assert_close(segmenter.probabilities(images), found, atol=0.0, rtol=0.0)


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 4, 8, 8), (1, 3, 0, 8)])
def test_what_is_no_batch_of_images_is_refused(network: RoomNet, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"images: expected \(B, 3, H, W\)"):
        RoomSegmenter(network, COARSE).probabilities(torch.zeros(shape))


def test_a_side_without_pixels_is_refused(network: RoomNet) -> None:
    with pytest.raises(ValueError, match="long_side: expected at least one pixel, got 0"):
        RoomSegmenter(network, COARSE, 0)


def test_a_map_from_other_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="coarse: expected 5 source classes, as the network has, got 4"):
        RoomSegmenter(RoomNet(5), COARSE)


def test_weights_come_back_as_they_were(stored: Path, network: RoomNet) -> None:
    found = load_room_weights(stored)
    assert (found.class_names, found.command, found.seed, found.long_side) == (FINE, "train it", 7, 96)
    assert not found.network.training
    for name, weight in network.state_dict().items():
        torch.testing.assert_close(found.network.state_dict()[name], weight, atol=0.0, rtol=0.0)


def test_half_precision_is_for_the_file_alone(tmp_path: Path, network: RoomNet) -> None:
    path = tmp_path / "half.safetensors"
    save_room_weights(path, RoomWeights(network, FINE, "", 0), torch.float16)
    found = load_room_weights(path).network
    assert {weight.dtype for weight in found.parameters()} == {torch.float32}
    assert load_file(path)["classify.weight"].dtype == torch.float16
    torch.testing.assert_close(found.classify.weight, network.classify.weight, atol=1e-3, rtol=1e-3)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.safetensors: expected a file with weights of the room segmenter"):
        load_room_segmenter(weights=tmp_path / "none.safetensors")


def test_a_truncated_file_is_refused(stored: Path) -> None:
    stored.write_bytes(stored.read_bytes()[:-100])
    with pytest.raises(DataError, match="expected a safetensors file, got a damaged one"):
        load_room_weights(stored)


Metadata = dict[str, str]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(format="else"), "expected weights of the room segmenter, got else"),
        (lambda m: m.pop("seed"), "got none of seed"),
        (lambda m: m.update(version="2"), "expected version 1 or older, got 2; update sparse_s4r"),
        (lambda m: m.update(version="one"), "expected numbers and a list in the metadata"),
        (lambda m: m.update(long_side="0"), "expected a long_side of at least one pixel, got 0"),
        (lambda m: m.update(class_names="[1]"), r"expected class_names as a list of names, got \[1\]"),
        (lambda m: m.update(class_names='["bed"]'), "2 of another shape"),
    ],
)
def test_wrong_metadata_is_refused(stored: Path, change: Callable[[Metadata], object], message: str) -> None:
    names = json.dumps(FINE)
    metadata = {"format": "sparse_s4r room segmenter", "version": "1", "class_names": names, "long_side": "96"}
    metadata |= {"command": "", "seed": "0"}
    change(metadata)
    save_file(load_file(stored), stored, metadata)
    with pytest.raises(DataError, match=message):
        load_room_weights(stored)


def test_weights_of_another_network_are_refused(stored: Path, network: RoomNet) -> None:
    tensors = dict(network.state_dict())
    tensors["extra"] = tensors.pop("classify.bias")
    metadata = {"format": "sparse_s4r room segmenter", "version": "1", "command": "", "seed": "0", "long_side": "96"}
    save_file(tensors, stored, {**metadata, "class_names": json.dumps(FINE)})
    with pytest.raises(DataError, match=r"1 too few \['classify.bias'\], 1 unknown \['extra'\]"):
        load_room_weights(stored)


@pytest.mark.parametrize("taxonomy", ["matterport11", "scannet15", "scannet20"])
def test_the_shipped_weights_serve_every_taxonomy(taxonomy: str) -> None:
    assert load_room_segmenter(taxonomy).class_names == load_taxonomy(taxonomy).class_names


def test_an_unknown_taxonomy_is_refused() -> None:
    with pytest.raises(DataError, match="taxonomy rooms40"):
        load_room_segmenter("rooms40")


def test_the_shipped_weights_know_the_classes_of_made_rooms() -> None:
    assert load_room_segmenter("rooms39").class_names == FINE_NAMES


def test_the_shipped_weights_label_rooms_never_seen(tmp_path: Path) -> None:
    # Seeds that neither the training nor its judgement used; the model card states the mean over many rooms.
    options = HomeOptions(8, 160, 120, 65.0, 0.1, EXACT, "homes")
    done = list(make_homes(plan_jobs(tmp_path, 4, 1, 9000), options, taxonomy_map("homes")))
    pictures = load_pictures([one.job.folder for one in done])
    label_map = room_label_map("matterport11", FINE_NAMES)
    scores = score_segmenter(load_room_segmenter(), pictures, torch.tensor(label_map.targets))
    assert scores.mean_iou > 0.35
    assert scores.pixel_accuracy > 0.7
