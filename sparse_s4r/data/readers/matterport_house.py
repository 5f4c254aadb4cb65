"""The .house file of a Matterport3D house: which region each panorama was taken in.

Read are the lines R (regions) and P (panoramas). Levels, portals, surfaces, vertices, images, categories, objects and
segments are not: frames come from the .conf file, and labels from the segmentations of the regions' meshes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sparse_s4r.data.readers.text import load_lines
from sparse_s4r.structures.errors import DataError

_FOLDER = "house_segmentations"
# Portals share the letter P; their lines have 15 words.
_REGION_WORDS, _PANORAMA_WORDS = 20, 13
# The letters by which the data set names the use of a region.
REGION_USES = {
    "a": "bathroom",
    "b": "bedroom",
    "c": "closet",
    "d": "dining room",
    "e": "entryway",
    "f": "family room",
    "g": "garage",
    "h": "hallway",
    "i": "library",
    "j": "laundry room",
    "k": "kitchen",
    "l": "living room",
    "m": "meeting room",
    "n": "lounge",
    "o": "office",
    "p": "porch",
    "r": "game room",
    "s": "stairs",
    "t": "toilet",
    "u": "utility room",
    "v": "television room",
    "w": "gym",
    "x": "outdoors",
    "y": "balcony",
    "z": "other room",
    "B": "bar",
    "C": "classroom",
    "D": "dining booth",
    "S": "spa",
    "Z": "junk",
    "-": "no label",
}


@dataclass(frozen=True)
class Region:
    """A room-like part of a house.

    Attributes:
        index: Its number, as in region_segmentations/regionN.ply.
        level: Its floor; -1 for none.
        use: What it is used as, one of ``REGION_USES``.
    """

    index: int
    level: int
    use: str


@dataclass(frozen=True)
class House:
    """Regions of a house.

    Attributes:
        path: The .house file.
        regions: In the order of the file.
        panoramas: (name, region) of every tripod position; -1 for a panorama in no region.
    """

    path: Path
    regions: tuple[Region, ...]
    panoramas: tuple[tuple[str, int], ...]

    def panoramas_of(self, region: int) -> frozenset[str]:
        """Names of the panoramas taken in a region; the names of their images begin so, up to the first underscore.

        Raises:
            DataError: No such region.
        """
        if region not in {known.index for known in self.regions}:
            raise DataError(f"{self.path}: expected one of {len(self.regions)} regions, got {region}")
        return frozenset(name for name, place in self.panoramas if place == region)

    def summary(self) -> str:
        """One line on the regions."""
        uses = Counter(region.use for region in self.regions)
        listing = ", ".join(f"{count} {use}" for use, count in uses.most_common())
        return f"house: {len(self.regions)} regions ({listing}), {len(self.panoramas)} panoramas, by {self.path.name}"


def find_house(folder: Path) -> House | None:
    """Read house_segmentations/*.house of a house; None if there is none.

    Raises:
        DataError: Several such files, or a damaged one.
    """
    files = sorted((folder / _FOLDER).glob("*.house")) if (folder / _FOLDER).is_dir() else []
    if len(files) > 1:
        raise DataError(f"{folder / _FOLDER}: expected one .house file, got {len(files)}")
    return load_house(files[0]) if files else None


def load_house(path: Path) -> House:
    """Read a .house file.

    Raises:
        DataError: No such file, another format, or a line of a region or panorama that cannot be read.
    """
    lines = load_lines(path, "the regions of a house")
    if not lines or lines[0].split()[0] != "ASCII":
        raise DataError(
            f"{path}: expected ASCII and a version in the first line, got {lines[0][:40] if lines else ''!r}"
        )
    regions: list[Region] = []
    panoramas: list[tuple[str, int]] = []
    for number, line in enumerate(lines[1:], start=2):
        words = line.split()
        if words[0] == "R":
            regions.append(_region(path, number, words))
        elif words[0] == "P" and len(words) == _PANORAMA_WORDS:
            panoramas.append((words[1], _integer(path, number, words[3])))
    return House(path, tuple(regions), tuple(panoramas))


def _region(path: Path, number: int, words: list[str]) -> Region:
    if len(words) != _REGION_WORDS:
        raise DataError(f"{path}: expected {_REGION_WORDS} words for a region, got {len(words)} in entry {number}")
    index, level = _integer(path, number, words[1]), _integer(path, number, words[2])
    return Region(index, level, REGION_USES.get(words[5], words[5]))


def _integer(path: Path, number: int, word: str) -> int:
    digits = word.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise DataError(f"{path}: expected a whole number, got {word[:20]!r} in entry {number}")
    return int(word)
