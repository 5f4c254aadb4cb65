"""Labels of ScanNet frames: images of the data set's own ids or of NYU ids, in a folder or a zip archive."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from sparse_s4r.data.readers.archive import list_members
from sparse_s4r.data.readers.label_maps import LabelMap, load_label_map
from sparse_s4r.data.readers.listing import files_by_name
from sparse_s4r.data.readers.stored import StoredImage, read_bytes, stored
from sparse_s4r.structures import IGNORE_LABEL
from sparse_s4r.structures.errors import DataError

LABEL_TABLE = "scannetv2-labels.combined.tsv"
CLASS_SETS = ("scannet15", "scannet20", "nyu40")
_FOLDERS = ("label-filt", "label")
_ARCHIVE = "_2d-label-filt.zip"
# Label images have 16 bits.
_LARGEST_ID = 65535
_LARGEST_TABLE = 1 << 24


@dataclass(frozen=True)
class ScanNetLabels:
    """Label images of a capture.

    Attributes:
        images: By frame name.
        class_names: Names of the labels that ``label_map`` gives.
        label_map: (V,) int64 label of each value in the images, ``IGNORE_LABEL`` for none.
        note: Where they come from.
    """

    images: dict[str, StoredImage]
    class_names: tuple[str, ...]
    label_map: Tensor
    note: str


def find_labels(folder: Path, scene: str, classes: str) -> ScanNetLabels | str | None:
    """Look for label images of a scene.

    Images of 16 bits hold the data set's ids, which need ``scannetv2-labels.combined.tsv`` beside the scene or up to
    three folders above; images of 8 bits hold NYU ids, as ScanNet's converter writes them.

    Args:
        folder: The scene's folder.
        scene: The scene's name, with which its archive's name begins.
        classes: The class set wanted, one of ``CLASS_SETS``.

    Returns:
        The labels; a note why label images that are there cannot be used; None if there are none.

    Raises:
        DataError: Damaged archive, image or table, or an unknown class set.
    """
    names = load_label_map("nyu40")
    class_names = names.class_names(classes)
    place, images = _images(folder, scene)
    if not images:
        return None
    if _bits(next(iter(images.values()))) == 8:
        nyu = torch.tensor(names.labels_of_ids(classes))
        return ScanNetLabels(images, class_names, nyu, f"labels: {place}, NYU ids as {classes}")
    table = _find_table(folder)
    if table is None:
        return (
            f"labels: {place} is not read, as {LABEL_TABLE} is neither beside the scene nor up to three folders above"
        )
    label_map = load_label_table(table, classes, names)
    return ScanNetLabels(images, class_names, label_map, f"labels: {place}, ScanNet ids as {classes} by {table}")


def load_label_table(path: Path, classes: str, names: LabelMap | None = None) -> Tensor:
    """Label of every ScanNet id, from the columns id and nyu40id of ``scannetv2-labels.combined.tsv``.

    Args:
        path: The table.
        classes: One of ``CLASS_SETS``.
        names: The NYU classes, if they are read already.

    Returns:
        (V,) int64, V one more than the largest id; ``IGNORE_LABEL`` for ids without a class.

    Raises:
        DataError: No such file, or no table with these columns.
    """
    of_nyu = (names or load_label_map("nyu40")).labels_of_ids(classes)
    labels = {0: IGNORE_LABEL}
    for number, (identity, nyu) in enumerate(read_columns(path, ("id", "nyu40id")), start=2):
        scannet_id = _integer(path, number, "id", identity, _LARGEST_ID)
        # An empty cell is an id without an NYU class.
        nyu_id = _integer(path, number, "nyu40id", nyu, len(of_nyu) - 1) if nyu else 0
        labels[scannet_id] = of_nyu[nyu_id]
    table = torch.full((max(labels) + 1,), IGNORE_LABEL, dtype=torch.int64)
    table[torch.tensor(list(labels))] = torch.tensor(list(labels.values()))
    return table


def read_columns(path: Path, columns: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Cells of some columns of a tab-separated file with a head line, row by row; blank lines are left out.

    Raises:
        DataError: No such file, a file that is no text or too large, a missing column, or a row that ends before one.
    """
    try:
        if path.stat().st_size > _LARGEST_TABLE:
            raise DataError(f"{path}: expected a table of at most {_LARGEST_TABLE} bytes, got more")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected a tab-separated table, got a file that cannot be read ({error})") from error
    rows = [line.split("\t") for line in text.splitlines() if line.strip()]
    head = [cell.strip() for cell in rows[0]] if rows else []
    missing = [column for column in columns if column not in head]
    if missing:
        raise DataError(f"{path}: expected the columns {', '.join(columns)}, got none called {missing[0]}")
    places = [head.index(column) for column in columns]
    short = next((number for number, row in enumerate(rows, start=1) if len(row) <= max(places)), None)
    if short is not None:
        raise DataError(f"{path}: expected {len(head)} columns, got {len(rows[short - 1])} in row {short}")
    return [tuple(row[place].strip() for place in places) for row in rows[1:]]


def _integer(path: Path, row: int, column: str, cell: str, largest: int) -> int:
    if cell.isascii() and cell.isdigit() and len(cell) < 10 and int(cell) <= largest:
        return int(cell)
    raise DataError(f"{path}: expected {column} from 0 to {largest}, got {cell[:20]!r} in row {row}")


def _images(folder: Path, scene: str) -> tuple[str, dict[str, StoredImage]]:
    for name in _FOLDERS:
        if (folder / name).is_dir():
            return f"{name}/", {key: stored(path) for key, path in files_by_name(folder / name, (".png",)).items()}
    archive = folder / f"{scene}{_ARCHIVE}"
    members = [PurePosixPath(name) for name in list_members(archive)] if archive.is_file() else []
    return archive.name, {
        name.stem: StoredImage(archive, member=str(name)) for name in members if name.suffix.lower() == ".png"
    }


def _bits(image: StoredImage) -> int:
    """8 or 16, from the header."""
    try:
        with Image.open(BytesIO(read_bytes(image))) as opened:
            return 8 if opened.mode in ("L", "P") else 16
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(f"{image}: expected a label image, got an unreadable one ({error})") from error


def _find_table(folder: Path) -> Path | None:
    places = [folder, *folder.resolve().parents[:3]]
    return next((place / LABEL_TABLE for place in places if (place / LABEL_TABLE).is_file()), None)
