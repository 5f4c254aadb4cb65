"""Scores of scenes in files: kept, made anew, and made by several processes."""

import dataclasses
import json
from pathlib import Path

import pytest

from sparse_s4r.data.scene_format import Scene
from sparse_s4r.evaluation import rooms_run
from sparse_s4r.evaluation.rooms import Method, SceneScores
from sparse_s4r.evaluation.rooms_run import score_scenes
from sparse_s4r.evaluation.rooms_table import make_rows
from sparse_s4r.evaluation.score_files import load_scores, scene_key
from sparse_s4r.structures.errors import DataError, UserError
from tests.evaluation.test_rooms import make_scene, predict


@pytest.fixture
def scenes(tmp_path: Path) -> list[Path]:
    made = [make_scene(tmp_path / name, kept=kept) for name, kept in (("a", 2), ("b", 5))]
    for scene in made:
        predict(scene, tmp_path / "predictions" / scene.path.name)
    return [scene.path for scene in made]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the scenes that are scored in this process."""
    names: list[str] = []
    real = rooms_run.score_scene

    def counting(scene: Scene, *arguments: object) -> object:
        names.append(scene.path.name)
        return real(scene, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(rooms_run, "score_scene", counting)
    return names


def plain(scores: tuple[SceneScores, ...]) -> list[str]:
    """Everything in scores as text, tensors and NaN included."""
    return [repr(dataclasses.asdict(score)) for score in scores]


def test_finished_scenes_are_kept_and_changed_ones_made_anew(
    scenes: list[Path], counted: list[str], tmp_path: Path
) -> None:
    methods, kept = [Method("mine", tmp_path / "predictions")], tmp_path / "kept"
    first = dict(score_scenes(scenes, methods, kept))
    assert counted == ["a", "b"]
    again = dict(score_scenes(scenes, methods, kept))
    assert counted == ["a", "b"]
    assert list(again) == scenes
    for folder in scenes:
        assert plain(again[folder]) == plain(first[folder])
    assert make_rows(again[scenes[0]]) != make_rows(again[scenes[1]])
    # A prediction that changed, a scene that changed, an unfinished file, another method.
    prediction = tmp_path / "predictions" / "a" / "prediction.safetensors"
    prediction.write_bytes(prediction.read_bytes())
    list(score_scenes(scenes, methods, kept))
    (scenes[1] / "target.safetensors").touch()
    list(score_scenes(scenes, methods, kept))
    (kept / "a.json").write_text((kept / "a.json").read_text()[:-20])
    list(score_scenes(scenes, methods, kept))
    assert counted == ["a", "b", "a", "b", "a"]
    list(score_scenes(scenes, [*methods, Method("again", tmp_path / "predictions")], kept))
    assert counted[5:] == ["a", "b"]
    assert {path.name for path in kept.iterdir()} == {"a.json", "b.json"}


def test_processes_score_alike(scenes: list[Path], counted: list[str], tmp_path: Path) -> None:
    methods = [Method("mine", tmp_path / "predictions")]
    found = dict(score_scenes(scenes, methods, tmp_path / "kept", jobs=2))
    # Not in this process.
    assert counted == []
    alone = dict(score_scenes(scenes, methods, tmp_path / "alone"))
    assert set(found) == set(alone) == set(scenes)
    for folder in scenes:
        assert plain(found[folder]) == plain(alone[folder])
        assert load_scores(tmp_path / "kept" / f"{folder.name}.json", scene_key(folder, methods, None)) is not None


def test_an_error_of_a_process_is_the_users(scenes: list[Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent"):
        list(score_scenes(scenes, [], tmp_path / "kept", "absent", jobs=2))


def test_scores_without_labels_and_truth_come_back(tmp_path: Path) -> None:
    bare = make_scene(tmp_path / "bare", labels=False, truth=False).path
    ((_, first),) = score_scenes([bare], [], tmp_path / "kept")
    ((_, again),) = score_scenes([bare], [], tmp_path / "kept")
    assert plain(first) == plain(again)
    assert again[0].truth is None
    content = json.loads((tmp_path / "kept" / "bare.json").read_text())
    assert content["scores"][0]["target"]["labels"] is None
    assert load_scores(tmp_path / "kept" / "bare.json", "other") is None


def test_what_cannot_be_told_apart_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="different names"):
        list(score_scenes([tmp_path / "x" / "a", tmp_path / "y" / "a"], [], tmp_path))
    with pytest.raises(UserError, match="at least 1"):
        list(score_scenes([], [], tmp_path, jobs=0))
