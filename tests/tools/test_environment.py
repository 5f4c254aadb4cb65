"""The set-up reads environment.yml as conda would and pins everything it installs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tools.environment import INPUTS, fingerprint, pip_arguments, pip_section

ROOT = Path(__file__).resolve().parents[2]


def _yaml_pip_section(text: str) -> list[str]:
    dependencies = yaml.safe_load(text)["dependencies"]
    return next(item["pip"] for item in dependencies if isinstance(item, dict))


@pytest.mark.parametrize(
    "text",
    [
        (ROOT / "environment.yml").read_text(),
        "dependencies:\n- python\n- pip:\n  - a==1\n  - b\n- gcc\n",
        "# - pip:\ndependencies:\n  - pip:   # ours\n      # one\n      - 'a[x]>=1'\n\n      - \"b\"  # two\nname: n\n",
        "dependencies:\n  - pip:\n      - git+https://host/x#egg=x\n",
    ],
)
def test_the_pip_section_is_what_a_yaml_reader_sees(text: str) -> None:
    assert pip_section(text) == _yaml_pip_section(text)


@pytest.mark.parametrize("text", ["dependencies:\n  - pip\n", "dependencies:\n  - pip:\n  - gcc\n"])
def test_a_missing_or_empty_section_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"environment\.yml: expected"):
        pip_section(text)


def test_lines_become_arguments() -> None:
    assert pip_arguments(["--constraint c.txt", "torch", "--editable .[dev]"]) == [
        "--constraint",
        "c.txt",
        "torch",
        "--editable",
        ".[dev]",
    ]


def test_the_environment_installs_the_package_under_the_constraints() -> None:
    assert pip_section((ROOT / "environment.yml").read_text()) == [
        "--constraint constraints.txt",
        "torch",
        "--editable .[dev]",
    ]


def test_every_constraint_is_one_exact_version() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pins = [re.fullmatch(r'([\w.-]+)==[\w.]+(; python_version >= "3\.11")?', line) for line in lines]
    assert [line for line, pin in zip(lines, pins, strict=True) if pin is None] == []
    names = [pin.group(1) for pin in pins if pin]
    assert len(names) == len(set(names))
    assert "torch" in names


def test_a_change_of_any_input_asks_for_a_new_installation(tmp_path: Path) -> None:
    for name in INPUTS:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("before")
    seen = {fingerprint(tmp_path, ""), fingerprint(tmp_path, "https://index")}
    assert fingerprint(tmp_path, "") in seen
    for name in INPUTS:
        (tmp_path / name).write_text("after")
        seen.add(fingerprint(tmp_path, ""))
    assert len(seen) == 2 + len(INPUTS)
