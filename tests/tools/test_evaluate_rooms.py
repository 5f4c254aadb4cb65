import json
from pathlib import Path

import pytest

from sparse_s4r.structures.errors import UserError
from tests.evaluation.test_rooms import make_scene, predict
from tools import evaluate_rooms


def test_tables_and_numbers_are_written(tmp_path: Path) -> None:
    scenes = [make_scene(tmp_path / name, kept=kept) for name, kept in (("a", 2), ("b", 5))]
    for scene in scenes:
        predict(scene, tmp_path / "predictions" / scene.path.name)
    arguments = [*(str(scene.path) for scene in scenes), "--out", str(tmp_path / "results" / "rooms")]
    folder = str(tmp_path / "predictions")
    evaluate_rooms.main([*arguments, "--predictions", folder, "--method", f"again={folder}"])
    text = (tmp_path / "results" / "rooms.md").read_text()
    assert "| prediction |" in text
    assert "| again |" in text
    assert "Means over 2 scenes" in text
    content = json.loads((tmp_path / "results" / "rooms.json").read_text())
    assert [row["method"] for row in content["rows"]][-2:] == ["prediction", "again"]
    assert content["rows"][3]["target"] == content["rows"][4]["target"]
    # The fuller scan against itself.
    assert content["rows"][3]["target"]["iou"]["mean"] == 1.0
    assert content["rows"][0]["target"]["new_precision"]["mean"] is None
    assert len(content["scenes"]) == 2 * 5
    narrow = content["scenes"][0]["target"]["narrow"]
    iou = narrow["common"] / (narrow["reference"] + narrow["predicted"] - narrow["common"])
    assert content["scenes"][0]["target"]["measures"]["iou"] == pytest.approx(iou)
    assert content["rows"][3]["target"]["l1_entire"]["pooled"] == 0
    assert content["rows"][3]["target"]["f_2cm"]["mean"] == 1
    entire = content["scenes"][0]["target"]["distances"]["entire"]
    assert content["scenes"][0]["target"]["measures"]["l1_entire"] == pytest.approx(entire["total"] / entire["voxels"])
    # The same command again: from what was kept.
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "results" / "rooms-scenes").iterdir()}
    assert {path.name for path in kept} == {"a.json", "b.json"}
    evaluate_rooms.main([*arguments, "--predictions", folder, "--method", f"again={folder}"])
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert (tmp_path / "results" / "rooms.md").read_text() == text


def test_a_method_needs_a_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="NAME=DIR"):
        evaluate_rooms.main([str(tmp_path), "--method", "folder", "--out", str(tmp_path / "x")])
