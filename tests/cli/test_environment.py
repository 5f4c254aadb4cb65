"""The environment that commands run in."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from sparse_s4r.cli.environment import SETTINGS, prepare_environment


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    prepare_environment()
    assert os.environ["GOMP_SPINCOUNT"] == "7"
    monkeypatch.delenv("GOMP_SPINCOUNT")
    prepare_environment()
    assert os.environ["GOMP_SPINCOUNT"] == SETTINGS["GOMP_SPINCOUNT"]


def test_the_makefile_exports_the_same() -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    assert dict(re.findall(r"^export ([A-Z_]+) := (\S+)$", makefile, flags=re.MULTILINE)) == {
        "PYTHONUNBUFFERED": "1",
        **SETTINGS,
    }
