"""Predictions on disk: the published fields, a round trip, and bad files."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from sparse_s4r.data.prediction_format import PREDICTION_NAME, PredictionInfo, load_prediction, save_prediction
from sparse_s4r.structures import IGNORE_LABEL, Calibration, GridSpec, ScenePrediction
from sparse_s4r.structures.errors import DataError

GRID = GridSpec(0.1, (1.6, -3.2, 0.0), 4.0)
INFO = PredictionInfo(("wall", "größer", "sofa"), (0.0, 0.0, 1.0), "ab" * 32)


def make_prediction() -> ScenePrediction:
    return ScenePrediction(
        GRID,
        torch.tensor([[-1, 2, 3], [0, 0, 0], [70_000, -70_000, 5]]),
        torch.tensor([0.05, -0.39, 7.0]),
        torch.tensor([[0.0, 0.5, 1.0], [0.2, -0.1, 1.7], [1 / 255, 2.4 / 255, 2.6 / 255]]),
        torch.tensor([[5.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 9.0]]),
        torch.tensor([True, False, False]),
    )


def contents(folder: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(folder / PREDICTION_NAME, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


def test_the_published_fields(tmp_path: Path) -> None:
    save_prediction(make_prediction(), INFO, tmp_path)
    tensors, metadata = contents(tmp_path)
    assert {name: (value.dtype, tuple(value.shape)) for name, value in tensors.items()} == {
        "coordinates": (torch.int32, (3, 3)),
        "tsdf": (torch.float32, (3,)),
        "color": (torch.uint8, (3, 3)),
        "labels": (torch.uint8, (3,)),
        "confidence": (torch.float16, (3,)),
        "observed": (torch.bool, (3,)),
    }
    assert tensors["coordinates"].tolist() == [[-1, 2, 3], [0, 0, 0], [70_000, -70_000, 5]]
    # The last distance lies beyond the truncation of 0.4 m.
    assert tensors["tsdf"].tolist() == pytest.approx([0.05, -0.39, 0.4])
    assert tensors["color"].tolist() == [[0, 128, 255], [51, 0, 255], [1, 2, 3]]
    assert tensors["labels"].tolist() == [0, 0, 2]
    third = torch.softmax(torch.tensor([0.0, 1.0, 9.0]), 0)[2]
    assert tensors["confidence"].tolist() == pytest.approx([0.9867, 1 / 3, float(third)], abs=1e-3)
    assert tensors["observed"].tolist() == [True, False, False]
    assert float(metadata["voxel_size"]) == 0.1
    assert json.loads(metadata["origin"]) == [1.6, -3.2, 0.0]
    assert float(metadata["truncation_voxels"]) == 4.0
    assert json.loads(metadata["class_names"]) == ["wall", "größer", "sofa"]
    assert json.loads(metadata["up"]) == [0.0, 0.0, 1.0]
    assert metadata["checkpoint"] == "ab" * 32


def test_round_trip(tmp_path: Path) -> None:
    given = make_prediction()
    save_prediction(given, INFO, tmp_path)
    loaded, info = load_prediction(tmp_path)
    assert info == INFO
    assert loaded.grid == GRID
    assert torch.equal(loaded.coordinates, given.coordinates)
    assert loaded.coordinates.dtype == torch.int64
    assert torch.equal(loaded.tsdf[:2], given.tsdf[:2])
    assert loaded.color is not None
    assert given.color is not None
    # Half a step of 8 bits.
    torch.testing.assert_close(loaded.color, given.color.clamp(0, 1), rtol=0, atol=0.5 / 255 + 1e-6)
    assert loaded.semantic_logits is not None
    assert loaded.semantic_logits.argmax(1).tolist() == [0, 0, 2]
    assert loaded.observed is not None
    assert torch.equal(loaded.observed, torch.tensor([True, False, False]))


def test_without_color_and_classes(tmp_path: Path) -> None:
    bare = dataclasses.replace(make_prediction(), color=None, semantic_logits=None)
    save_prediction(bare, dataclasses.replace(INFO, class_names=()), tmp_path)
    tensors, _ = contents(tmp_path)
    assert "color" not in tensors
    assert tensors["labels"].tolist() == [IGNORE_LABEL] * 3
    assert tensors["confidence"].tolist() == [0.0] * 3
    loaded, info = load_prediction(tmp_path)
    assert loaded.color is None
    assert loaded.semantic_logits is None
    assert info.class_names == ()


def test_an_empty_prediction(tmp_path: Path) -> None:
    save_prediction(make_prediction().select(torch.zeros(3, dtype=torch.bool)), INFO, tmp_path)
    loaded, _ = load_prediction(tmp_path)
    assert len(loaded) == 0
    assert loaded.semantic_logits is not None
    assert loaded.semantic_logits.shape == (0, 3)


def test_saving_needs_to_know_what_was_observed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"prediction\.observed: expected a mask, got None"):
        save_prediction(dataclasses.replace(make_prediction(), observed=None), INFO, tmp_path)


def test_saving_needs_names_for_its_classes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="class_names: expected 3, one per class of the logits, got 1"):
        save_prediction(make_prediction(), dataclasses.replace(INFO, class_names=("wall",)), tmp_path)
    assert not (tmp_path / PREDICTION_NAME).exists()


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a prediction made by s4r predict, found none"):
        load_prediction(tmp_path)
    save_prediction(make_prediction(), INFO, tmp_path)
    path = tmp_path / PREDICTION_NAME
    whole = path.read_bytes()
    for size in (0, 5, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"not a readable prediction.*run s4r predict again"):
            load_prediction(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("origin", None),
        ("origin", "5"),
        ("origin", "[0, 0"),
        ("origin", "[0.05, 0, 0]"),
        ("voxel_size", "-1"),
        ("class_names", '["one"]'),
        ("class_names", "7"),
        ("up", "[1]"),
        ("up", "null"),
        ("format", "sparse_s4r prediction 2"),
        ("format", None),
    ],
)
def test_metadata_that_does_not_fit(tmp_path: Path, key: str, value: str | None) -> None:
    save_prediction(make_prediction(), INFO, tmp_path)
    tensors, metadata = contents(tmp_path)
    metadata.pop(key)
    save_file(tensors, tmp_path / PREDICTION_NAME, metadata if value is None else {**metadata, key: value})
    with pytest.raises(DataError, match=r"prediction\.safetensors: not a readable prediction"):
        load_prediction(tmp_path)


# Without colour it is a prediction yet, so that may be missing.
@pytest.mark.parametrize(
    ("name", "change"),
    [
        (name, change)
        for name in ("coordinates", "tsdf", "labels", "observed", "color")
        for change in ("missing", "shorter", "other shape")
        if (name, change) != ("color", "missing")
    ],
)
def test_tensors_that_do_not_fit(tmp_path: Path, name: str, change: str) -> None:
    save_prediction(make_prediction(), INFO, tmp_path)
    tensors, metadata = contents(tmp_path)
    if change == "missing":
        del tensors[name]
    else:
        tensors[name] = tensors[name][:2].clone() if change == "shorter" else tensors[name].reshape(-1, 1).clone()
    save_file(tensors, tmp_path / PREDICTION_NAME, metadata)
    with pytest.raises(DataError, match="not a readable prediction"):
        load_prediction(tmp_path)


def test_probabilities_and_their_calibration(tmp_path: Path) -> None:
    calibration = Calibration(1.5, -0.2, 2.0)
    probability, confidence = torch.tensor([0.25, 1.0, 0.0]), torch.tensor([0.5, 0.75, 1.0])
    made = dataclasses.replace(make_prediction(), occupancy_probability=probability, label_confidence=confidence)
    save_prediction(made, dataclasses.replace(INFO, calibration=calibration), tmp_path)
    tensors, metadata = contents(tmp_path)
    assert tensors["occupancy_probability"].dtype == torch.float16
    assert json.loads(metadata["calibration"]) == {
        "occupancy_temperature": 1.5,
        "occupancy_bias": -0.2,
        "label_temperature": 2.0,
    }
    loaded, info = load_prediction(tmp_path)
    assert info.calibration == calibration
    assert loaded.occupancy_probability is not None
    assert loaded.label_confidence is not None
    assert loaded.occupancy_probability.tolist() == [0.25, 1.0, 0.0]
    assert loaded.label_confidence.tolist() == [0.5, 0.75, 1.0]
    part = loaded.select(torch.tensor([2, 0]))
    assert part.occupancy_probability is not None
    assert part.occupancy_probability.tolist() == [0.0, 0.25]


def test_predictions_of_earlier_versions(tmp_path: Path) -> None:
    save_prediction(make_prediction(), INFO, tmp_path)
    tensors, metadata = contents(tmp_path)
    assert "occupancy_probability" not in tensors
    metadata.pop("calibration")
    save_file(tensors, tmp_path / PREDICTION_NAME, metadata)
    loaded, info = load_prediction(tmp_path)
    assert loaded.occupancy_probability is None
    assert info.calibration == Calibration()
    assert len(loaded) == 3


@pytest.mark.parametrize("value", ["7", "{", '{"heat": 1}', '{"label_temperature": 0}'])
def test_calibrations_that_are_none(tmp_path: Path, value: str) -> None:
    save_prediction(make_prediction(), INFO, tmp_path)
    tensors, metadata = contents(tmp_path)
    save_file(tensors, tmp_path / PREDICTION_NAME, {**metadata, "calibration": value})
    with pytest.raises(DataError, match="not a readable prediction"):
        load_prediction(tmp_path)
