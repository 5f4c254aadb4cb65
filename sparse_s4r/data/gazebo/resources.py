"""Where a world's files are: URIs and relative paths resolved inside the world's own folders, never outside."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from sparse_s4r.data.gazebo.findings import Findings, Problem
from sparse_s4r.structures.errors import DataError

# Exporters and Gazebo itself agree on these places for textures.
_TEXTURE_FOLDERS = ("", "materials/textures", "../materials/textures", "../textures", "textures")


class Resources:
    """Finds files of a world.

    Args:
        world: The world file. Its folder may be read, and so may ``models`` in or beside it.
        model_paths: Further folders that hold models; they may be read too.
        findings: Told of paths that lead outside.

    Raises:
        DataError: A model path that is no folder.
    """

    def __init__(self, world: Path, model_paths: Sequence[Path], findings: Findings) -> None:
        for path in model_paths:
            if not path.is_dir():
                raise DataError(f"{path}: expected a folder of Gazebo models, got none")
        here = world.resolve().parent
        usual = [folder for folder in (here / "models", here.parent / "models") if folder.is_dir()]
        self.model_paths = tuple(dict.fromkeys([*(path.resolve() for path in model_paths), *usual, here]))
        self.roots = tuple(dict.fromkeys([here, *self.model_paths]))
        self._findings = findings

    def find_uri(self, uri: str, source: Path) -> Path | None:
        """The file or folder that a URI of an SDF file names; None if there is none, or outside the roots.

        Args:
            uri: ``model://NAME/...``, ``file://...`` or a path; relative ones count from the folder of ``source``,
                and ``file://`` ones also from the model paths and the folders that hold them.
            source: The file that says so.
        """
        scheme, rest = split_uri(uri)
        if scheme in ("model", "package"):
            return self._first((root / rest for root in self.model_paths), uri, source)
        if scheme == "file":
            beside = [folder for root in self.model_paths for folder in (root, root.parent)]
            return self._first((folder / rest for folder in [source.parent, *beside]), uri, source)
        if scheme == "":
            return self._first([source.parent / rest], uri, source)
        return None

    def find_texture(self, name: str, mesh: Path, model: Path) -> Path | None:
        """The image that a mesh file names, or one of the same name among the model's textures.

        Args:
            name: As written in the file: relative, a ``file://`` URI, or a path on somebody else's disk.
            mesh: The mesh file.
            model: Folder of the model.
        """
        _, rest = split_uri(name)
        base = rest.rsplit("/", 1)[-1]
        candidates = [mesh.parent / rest]
        candidates += [mesh.parent / folder / base for folder in _TEXTURE_FOLDERS]
        candidates += [model / "materials" / "textures" / base]
        return self._first(candidates, name, mesh)

    def is_inside(self, path: Path) -> bool:
        """Whether ``path``, links followed, lies in a folder that may be read."""
        resolved = path.resolve()
        return any(resolved.is_relative_to(root) for root in self.roots)

    def _first(self, candidates: Iterable[Path], name: str, source: Path) -> Path | None:
        outside = False
        for candidate in candidates:
            try:
                if not self.is_inside(candidate):
                    outside = True
                elif candidate.exists():
                    return candidate.resolve()
            except (OSError, ValueError, RuntimeError):
                # A name too long, with a zero byte or a loop of links names no file.
                continue
        if outside:
            self._findings.add(Problem.OUTSIDE, name, f"named in {source.name}; nothing outside is looked at")
        return None


def split_uri(uri: str) -> tuple[str, str]:
    """Scheme in lower case ("" if none) and the path behind it with forward slashes, a drive's letter removed."""
    text = uri.strip().replace("\\", "/")
    match = re.match(r"^([A-Za-z][A-Za-z0-9+.-]+)://(.*)$", text, re.DOTALL)
    scheme, rest = (match[1].lower(), match[2]) if match else ("", text)
    rest = re.sub(r"^/?[A-Za-z]:/", "/", rest)
    return scheme, rest
