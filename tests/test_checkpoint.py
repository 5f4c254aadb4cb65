"""Checkpoints: exact, atomic, and harmless whatever is in the file."""

from __future__ import annotations

import copy
import hashlib
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from sparse_s4r.build import build_network, build_optimizer
from sparse_s4r.checkpoint import Checkpoint, load_checkpoint, load_weights, restore_network, save_checkpoint
from sparse_s4r.config import Config, load_config
from sparse_s4r.structures.errors import CheckpointError, ConfigError

CONFIG = load_config(None, ["model.widths=[2, 3, 4, 5, 6]", "model.class_names=[wall, floor]"])
OTHER = load_config(None, ["model.widths=[2, 3, 4, 5, 7]", "model.class_names=[wall, floor]"])


def make_checkpoint(config: Config = CONFIG, step: int = 7) -> Checkpoint:
    """A network after one step of its optimiser, so that the latter has a state."""
    network = build_network(config)
    optimizer = build_optimizer(config, network)
    for weight in network.parameters():
        weight.grad = torch.randn_like(weight)
    optimizer.step()
    return Checkpoint(config, network.state_dict(), optimizer.state_dict(), step, torch.get_rng_state())


def expect_same(first: Any, second: Any) -> None:
    """Equal to the last bit, through dictionaries and lists."""
    assert type(first) is type(second)
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            expect_same(first[key], second[key])
    elif isinstance(first, torch.Tensor):
        assert first.dtype == second.dtype
        assert torch.equal(first, second)
    elif isinstance(first, list):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            expect_same(one, other)
    else:
        assert first == second


def test_round_trip_is_exact(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    saved = make_checkpoint()
    save_checkpoint(saved, path)
    loaded = load_checkpoint(path)
    assert loaded.config == saved.config
    assert loaded.step == 7
    expect_same(dict(loaded.weights), dict(saved.weights))
    expect_same(loaded.optimizer, saved.optimizer)
    assert torch.equal(loaded.rng, saved.rng)
    assert loaded.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_restores_the_network_for_evaluation(tmp_path: Path) -> None:
    save_checkpoint(make_checkpoint(), tmp_path / "c.pt")
    checkpoint = load_checkpoint(tmp_path / "c.pt")
    network = restore_network(checkpoint)
    assert not network.training
    expect_same(dict(network.state_dict()), dict(checkpoint.weights))
    other = restore_network(checkpoint, engine="dense-masked")
    expect_same(dict(other.state_dict()), dict(checkpoint.weights))
    with pytest.raises(ConfigError, match=r"engine: .*got 'magic'"):
        restore_network(checkpoint, engine="magic")


def test_a_failing_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(make_checkpoint(), path)
    before = path.read_bytes()

    def write_half(content: object, file: Any) -> None:
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", write_half)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(make_checkpoint(step=8), path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint.pt"]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_truncated_files_are_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "c.pt"
    save_checkpoint(make_checkpoint(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CheckpointError, match=r"c\.pt: not a readable checkpoint, it may be truncated"):
        load_checkpoint(path)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    save_checkpoint(make_checkpoint(), path)
    whole = bytearray(path.read_bytes())
    # One bit of a weight, which only the archive's checksums tell.
    place = whole.index(make_checkpoint().weights["heads.tsdf.weight"].numpy().tobytes())
    whole[place] ^= 1
    path.write_bytes(whole)
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        load_checkpoint(path)


@pytest.mark.parametrize("content", [{"weights": {}}, [1, 2], torch.zeros(3), {"format": "something else"}])
def test_foreign_files_are_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "c.pt")
    with pytest.raises(CheckpointError, match="expected a checkpoint made by s4r train, got another kind of file"):
        load_checkpoint(tmp_path / "c.pt")


@pytest.mark.parametrize("key", ["version", "config", "weights", "optimizer", "step", "rng"])
@pytest.mark.parametrize("value", ["missing", "wrong"])
def test_files_with_a_part_missing_or_wrong_are_refused(tmp_path: Path, key: str, value: str) -> None:
    path = tmp_path / "c.pt"
    save_checkpoint(make_checkpoint(), path)
    content = torch.load(path, weights_only=True)
    if value == "missing":
        del content[key]
    else:
        content[key] = [None]
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=rf"c\.pt: .*{key}"):
        load_checkpoint(path)


def test_newer_versions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    save_checkpoint(make_checkpoint(), path)
    content = torch.load(path, weights_only=True)
    torch.save({**content, "version": 99}, path)
    with pytest.raises(CheckpointError, match="expected version 1 or older, got 99; update sparse_s4r"):
        load_checkpoint(path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.pt", tmp_path):
        with pytest.raises(CheckpointError, match=f"{path}: expected a checkpoint file, found none"):
            load_checkpoint(path)


class Malice:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


# That an old pickle may not be understood is what the test wants.
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_code_in_a_file_does_not_run(tmp_path: Path, writer: str) -> None:
    path, trace = tmp_path / "c.pt", tmp_path / "ran"
    content = {"format": "sparse_s4r checkpoint", "version": 1, "weights": Malice(trace)}
    if writer == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        load_checkpoint(path)
    assert not trace.exists()
    # The file is armed: read without care, it does run.
    if writer == "torch":
        torch.load(path, weights_only=False)
    else:
        pickle.loads(path.read_bytes())
    assert trace.exists()


def test_weights_of_another_model_change_nothing() -> None:
    network = build_network(OTHER)
    before = copy.deepcopy(network.state_dict())
    weights = make_checkpoint().weights
    with pytest.raises(CheckpointError, match=r"another model: 0 weights missing.*0 unknown.*\d+ of another shape"):
        load_weights(network, weights)
    some = {name: value for name, value in network.state_dict().items() if "heads" not in name}
    with pytest.raises(CheckpointError, match=r"\d+ weights missing \['heads"):
        load_weights(network, some)
    with pytest.raises(CheckpointError, match=r"1 unknown \['extra'\]"):
        load_weights(network, {**network.state_dict(), "extra": torch.zeros(1)})
    expect_same(dict(network.state_dict()), dict(before))


def test_a_checkpoint_whose_weights_do_not_fit_its_configuration() -> None:
    checkpoint = make_checkpoint()
    wrong = Checkpoint(OTHER, checkpoint.weights, checkpoint.optimizer, 1, checkpoint.rng)
    with pytest.raises(CheckpointError, match="checkpoint of another model"):
        restore_network(wrong)
