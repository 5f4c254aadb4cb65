"""s4r refine, and the demo's choice between weights and a training from scratch."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from sparse_s4r.cli import demo_pipeline
from sparse_s4r.cli.demo_options import DemoOptions
from sparse_s4r.cli.main import main
from sparse_s4r.refine.run import REFINED_NAME
from sparse_s4r.structures.errors import ConfigError
from tests.small_scene import shared_run, shared_scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_scene(tmp_path_factory)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_run(tmp_path_factory) / "checkpoint.pt"


def s4r(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["s4r", *map(str, arguments)])
    monkeypatch.setenv("COLUMNS", "400")
    try:
        main()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


def test_the_command_tells_what_came_of_it(
    scene: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    code = s4r(
        monkeypatch, "refine", scene, "--checkpoint", checkpoint, "--out", out, "--steps", 2,
        "--set", "refine.every=1", "refine.semantics=keep", "data.image_width=24",
    )  # fmt: skip
    text = capsys.readouterr().out
    assert code == 0
    for part in ("step 0: score", "step 2: score", "choosing", "reporting", "before", "after", str(out / REFINED_NAME)):
        assert part in text
    written = json.loads((out / "refine.json").read_text())
    assert ("the starting weights scored best" in text) == (written["best_step"] == 0)
    assert f"{written['reporting']['before']['within_5cm']:.1%}" in text


def test_errors_leave_nothing_behind(
    scene: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = s4r(monkeypatch, "refine", scene, "--checkpoint", checkpoint, "--out", tmp_path / "run", "--set", "data.x=1")
    assert code == 2
    assert "unknown key data.x" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def flows(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which of the demo's two flows ran, without running it."""
    ran: list[str] = []

    def note(name: str) -> object:
        def run(options: DemoOptions) -> Path:
            ran.append(name)
            return options.out

        return run

    monkeypatch.setattr(demo_pipeline, "_run_from_scratch", note("scratch"))
    monkeypatch.setattr(demo_pipeline, "run_shipped_demo", note("weights"))
    return ran


@pytest.mark.parametrize(
    ("there", "asked", "named", "expected"),
    [
        (True, False, False, "weights"),
        (True, True, False, "scratch"),
        (False, False, False, "scratch"),
        (False, False, True, "weights"),
    ],
)
def test_the_demo_uses_weights_where_there_are_any(
    tmp_path: Path,
    flows: list[str],
    monkeypatch: pytest.MonkeyPatch,
    there: bool,
    asked: bool,
    named: bool,
    expected: str,
) -> None:
    monkeypatch.setattr(demo_pipeline, "has_default_weights", lambda: there)
    checkpoint = tmp_path / "w.safetensors" if named else None
    demo_pipeline.run_demo(DemoOptions(tmp_path / "demo", from_scratch=asked, checkpoint=checkpoint))
    assert flows == [expected]


def test_from_scratch_needs_no_weights(tmp_path: Path, flows: list[str]) -> None:
    with pytest.raises(ConfigError, match="--from-scratch: expected neither --checkpoint nor --refine-steps"):
        demo_pipeline.run_demo(DemoOptions(tmp_path / "demo", from_scratch=True, refine_steps=3))
    assert flows == []
