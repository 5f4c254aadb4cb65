"""The command from training to figures, and the errors that a user can mend."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from sparse_s4r.cli.main import main
from tests.small_scene import TINY, shared_run, shared_scene


@dataclass(frozen=True)
class Outcome:
    """What the command left."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def s4r(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command within this process: a new one takes seconds to import torch."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["s4r", *map(str, arguments)])
        # A wide terminal, so that no message is broken into lines.
        monkeypatch.setenv("COLUMNS", "400")
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_scene(tmp_path_factory)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_run(tmp_path_factory)


def expect_error(outcome: Outcome, *parts: str) -> None:
    """Exit code 2 and one message on stderr, without a traceback."""
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert "Traceback" not in outcome.err
    assert outcome.err.count("\n") == 1
    for part in parts:
        assert part in outcome.err


def test_from_training_to_figures(s4r: Run, scene: Path, tmp_path: Path) -> None:
    run, prediction = tmp_path / "run", tmp_path / "prediction"
    (tmp_path / "tiny.yaml").write_text("model: {widths: [4, 4, 6, 6, 8]}\ntrain: {steps: 100}\n")
    outcome = s4r(
        "train", "--config", tmp_path / "tiny.yaml", "--scenes", scene, "--out", run, "--set", *TINY, "train.steps=2"
    )
    assert (outcome.code, outcome.err) == (0, "")
    assert f"wrote {run / 'checkpoint.pt'}" in outcome.out
    assert "step 2/2" in outcome.out
    outcome = s4r("train", "--scenes", scene, "--out", run, "--resume", "--set", "train.steps=3")
    assert (outcome.code, outcome.err) == (0, "")
    assert len((run / "losses.jsonl").read_text().splitlines()) == 3

    outcome = s4r("predict", scene, "--checkpoint", run / "checkpoint.pt", "--out", prediction)
    assert (outcome.code, outcome.err) == (0, "")
    summary = json.loads((prediction / "prediction.json").read_text())
    assert f"{summary['voxels_in']:,} voxels in, {summary['voxels_out']:,} out" in outcome.out

    outcome = s4r("render", prediction, "--like", scene, "--out", tmp_path / "pictures", "--frames", "0001", "0003")
    assert (outcome.code, outcome.err) == (0, "")
    assert "wrote pictures of 2 cameras" in outcome.out
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 10

    figures = tmp_path / "deep" / "metrics.json"
    outcome = s4r("evaluate", prediction, "--like", scene, "--out", figures, "--width", 24)
    assert (outcome.code, outcome.err) == (0, "")
    assert "2 held-out frames" in outcome.out
    assert json.loads(figures.read_text())["prediction"]["frames"] == 2


def test_unknown_configuration_keys(s4r: Run, scene: Path, tmp_path: Path) -> None:
    outcome = s4r("train", "--scenes", scene, "--out", tmp_path / "run", "--set", "train.stpes=3")
    expect_error(outcome, "--set: unknown key train.stpes; did you mean train.steps?")
    (tmp_path / "wrong.yaml").write_text("los: {}\n")
    outcome = s4r("train", "--config", tmp_path / "wrong.yaml", "--scenes", scene, "--out", tmp_path / "run")
    expect_error(outcome, "wrong.yaml: unknown key los; did you mean loss?")
    assert not (tmp_path / "run").exists()


def test_missing_scenes(s4r: Run, run: Path, tmp_path: Path) -> None:
    none = tmp_path / "none"
    expect_error(s4r("train", "--scenes", none, "--out", tmp_path / "run"), str(none))
    checkpoint = run / "checkpoint.pt"
    expect_error(s4r("predict", none, "--checkpoint", checkpoint, "--out", tmp_path / "p"), str(none))
    assert list(tmp_path.iterdir()) == []


def test_missing_and_foreign_checkpoints(s4r: Run, scene: Path, tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    expect_error(s4r("predict", scene, "--checkpoint", path, "--out", tmp_path / "p"), f"{path}: expected a checkpoint")
    path.write_text("text")
    expect_error(s4r("predict", scene, "--checkpoint", path, "--out", tmp_path / "p"), "not a readable checkpoint")
    expect_error(s4r("train", "--scenes", scene, "--out", tmp_path / "run", "--resume"), "found none")
    assert [entry.name for entry in tmp_path.iterdir()] == ["c.pt"]


@pytest.mark.parametrize("command", ["train", "predict", "render", "evaluate"])
def test_existing_results_are_left_alone(s4r: Run, scene: Path, run: Path, tmp_path: Path, command: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "precious.txt").write_text("mine")
    prediction = tmp_path / "prediction"
    arguments: dict[str, tuple[object, ...]] = {
        "train": ("--scenes", scene),
        "predict": (scene, "--checkpoint", run / "checkpoint.pt"),
        "render": (prediction, "--like", scene),
        "evaluate": (prediction, "--like", scene),
    }
    if command == "render":
        assert s4r("predict", scene, "--checkpoint", run / "checkpoint.pt", "--out", prediction).code == 0
    expect_error(s4r(command, *arguments[command], "--out", out), str(out), "does not exist yet")
    assert [entry.name for entry in out.iterdir()] == ["precious.txt"]
    assert (out / "precious.txt").read_text() == "mine"


def test_no_prediction_to_show(s4r: Run, scene: Path, tmp_path: Path) -> None:
    for command in ("render", "evaluate"):
        expect_error(s4r(command, tmp_path, "--like", scene, "--out", tmp_path / "out"), "made by s4r predict")
    assert list(tmp_path.iterdir()) == []


def test_errors_of_the_program_keep_their_traceback(monkeypatch: pytest.MonkeyPatch, s4r: Run) -> None:
    def fail(*arguments: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr("sparse_s4r.cli.main.app", fail)
    with pytest.raises(ValueError, match="a bug"):
        s4r("train")


def test_the_installed_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sparse_s4r.cli.main"]
    listing = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
    for name in ("import", "check", "train", "predict", "refine", "render", "evaluate", "demo"):
        assert name in listing.stdout
    wrong = [*command, "train", "--scenes", str(tmp_path / "none"), "--out", str(tmp_path / "run")]
    outcome = subprocess.run(wrong, capture_output=True, text=True, check=False)
    expect_error(Outcome(outcome.returncode, outcome.stdout, outcome.stderr), str(tmp_path / "none"))
    unknown = subprocess.run([*command, "predicct"], capture_output=True, text=True, check=False)
    assert unknown.returncode == 2
    assert "predicct" in unknown.stderr


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--set", "train.stepz=3"), "did you mean train.steps?"),
        (("--set", "engine=minkowski"), "make minkowski"),
        (("--frames", "nowhere"), "nowhere"),
    ],
)
@pytest.mark.usefixtures("without_minkowski")
def test_the_demo_refuses_before_it_makes_anything(
    s4r: Run, tmp_path: Path, arguments: tuple[str, str], part: str
) -> None:
    outcome = s4r("demo", "--from-scratch", "--out", tmp_path / "demo", *arguments)
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert part in outcome.err
    assert list(tmp_path.iterdir()) == []
