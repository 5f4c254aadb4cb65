"""Install the network of mseg-semantic, from its published source, as the package mseg_semantic.

    python third_party/mseg/install.py                      # from GitHub into the environment of this python
    python third_party/mseg/install.py --source FOLDER      # from a clone, a bare git mirror or an unpacked archive
    python third_party/mseg/install.py --target FOLDER      # into a folder of its own, imported through PYTHONPATH

Only what one image's inference needs is taken: the network, its configuration and the licence, five files. Each is
checked against its hash, wherever it comes from. The weights are another download: see docs/segmenters.md.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from edits import EDITS, EditError, apply_edits

REPOSITORY = "mseg-dataset/mseg-semantic"
COMMIT = "ac926175edf7fe2e335445c93f74b362488743b0"
FILES = {
    "LICENSE": "1fe199d512db53a6ab2cca4cc0847805b1407a04fdd2c7ee8cba1b97874436db",
    "mseg_semantic/model/__init__.py": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "mseg_semantic/model/seg_hrnet.py": "1a600302e66581e56bf0ca4ab910abe301e612694c199843b580c788403fd400",
    "mseg_semantic/model/seg_hrnet.yaml": "083f764047bd154f387912029b74fffb4316f68b0d535cbee960e5c5cd04cf3f",
    "mseg_semantic/model/seg_hrnet_config.py": "fc842e31fdb8f9e8a953db8d9ebfd28f60b756178cde6a2c4bc9313e092d5697",
}
# setup.py of the source asks for eleven packages that the network does not use.
PROJECT = f"""\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "mseg_semantic"
version = "1.0.0+{COMMIT[:8]}"
description = "The network of mseg-semantic, edited by sparse_s4r for current torch and numpy"
license = "MIT"
license-files = ["LICENSE"]
dependencies = ["torch", "numpy", "PyYAML"]

[tool.setuptools]
packages = ["mseg_semantic", "mseg_semantic.model"]
package-data = {{ "mseg_semantic.model" = ["*.yaml"] }}
"""


class InstallError(Exception):
    """The installation cannot go on; the message tells the remedy."""


def read_source(path: str, source: Path | None) -> bytes:
    """One file of the pinned commit, from GitHub or from a clone, a bare mirror or a plain folder.

    Raises:
        InstallError: It is not there, or it is not that of the pinned commit.
    """
    if source is None:
        content = _download(f"https://raw.githubusercontent.com/{REPOSITORY}/{COMMIT}/{path}")
    else:
        content = _read_local(path, source)
    found = hashlib.sha256(content).hexdigest()
    if found != FILES[path]:
        where = "GitHub" if source is None else source
        raise InstallError(f"{path} of {where}: expected the file of commit {COMMIT[:8]}, got another (sha256 {found})")
    return content


def _download(address: str) -> bytes:
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            return bytes(answer.read())
    except (urllib.error.URLError, TimeoutError) as error:
        raise InstallError(
            f"{address}: could not be downloaded ({error}); without a network, name a clone or an unpacked archive of "
            f"https://github.com/{REPOSITORY} with --source"
        ) from error


def _read_local(path: str, source: Path) -> bytes:
    if not source.is_dir():
        raise InstallError(f"--source {source}: expected a folder, got none")
    command = ["git", "-C", str(source), "show", f"{COMMIT}:{path}"]
    try:
        result = subprocess.run(command, capture_output=True, check=False)
        if result.returncode == 0:
            return result.stdout
    except FileNotFoundError:
        pass  # Without git, only a plain folder can be read.
    if (source / path).is_file():
        return (source / path).read_bytes()
    raise InstallError(
        f"--source {source}: expected a clone or mirror of {REPOSITORY} with commit {COMMIT[:8]}, or its unpacked "
        f"archive, got a folder without {path}"
    )


def stage(folder: Path, source: Path | None) -> None:
    """Lay out in ``folder`` what pip installs: the files with their edits made, and the project's description.

    Raises:
        InstallError: A file cannot be had, or is another than that of the pinned commit.
        EditError: An edit does not fit.
    """
    for path in FILES:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(read_source(path, source))
    apply_edits(folder, EDITS)
    (folder / "mseg_semantic" / "__init__.py").touch()
    (folder / "pyproject.toml").write_text(PROJECT)


def install(folder: Path, target: Path | None) -> None:
    """Install what ``stage`` laid out, and see that it loads.

    Raises:
        InstallError: pip or the import failed.
    """
    where = [] if target is None else ["--target", str(target), "--upgrade"]
    flags = ["-qq", "--no-deps", "--no-build-isolation", "--force-reinstall", "--disable-pip-version-check", *where]
    result = subprocess.run([sys.executable, "-m", "pip", "install", *flags, folder], capture_output=True, text=True)
    if result.returncode != 0:
        raise InstallError(
            f"{result.stdout}{result.stderr}\npip could not install it, see above; it needs setuptools>=77"
        )
    path = "" if target is None else f"import sys; sys.path.insert(0, {str(target.resolve())!r}); "
    check = f"{path}import mseg_semantic.model.seg_hrnet as m; print(m.__file__)"
    # From another folder, so that nothing but what was installed can be found.
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, cwd=folder.parent)
    if result.returncode != 0:
        raise InstallError(f"{result.stderr}\nmseg_semantic is installed and does not load; see above")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, help="a clone, bare mirror or unpacked archive instead of GitHub")
    parser.add_argument("--target", type=Path, help="a folder to install into instead of the environment")
    return parser.parse_args(arguments)


def main() -> None:
    """Install the network."""
    arguments = parse()
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "source"
            folder.mkdir()
            stage(folder, arguments.source)
            install(folder, arguments.target)
    except (InstallError, EditError) as error:
        sys.exit(f"mseg_semantic was not installed: {error}")
    print(f"mseg_semantic {COMMIT[:8]} is installed in {arguments.target or sys.prefix}; {len(EDITS)} edits were made")


if __name__ == "__main__":
    main()
