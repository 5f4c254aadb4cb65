"""Weights files: exact, atomic, and refused whatever is wrong with them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from sparse_s4r.build import build_network
from sparse_s4r.checkpoint import expect_training_state, load_checkpoint, restore_network
from sparse_s4r.config import load_config
from sparse_s4r.structures import Calibration
from sparse_s4r.structures.errors import CheckpointError
from sparse_s4r.weights_file import WeightsFile, load_weights_file, save_weights_file

CONFIG = load_config(None, ["model.widths=[2, 3, 4, 5, 6]", "model.class_names=[wall, floor]"])
CALIBRATION = Calibration(1.5, -0.25, 2.0)
MADE_BY = {"voxel_size": 0.02, "data": ["größe", 3], "model_card": "docs/card.md"}


def make_content() -> WeightsFile:
    network = build_network(CONFIG)
    return WeightsFile(CONFIG, dict(network.state_dict()), 70, MADE_BY, CALIBRATION)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_weights_file(make_content(), tmp_path / "w.safetensors")
    return tmp_path / "w.safetensors"


def rewrite(path: Path, change: dict[str, str | None], tensors: dict[str, Any] | None = None) -> None:
    """The file with other metadata (None: without the key) or tensors."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    merged = {key: value for key, value in {**metadata, **change}.items() if value is not None}
    save_file(found if tensors is None else tensors, path, merged)


def test_round_trip_is_exact(path: Path) -> None:
    saved, loaded = make_content(), load_weights_file(path)
    assert (loaded.config, loaded.step, loaded.calibration) == (CONFIG, 70, CALIBRATION)
    assert loaded.made_by == MADE_BY
    assert loaded.weights.keys() == saved.weights.keys()
    for name, value in saved.weights.items():
        assert loaded.weights[name].dtype == value.dtype
        assert torch.equal(loaded.weights[name], value), name
    assert loaded.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [entry.name for entry in path.parent.iterdir()] == ["w.safetensors"]


def test_the_header_tells_other_programs_what_it_is(path: Path) -> None:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["format"] == "sparse_s4r weights"
    assert json.loads(metadata["class_names"]) == ["wall", "floor"]
    assert json.loads(metadata["made_by"])["voxel_size"] == 0.02
    assert json.loads(metadata["config"])["model"]["widths"] == [2, 3, 4, 5, 6]


def test_half_precision_rounds_matrices_alone(tmp_path: Path) -> None:
    content = make_content()
    path = tmp_path / "half.safetensors"
    save_weights_file(dataclasses.replace(content, half=True), path)
    save_weights_file(content, tmp_path / "full.safetensors")
    loaded = load_weights_file(path)
    rounded = 0
    for name, value in content.weights.items():
        assert loaded.weights[name].dtype == value.dtype
        if value.dim() > 1 and value.is_floating_point():
            rounded += 1
            assert torch.equal(loaded.weights[name], value.half().float()), name
        else:
            assert torch.equal(loaded.weights[name], value), name
    assert rounded > 10
    assert path.stat().st_size < (tmp_path / "full.safetensors").stat().st_size
    assert not load_weights_file(tmp_path / "full.safetensors").half
    # What is read and written again, to say more of it, neither grows nor changes.
    again = tmp_path / "again.safetensors"
    save_weights_file(dataclasses.replace(loaded, calibration=Calibration(3.0, 0.25, 2.0)), again)
    assert abs(again.stat().st_size - path.stat().st_size) < 100
    assert all(torch.equal(value, loaded.weights[name]) for name, value in load_weights_file(again).weights.items())


def test_it_serves_as_a_checkpoint_for_predictions(path: Path) -> None:
    checkpoint = load_checkpoint(path)
    assert (checkpoint.step, checkpoint.calibration, checkpoint.made_by) == (70, CALIBRATION, MADE_BY)
    state = restore_network(checkpoint).state_dict()
    assert all(torch.equal(state[name], value) for name, value in make_content().weights.items())
    with pytest.raises(CheckpointError, match=r"got weights alone, without optimiser; start a new training.*--init"):
        expect_training_state(checkpoint)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_truncated_files_are_refused(path: Path, share: float) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CheckpointError, match=r"w\.safetensors: not a readable weights file, it may be truncated"):
        load_checkpoint(path)


def test_a_flipped_bit_is_found(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    place = whole.index(make_content().weights["heads.tsdf.weight"].numpy().tobytes())
    whole[place] ^= 1
    path.write_bytes(whole)
    with pytest.raises(CheckpointError, match=r"w\.safetensors: damaged weights file: wrong checksum"):
        load_weights_file(path)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04" + bytes(100), bytes(64)])
def test_files_that_are_no_safetensors(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a readable weights file"):
        load_weights_file(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"format": "sparse_s4r prediction 1"}])
def test_foreign_files_are_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "f.safetensors", metadata)
    with pytest.raises(CheckpointError, match=r"f\.safetensors: expected weights made by .* another kind of file"):
        load_weights_file(tmp_path / "f.safetensors")


@pytest.mark.parametrize("value", [None, "[", "7", '{"a": 1}', "null"])
@pytest.mark.parametrize("key", ["version", "config", "step", "calibration", "made_by", "tensors_sha256"])
def test_metadata_that_does_not_fit(path: Path, key: str, value: str | None) -> None:
    if (key, value) in {("version", "7"), ("step", "7"), ("made_by", '{"a": 1}')}:
        # 7 is a fine number of steps, and anything may be said of the making; newer versions have their own test.
        value = "x"
    rewrite(path, {key: value})
    with pytest.raises(CheckpointError, match=r"w\.safetensors: "):
        load_weights_file(path)


def test_newer_versions_are_refused(path: Path) -> None:
    rewrite(path, {"version": "99"})
    with pytest.raises(CheckpointError, match="expected version 1 or older, got 99; update sparse_s4r"):
        load_weights_file(path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.safetensors: expected a checkpoint file, found none"):
        load_checkpoint(tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match=r"none\.safetensors: expected a weights file, found none"):
        load_weights_file(tmp_path / "none.safetensors")


def test_what_cannot_be_written(tmp_path: Path) -> None:
    content = make_content()
    with pytest.raises(CheckpointError, match=r"w\.pt: expected a name that ends in \.safetensors"):
        save_weights_file(content, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="made_by: expected JSON values"):
        save_weights_file(dataclasses.replace(content, made_by={"a": Path()}), tmp_path / "w.safetensors")
    # Finite in float32, but not as stored.
    content.weights["heads.tsdf.weight"][0, 0] = 1e6
    with pytest.raises(CheckpointError, match=r"expected finite weights, got others in \['heads\.tsdf\.weight'\]"):
        save_weights_file(dataclasses.replace(content, half=True), tmp_path / "w.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_failing_write_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def write_half(tensors: object, target: Path, metadata: object) -> None:
        Path(target).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("sparse_s4r.weights_file.save_file", write_half)
    with pytest.raises(OSError, match="disk full"):
        save_weights_file(make_content(), path)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["w.safetensors"]
