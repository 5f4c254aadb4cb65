from pathlib import Path

import pytest

from sparse_s4r.evaluation.loss_change import LossChange, loss_changes, read_losses
from sparse_s4r.structures.errors import DataError


def test_first_and_last_fifth_of_every_loss_at_the_steps_where_it_counted(tmp_path: Path) -> None:
    lines = [f'{{"step": {i}, "seconds": 1.0, "voxels": 5, "total": {10 - i}.0}}' for i in range(10)]
    lines[-1] = '{"step": 9, "seconds": 1.0, "voxels": 5, "total": 1.0, "depth": 4.0}'
    (tmp_path / "losses.jsonl").write_text("\n".join(lines) + "\n")
    losses = read_losses(tmp_path / "losses.jsonl")
    assert losses.keys() == {"total", "depth"}
    assert loss_changes(losses) == {"total": LossChange(9.5, 1.5), "depth": LossChange(4.0, 4.0)}


def test_a_damaged_log_is_named(tmp_path: Path) -> None:
    (tmp_path / "losses.jsonl").write_text('{"step": 0\n')
    with pytest.raises(DataError, match=r"losses\.jsonl"):
        read_losses(tmp_path / "losses.jsonl")
    with pytest.raises(DataError, match="missing"):
        read_losses(tmp_path / "missing")
