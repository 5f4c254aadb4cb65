"""Tools run as the documentation says, `python tools/NAME.py`, from a clone that is no installed package."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"
SCRIPTS = sorted(path for path in TOOLS.glob("*.py") if "__main__" in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_find_the_other_tools(path: Path) -> None:
    # Python puts the script's own folder on the path, and "tools" is not in it.
    lines = ast.parse(path.read_text(encoding="utf-8")).body
    imports = [
        n for n, line in enumerate(lines) if isinstance(line, ast.ImportFrom) and f"{line.module}".startswith("tools")
    ]
    inserts = [n for n, line in enumerate(lines) if "sys.path.insert" in ast.unparse(line)]
    assert not imports or (inserts and inserts[0] < imports[0])


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) > 20
