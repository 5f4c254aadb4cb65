"""Make .venv and install the pip section of environment.yml; does nothing when that has been done already.

Runs before anything is installed: standard library only.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INPUTS = ("pyproject.toml", "environment.yml", "constraints.txt", "tools/environment.py")
_REMEDIES = """\
Set-up stopped: pip could not install {what}; its message is above.
  no network, or a proxy     set PIP_INDEX_URL or HTTPS_PROXY, then run the same command again
  no matching version        this Python is {python}; packages are pinned for 3.10 to 3.12: make PYTHON=python3.11 ...
  no space left              a CPU set-up takes about 3 GB
Nothing is lost: the next call goes on from here. To start afresh: make clean"""


def pip_section(text: str) -> list[str]:
    """Lines of the ``pip:`` section of a conda environment file, without comments and quotes.

    Raises:
        ValueError: There is no such section, or it is empty.
    """
    lines = [line for line in re.sub(r"(^|\s)#.*", "", text, flags=re.MULTILINE).splitlines() if line.strip()]
    starts = [number for number, line in enumerate(lines) if re.fullmatch(r"\s*-\s+pip:\s*", line)]
    if len(starts) != 1:
        raise ValueError(f"environment.yml: expected one '- pip:' section, got {len(starts)}")
    outer = len(lines[starts[0]]) - len(lines[starts[0]].lstrip())
    items: list[str] = []
    for line in lines[starts[0] + 1 :]:
        match = re.fullmatch(r"(\s*)-\s+(.+?)\s*", line)
        if match is None or len(match.group(1)) <= outer:
            break
        items.append(match.group(2).strip("'\""))
    if not items:
        raise ValueError("environment.yml: expected packages under '- pip:', got none")
    return items


def pip_arguments(items: list[str]) -> list[str]:
    """The lines of a pip section as arguments of ``pip install``."""
    return [argument for item in items for argument in shlex.split(item)]


def fingerprint(root: Path, torch_index: str) -> str:
    """Hash of everything that decides what is installed."""
    digest = hashlib.sha256(f"{torch_index}\0{sys.version}\0{sys.executable}\0".encode())
    for name in INPUTS:
        digest.update((root / name).read_bytes() + b"\0")
    return digest.hexdigest()


def _say(text: str) -> None:
    print(text, flush=True)


def _install(python: Path, what: str, arguments: list[str]) -> None:
    started = time.monotonic()
    _say(f"  installing {what} ...")
    quiet = ["-qq", "--no-input", "--disable-pip-version-check", "--no-warn-script-location"]
    environment = {**os.environ, "PIP_ROOT_USER_ACTION": "ignore"}
    result = subprocess.run(
        [python, "-m", "pip", "install", *quiet, *arguments], cwd=ROOT, env=environment, check=False
    )
    if result.returncode != 0:
        sys.exit(_REMEDIES.format(what=what, python=sys.version.split()[0]))
    _say(f"  installed {what} in {time.monotonic() - started:.0f} s")


def _make_venv(folder: Path) -> Path:
    python = folder / "bin" / "python"
    works = python.exists() and subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0
    if works:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    _say(f"  making {folder.name} with Python {sys.version.split()[0]}")
    result = subprocess.run([sys.executable, "-m", "venv", folder], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        sys.exit(
            f"{result.stdout}{result.stderr}\nSet-up stopped: {sys.executable} cannot make a virtual environment; "
            "on Debian and Ubuntu: apt-get install python3-venv"
        )
    return python


def main() -> None:
    """Bring .venv up to date with the three files that describe it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch-index", default="", help="index to look for torch in besides pip's own")
    torch_index: str = parser.parse_args().torch_index
    folder = ROOT / ".venv"
    stamp = folder / ".installed"
    wanted = fingerprint(ROOT, torch_index)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    started = time.monotonic()
    _say("Set-up: packages go to .venv, pinned in constraints.txt; 1 to 5 minutes, once")
    python = _make_venv(folder)
    stamp.unlink(missing_ok=True)
    section = pip_section((ROOT / "environment.yml").read_text())
    # Torch alone first, as it may come from an index of its own; its builds there (2.13.0+cu130) outrank the plain one.
    index = ["--extra-index-url", torch_index] if torch_index else []
    torch = [item for item in section if re.match(r"torch\b|--constraint\b", item)]
    _install(python, "torch", [*index, *pip_arguments(torch)])
    _install(python, "sparse_s4r and the packages that it needs", pip_arguments(section))
    stamp.write_text(wanted)
    _say(f"Set-up done in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
