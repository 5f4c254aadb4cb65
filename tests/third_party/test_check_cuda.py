"""The check of the CUDA units says what it lacks before it downloads anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parents[2] / "third_party" / "minkowski" / "check_cuda.py"


def _check(home: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(_SCRIPT), "--cuda-home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("release", [None, "12.8"])
def test_a_compiler_of_cuda_13_is_asked_for(tmp_path: Path, release: str | None) -> None:
    if release is not None:
        (tmp_path / "bin").mkdir()
        nvcc = tmp_path / "bin" / "nvcc"
        nvcc.write_text(f"#!/bin/sh\necho 'Cuda compilation tools, release {release}, V{release}.93'\n")
        nvcc.chmod(0o755)
    outcome = _check(tmp_path)
    assert outcome.returncode == 1
    assert f"no nvcc of CUDA 13 in {tmp_path}: install the CUDA toolkit 13.0" in outcome.stderr
    assert outcome.stdout == ""
