import json
from pathlib import Path

import pytest

from sparse_s4r.structures.errors import DataError
from tests.evaluation.test_rooms import make_scene, predict
from tools import evaluate_protocols


def test_tables_and_numbers_are_written(tmp_path: Path) -> None:
    scenes = [make_scene(tmp_path / name, kept=kept) for name, kept in (("a", 2), ("b", 5))]
    for scene in scenes:
        predict(scene, tmp_path / "full" / scene.path.name)
        (tmp_path / "full" / scene.path.name / "prediction.json").write_text('{"scan": "target"}')
    arguments = [*(str(scene.path) for scene in scenes), "--full", str(tmp_path / "full")]
    evaluate_protocols.main([*arguments, "--out", str(tmp_path / "results" / "p")])
    content = json.loads((tmp_path / "results" / "p.json").read_text())
    rows = {(row["method"], row["protocol"], row["variant"]): row for row in content["rows"]}
    assert {key[:2] for key in rows if key[0] == "prediction"} == {("prediction", "full-to-full")}
    row = rows["prediction", "full-to-full", "below_1"]
    counts = [s["below_1"] for s in content["scenes"] if (s["method"], s["protocol"]) == ("prediction", "full-to-full")]
    right = [count[0][0] / sum(map(sum, count)) for count in counts]
    assert row["accuracy"]["mean"] == pytest.approx(sum(right) / 2)
    total = sum(sum(map(sum, count)) for count in counts)
    assert row["accuracy"]["pooled"] == pytest.approx(sum(count[0][0] for count in counts) / total)
    assert row["class_accuracy"] == [1.0, 0.0]
    text = (tmp_path / "results" / "p.md").read_text()
    assert "| part-to-part | 2D labels lifted |" in text
    assert f"{row['accuracy']['pooled']:.1%}" in text


def test_scenes_of_other_classes_are_refused(tmp_path: Path) -> None:
    scenes = [make_scene(tmp_path / "a"), make_scene(tmp_path / "b", labels=False, truth=False)]
    with pytest.raises(DataError, match="expected the classes"):
        evaluate_protocols.main([*(str(scene.path) for scene in scenes), "--out", str(tmp_path / "p")])
