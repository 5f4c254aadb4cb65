from pathlib import Path

import pytest

from sparse_s4r.structures.errors import DataError
from sparse_s4r.training.loss_change import LossChange, measure_loss_changes, read_losses
from sparse_s4r.training.run import run_training
from tests.small_scene import TINY, shared_run, shared_scene


def test_a_training_lowers_its_losses_over_samples_that_it_has_not_seen(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    changes = measure_loss_changes(shared_run(tmp_path_factory) / "checkpoint.pt", [shared_scene(tmp_path_factory)])
    assert {"occupancy_1", "occupancy_16", "tsdf", "depth", "color", "semantic"} <= changes.keys()
    # Occupancy starts from "nothing anywhere" and semantics from chance, so a dozen steps must lower them.
    for name in ("occupancy_16", "occupancy_1", "semantic"):
        assert changes[name].last < changes[name].first, name


def test_the_same_weights_change_nothing(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    scene = shared_scene(tmp_path_factory)
    run_training(None, [*TINY, "train.steps=1", "train.learning_rate=1e-12"], [scene], tmp_path / "run", resume=False)
    changes = measure_loss_changes(tmp_path / "run" / "checkpoint.pt", [scene])
    # One step of a rate of 1e-12 moves float32 weights by nothing or by rounding.
    assert all(abs(change.last - change.first) < 1e-4 for change in changes.values())
    assert isinstance(changes["tsdf"], LossChange)


def test_reads_every_loss_at_the_steps_where_it_counted(tmp_path: Path) -> None:
    lines = ['{"step": 0, "seconds": 1.0, "voxels": 5, "total": 3.0}', '{"step": 1, "total": 2.0, "depth": 4.0}']
    (tmp_path / "losses.jsonl").write_text("\n".join(lines) + "\n")
    assert read_losses(tmp_path / "losses.jsonl") == {"total": [3.0, 2.0], "depth": [4.0]}


def test_a_damaged_log_is_named(tmp_path: Path) -> None:
    (tmp_path / "losses.jsonl").write_text('{"step": 0\n')
    with pytest.raises(DataError, match=r"losses\.jsonl"):
        read_losses(tmp_path / "losses.jsonl")
    with pytest.raises(DataError, match="missing"):
        read_losses(tmp_path / "missing")
