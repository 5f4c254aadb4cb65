"""The edits of MinkowskiEngine and the options of its build: two variants that never take each other's place."""

from __future__ import annotations

import dataclasses
import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).parents[2]
_FOLDER = _ROOT / "third_party" / "minkowski"
_MODULES = ("build", "edits", "edits_parallel")


@dataclasses.dataclass(frozen=True)
class _Scripts:
    build: Any
    edits: Any
    parallel: Any


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> _Scripts:
    """The scripts as modules, which import each other by their bare names."""
    monkeypatch.syspath_prepend(str(_FOLDER))
    for name in _MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    loaded = {name: importlib.import_module(name) for name in _MODULES}
    for name in _MODULES:
        del sys.modules[name]
    return _Scripts(loaded["build"], loaded["edits"], loaded["edits_parallel"])


def _run(*options: str, cache: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(_FOLDER / "build.py"), *options]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_each_text_is_found_once_whatever_the_edits_before_it_made(scripts: _Scripts, tmp_path: Path) -> None:
    edits = (*scripts.edits.EDITS, *scripts.parallel.PARALLEL_EDITS)
    for edit in edits:
        file = tmp_path / edit.path
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a") as source:
            source.write(f"{edit.old}(gone)\n{edit.until}(kept)\n" if edit.until else f"{edit.old}(kept)\n")
    scripts.edits.apply_edits(tmp_path, edits)
    for edit in edits:
        text = (tmp_path / edit.path).read_text()
        assert edit.new in text
        assert edit.old in edit.new or edit.old not in text
        assert edit.until in text
        assert "(gone)" not in text
        assert ("(kept)" in text) != edit.to_end
        assert edit.reason


def test_the_edits_for_all_cores_touch_the_five_row_loops_and_the_kernel_map(scripts: _Scripts) -> None:
    paths = [edit.path for edit in scripts.parallel.PARALLEL_EDITS if "#pragma omp parallel for" in edit.new]
    assert sorted(paths) == ["src/convolution_kernel.hpp"] * 5 + ["src/coordinate_map_cpu.hpp"]


@pytest.mark.parametrize("text", ["nothing", "old old", ""])
def test_a_text_that_does_not_stand_there_once_is_refused(scripts: _Scripts, tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_text(text)
    times = text.count("old")
    with pytest.raises(scripts.edits.EditError, match=f"file: expected 'old' once, found it {times} times"):
        scripts.edits.apply_edits(tmp_path, (scripts.edits.Edit("file", "old", "new", "because"),))
    assert (tmp_path / "file").read_text() == text


def test_what_an_edit_replaces_must_end(scripts: _Scripts, tmp_path: Path) -> None:
    edit = scripts.edits.Edit("file", "old", "new", "because", until="end")
    (tmp_path / "file").write_text("end old middle end end")
    scripts.edits.apply_edits(tmp_path, (edit,))
    assert (tmp_path / "file").read_text() == "end newend end"
    (tmp_path / "file").write_text("end old middle")
    with pytest.raises(scripts.edits.EditError, match="file: expected 'end' after 'old', found it nowhere"):
        scripts.edits.apply_edits(tmp_path, (edit,))


def test_a_change_of_the_edits_for_all_cores_leaves_the_published_variant_in_the_cache(
    scripts: _Scripts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wheels() -> tuple[Path, Path]:
        return scripts.build.cached_wheel("2.13.0"), scripts.build.cached_wheel("2.13.0", parallel=True)

    for name in _MODULES:
        shutil.copy(_FOLDER / f"{name}.py", tmp_path)
    monkeypatch.setattr(scripts.build, "HERE", tmp_path)
    published, parallel = wheels()
    assert "parallel" not in published.name
    assert "parallel" in parallel.name
    with (tmp_path / "edits_parallel.py").open("a") as file:
        file.write("# another\n")
    assert wheels()[0] == published
    assert wheels()[1] != parallel
    with (tmp_path / "edits.py").open("a") as file:
        file.write("# another\n")
    assert wheels()[0] != published


def test_a_cuda_build_has_no_parallel_variant(scripts: _Scripts, tmp_path: Path) -> None:
    with pytest.raises(scripts.build.BuildError, match=r"is built for CUDA 13\.0, [^.]*leave --parallel out"):
        scripts.build.build(tmp_path / "wheel", "2.13.0", "13.0", True, parallel=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("parallel", [False, True])
def test_without_installing_the_path_of_the_wheel_is_the_last_line(
    scripts: _Scripts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parallel: bool
) -> None:
    import torch

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = scripts.build.cached_wheel(torch.__version__, parallel)
    folder.mkdir(parents=True)
    # No wheel at all: installing it would fail.
    wheel = folder / "engine.whl"
    wheel.touch()
    outcome = _run("--no-install", *(["--parallel"] if parallel else []), cache=tmp_path)
    assert outcome.returncode == 0, outcome.stderr
    first, *_, last = outcome.stdout.splitlines()
    assert last == str(wheel)
    assert f"with {'parallel' if parallel else 'the published'} CPU loops: using the wheel in {folder}" in first


def test_help_tells_both_options_and_builds_nothing(tmp_path: Path) -> None:
    outcome = _run("--help", cache=tmp_path)
    assert outcome.returncode == 0
    assert "--parallel" in outcome.stdout
    assert "--no-install" in outcome.stdout
    assert not list(tmp_path.iterdir())
    assert _run("--serial", cache=tmp_path).returncode == 2


@pytest.mark.parametrize(("setting", "expected"), [("", ""), ("PARALLEL=1", " --parallel"), ("PARALLEL=0", "")])
def test_make_passes_the_variant_on(setting: str, expected: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "PARALLEL")}
    # Within `make test` this is a make within a make, which would name its folder, too.
    command = ["make", "--no-print-directory", "-n", "minkowski", *([setting] if setting else [])]
    lines = subprocess.check_output(command, cwd=_ROOT, text=True, env=environment).splitlines()
    assert lines[-1].rstrip().endswith(f"third_party/minkowski/build.py{expected}")
