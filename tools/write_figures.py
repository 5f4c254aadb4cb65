"""Write the figures of the documentation from the JSON files that hold them.

A block in README.md or docs/**/*.md names a file below docs, a view of it, and the view's options:

    <!-- figures: results/rooms-test.json view=rooms against=target measures=iou,recall -->
    ... what this tool wrote; whatever stands here is replaced ...
    <!-- end of figures -->

With the word ``optional`` a file that is not there yet makes an empty block. Views are in tools/figure_views.py.

    python tools/write_figures.py            # write all blocks
    python tools/write_figures.py --check    # say which differ; 1 if any does
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sparse_s4r.structures.errors import UserError
from tools.figure_views import VIEWS

ROOT = Path(__file__).resolve().parents[1]
_BEGIN = re.compile(r"^<!-- figures: (?P<words>.*) -->$")
_END = "<!-- end of figures -->"


@dataclass(frozen=True)
class Block:
    """What a block asks for.

    Attributes:
        source: JSON file, relative to docs.
        view: Name of the view.
        options: Of the view.
        optional: Whether the file may be missing.
    """

    source: str
    view: str
    options: dict[str, str]
    optional: bool


def parse_block(words: str, place: str) -> Block:
    """Read the words of a block's first line; ``place`` begins the messages.

    Raises:
        UserError: No file, or an unknown view, or a word that is no option.
    """
    source, *rest = words.split()
    optional = "optional" in rest
    pairs = [word.partition("=") for word in rest if word != "optional"]
    if not source.endswith(".json") or not all(equals and value for _, equals, value in pairs):
        raise UserError(f"{place}: expected FILE.json view=VIEW key=value ..., got {words!r}")
    options = {key: value for key, _, value in pairs}
    view = options.pop("view", "")
    if view not in VIEWS:
        raise UserError(f"{place}: expected view= one of {', '.join(VIEWS)}, got {view!r}")
    return Block(source, view, options, optional)


def rendered(block: Block, docs: Path, place: str) -> str:
    """The text of a block, without blank lines around it; empty for an optional file that is missing.

    Raises:
        UserError: A missing or damaged file, or one or options that do not suit the view.
    """
    path = docs / block.source
    if not path.is_file():
        if block.optional:
            return ""
        raise UserError(f"{place}: expected {path}, found none; make it, or mark the block optional")
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        return VIEWS[block.view](content, **block.options).strip("\n")
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{place}: {path} does not suit view {block.view} with {block.options}: {error!r}") from error


def with_figures(text: str, docs: Path, name: str) -> str:
    """A document with all its blocks written anew.

    Args:
        text: The document.
        docs: Folder below which the JSON files are.
        name: The document's, for messages.

    Raises:
        UserError: A block without end, or one that cannot be written.
    """
    lines, result = text.split("\n"), []
    inside: str | None = None
    for number, line in enumerate(lines, start=1):
        begin = _BEGIN.match(line)
        if begin and inside is not None:
            raise UserError(f"{name}:{number}: expected {_END} before another block, got none")
        if begin:
            inside = f"{name}:{number}"
            body = rendered(parse_block(begin["words"], inside), docs, inside)
            # A blank line on each side, without which Markdown takes no table for one.
            result += [line, "", *([body, ""] if body else [])]
        elif line == _END:
            if inside is None:
                raise UserError(f"{name}:{number}: expected a block before {_END}, got none")
            inside = None
        if inside is None:
            result.append(line)
    if inside is not None:
        raise UserError(f"{inside}: expected {_END} after it, got none")
    return "\n".join(result)


def documents(root: Path) -> list[Path]:
    """README.md and all Markdown below docs."""
    return [path for path in (root / "README.md", *sorted((root / "docs").rglob("*.md"))) if path.is_file()]


def outdated(root: Path, write: bool) -> list[Path]:
    """Documents whose blocks differ from their JSON; with ``write`` they are written."""
    found = []
    for path in documents(root):
        before = path.read_text(encoding="utf-8")
        after = with_figures(before, root / "docs", str(path.relative_to(root)))
        if after != before:
            found.append(path)
            if write:
                path.write_text(after, encoding="utf-8")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check; 1 if a check finds a difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if a document differs from its figures")
    parser.add_argument("--root", type=Path, default=ROOT, help="folder with README.md and docs")
    given = parser.parse_args(arguments)
    for path in (found := outdated(given.root, write=not given.check)):
        print(f"{path}: {'differs from its figures; run python tools/write_figures.py' if given.check else 'written'}")
    return int(given.check and bool(found))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f"error: {error}")
