"""The memory tool on a small scene: what it reports is what was trained."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.small_scene import TINY, shared_scene
from tools import train_memory


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_case_trains_the_whole_scene(tmp_path_factory: pytest.TempPathFactory, checkpointing: bool) -> None:
    scene = shared_scene(tmp_path_factory)
    case = train_memory.Case(str(scene), (4, 4, 6, 6, 8), checkpointing, tuple(TINY[1:4]), 1)
    outcome = train_memory.run_case(case)
    assert outcome.target_voxels > 1000
    # The guide keeps the target's voxels.
    assert outcome.predicted_voxels >= 0.9 * outcome.target_voxels
    assert outcome.peak_bytes >= outcome.before_bytes > 2**26
    text = train_memory.table([case], [outcome])
    assert f"| 4-4-6-6-8 | {'yes' if checkpointing else 'no'} | {outcome.predicted_voxels:,} |" in text


def test_all_cases_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[train_memory.Case] = []

    def measure(case: train_memory.Case) -> train_memory.Outcome:
        asked.append(case)
        return train_memory.Outcome(10, 12, 2**20, 2**30, 1.5, 1.25, 1)

    monkeypatch.setattr(train_memory, "measure", measure)
    out = tmp_path / "results" / "memory.json"
    monkeypatch.setattr(sys, "argv", ["train_memory.py", "some/where/office", "--out", str(out), "--set", "seed=3"])
    train_memory.main()
    records = json.loads(out.read_text())
    assert [(record["widths"][1], record["checkpointing"]) for record in records] == [
        (32, False),
        (32, True),
        (24, False),
        (24, True),
    ]
    assert {record["scene"] for record in records} == {"office"}
    assert asked[0].settings == ("seed=3",)
    assert capsys.readouterr().out.count("| 1.00 |") == 4
