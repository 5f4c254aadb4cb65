"""Label sets: labels of a scene's frames that were made after its import, each in a folder of its own.

``SCENE/labels/SET/`` holds ``labels.json`` and, per frame, ``NAME.png`` and ``NAME.confidence.png``; the scene's own
labels, if any, stay where they are.
"""

from __future__ import annotations

import io
import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator
from torch import Tensor

from sparse_s4r.data.images import Size, load_labels
from sparse_s4r.data.scene_document import explain, inside, is_plain_name
from sparse_s4r.structures import IGNORE_LABEL
from sparse_s4r.structures.errors import DataError

FOLDER = "labels"
LABELS_DOCUMENT = "labels.json"
OVERVIEW = "overview.jpg"
_CONFIDENCE = ".confidence"
# Confidence is stored in 8 bits.
_ONE = 255
_Sum = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class LabelSetDocument(BaseModel):
    """labels.json: the classes of a label set and what made it.

    Attributes:
        class_names: Name of each label value from 0; may differ from the scene's own.
        segmenter: What made the labels, as it was named to ``s4r label``.
        label_map: The label map that gave the segmenter's classes these names; None where none was named.
        digest: SHA-256 of what labels depend on beside frames and options: weights, label map, preparation of images;
            None where there is nothing of that kind.
        options: Whatever else changes the labels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["sparse_s4r labels"] = "sparse_s4r labels"
    version: Literal[1] = 1
    class_names: Annotated[tuple[str, ...], Field(min_length=1, max_length=IGNORE_LABEL)]
    segmenter: str
    label_map: str | None = None
    digest: _Sum | None = None
    options: dict[str, JsonValue] = Field(default_factory=dict)

    @field_validator("class_names")
    @classmethod
    def _names_are_unique(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for index, name in enumerate(names):
            if name in names[:index]:
                raise ValueError(f"expected each class once, got {name!r} twice")
        return names


class LabelSet:
    """Handle of a label set: labels are read when asked for.

    Args:
        path: Its folder, SCENE/labels/SET.
        document: Its validated labels.json.
    """

    def __init__(self, path: Path, document: LabelSetDocument) -> None:
        self.path = path
        self.name = path.name
        self.document = document
        self.class_names = document.class_names

    def has(self, frame: str) -> bool:
        """True if frame ``frame`` is labelled: both of its files exist."""
        return all((self.path / name).is_file() for name in label_files(frame))

    def missing(self, frames: Iterable[str]) -> tuple[str, ...]:
        """Those of ``frames`` that are not labelled, in their order."""
        return tuple(frame for frame in frames if not self.has(frame))

    def load(self, frame: str, size: Size | None = None) -> tuple[Tensor, Tensor]:
        """Labels and confidence of one frame.

        Args:
            frame: Its name.
            size: Expected (width, height); None takes any.

        Returns:
            Labels (H, W) int64, ``IGNORE_LABEL`` = none, and confidence (H, W) float32 in [0, 1].

        Raises:
            DataError: The frame is not labelled, a file is damaged or of another size, or a label is no class.
        """
        paths = [inside(self.path, name) for name in label_files(frame)]
        for path in paths:
            if not path.is_file():
                raise DataError(f"{path}: frame {frame} is not labelled; let `s4r label` go on with this set")
        labels, sure = (load_labels(path, size=size) for path in paths)
        if labels.shape != sure.shape:
            raise DataError(f"{paths[1]}: expected the size of the labels {_show(labels)}, got {_show(sure)}")
        wrong = (labels >= len(self.class_names)) & (labels != IGNORE_LABEL)
        if bool(wrong.any()):
            raise DataError(
                f"{paths[0]}: expected labels below {len(self.class_names)} or {IGNORE_LABEL}, "
                f"got {int(labels[wrong][0])}; remove the set or label again with --overwrite"
            )
        return labels, sure.float() / _ONE


class LabelSetWriter(LabelSet):
    """A label set that is being made; whatever is written appears whole or not at all."""

    def write(self, frame: str, labels: Tensor, confidence: Tensor) -> None:
        """Write the labels of one frame.

        Args:
            frame: Its name.
            labels: (H, W) int64, a class or ``IGNORE_LABEL``.
            confidence: (H, W) float in [0, 1]; kept in 255 steps.

        Raises:
            ValueError: Other shapes, or values out of range.
        """
        if labels.dim() != 2 or labels.shape != confidence.shape:
            raise ValueError(
                f"frame {frame}: expected labels and confidence (H, W), got {_show(labels)} and {_show(confidence)}"
            )
        labels, confidence = labels.cpu(), confidence.cpu()
        if not bool(((labels >= 0) & ((labels < len(self.class_names)) | (labels == IGNORE_LABEL))).all()):
            raise ValueError(f"frame {frame}: expected labels below {len(self.class_names)} or {IGNORE_LABEL}")
        if not bool(((confidence >= 0) & (confidence <= 1)).all()):
            raise ValueError(f"frame {frame}: expected a confidence in [0, 1]")
        name, sure = label_files(frame)
        # The labels last: where they are, their confidence is.
        self._replace(sure, png_bytes((confidence * _ONE).round()))
        self._replace(name, png_bytes(labels))

    def write_overview(self, picture: Tensor) -> Path:
        """Write the overview picture (H, W, 3) uint8 and give its path."""
        target = io.BytesIO()
        Image.fromarray(picture.numpy()).save(target, "JPEG", quality=88)
        return self._replace(OVERVIEW, target.getvalue())

    def write_document(self) -> None:
        """Write labels.json."""
        text = json.dumps(self.document.model_dump(mode="json"), indent=1, allow_nan=False)
        self._replace(LABELS_DOCUMENT, f"{text}\n".encode())

    def clear(self, frames: Iterable[str]) -> None:
        """Remove the set: the files of ``frames``, the picture and labels.json; whatever else is there stays."""
        for name in (*(file for frame in frames for file in label_files(frame)), OVERVIEW, LABELS_DOCUMENT):
            (self.path / name).unlink(missing_ok=True)

    def _replace(self, name: str, content: bytes) -> Path:
        path = self.path / name
        partial = self.path / f".{name}.partial"
        # What a killed run left is removed, not written through: it might be a link out of the scene.
        partial.unlink(missing_ok=True)
        with partial.open("xb") as stream:
            stream.write(content)
        os.replace(partial, path)
        return path


def png_bytes(values: Tensor) -> bytes:
    """An image (H, W) of whole numbers in [0, 255] as 8-bit PNG."""
    target = io.BytesIO()
    Image.fromarray(values.to(torch.uint8).numpy()).save(target, "PNG")
    return target.getvalue()


def label_files(frame: str) -> tuple[str, str]:
    """Names of the files with the labels and the confidence of a frame."""
    return f"{frame}.png", f"{frame}{_CONFIDENCE}.png"


def label_set_names(scene_folder: Path) -> tuple[str, ...]:
    """Names of the label sets of a scene folder, sorted."""
    folder = scene_folder / FOLDER
    if not folder.is_dir():
        return ()
    return tuple(
        sorted(
            item.name for item in folder.iterdir() if is_plain_name(item.name) and (item / LABELS_DOCUMENT).is_file()
        )
    )


def label_set_path(scene_folder: Path, name: str) -> Path:
    """Folder of the label set ``name``, which need not exist.

    Raises:
        DataError: A name that is not one plain file name, or a link that leads out of the scene.
    """
    if not is_plain_name(name):
        raise DataError(f"label set: expected a plain name without slashes, got {name!r}")
    return inside(scene_folder, f"{FOLDER}/{name}")


def open_label_set(scene_folder: Path, name: str) -> LabelSet:
    """Open the label set ``name`` of a scene folder; reads labels.json only.

    Raises:
        DataError: No such set, or a labels.json that breaks the format.
    """
    path = label_set_path(scene_folder, name)
    file = inside(path, LABELS_DOCUMENT)
    if not file.is_file():
        known = ", ".join(label_set_names(scene_folder)) or "none"
        raise DataError(f"{scene_folder}: no label set {name!r}; it has {known}; make one with `s4r label`")
    try:
        return LabelSet(path, LabelSetDocument.model_validate_json(file.read_bytes()))
    except ValidationError as error:
        raise DataError(f"{file}: {explain(error)}") from error
    except OSError as error:
        raise DataError(f"{file}: expected a readable file, got {error}") from error


def begin_label_set(
    scene_folder: Path, name: str, document: LabelSetDocument, frames: Iterable[str], overwrite: bool = False
) -> LabelSetWriter:
    """Make the label set ``name`` of a scene, or go on with one that was made in the same way.

    Args:
        scene_folder: The scene.
        name: Name of the set.
        document: What it is to say of itself.
        frames: Names of the scene's frames.
        overwrite: Remove what another segmenter made, instead of refusing.

    Raises:
        DataError: A name that is not plain, frames whose files would be the same, or a set of this name that was made
            in another way while ``overwrite`` is False; nothing is changed then.
    """
    frames = tuple(frames)
    files = [file for frame in frames for file in label_files(frame)]
    repeated = [file for file, count in Counter(files).items() if count > 1]
    if repeated:
        raise DataError(f"{scene_folder}: expected frames whose label files differ, got two that need {repeated[0]}")
    writer = LabelSetWriter(label_set_path(scene_folder, name), document)
    if (writer.path / LABELS_DOCUMENT).is_file() or any((writer.path / file).exists() for file in files):
        difference = _difference(scene_folder, name, document)
        if difference is None:
            return writer
        if not overwrite:
            raise DataError(
                f"{writer.path}: expected a new set or one of the same segmenter and options, got one with "
                f"{difference}; give --name, or --overwrite to replace it"
            )
        writer.clear(frames)
    writer.path.mkdir(parents=True, exist_ok=True)
    writer.write_document()
    return writer


def _difference(scene_folder: Path, name: str, document: LabelSetDocument) -> str | None:
    """In what a set differs from what it is to be; None if in nothing that changes labels."""
    if name not in label_set_names(scene_folder):
        return f"no {LABELS_DOCUMENT}"
    try:
        there = open_label_set(scene_folder, name).document
    except DataError as error:
        return f"a {LABELS_DOCUMENT} that cannot be read ({error})"
    old, new = _identity(there), _identity(document)
    for key, value in old.items():
        if value != new[key]:
            return f"{key} {value} instead of {new[key]}"
    return None


def _identity(document: LabelSetDocument) -> dict[str, object]:
    """What decides the labels. A path after the kind of segmenter does not: what lies there is in the digest."""
    kind = document.segmenter.partition(":")[0]
    return {
        "segmenter": document.segmenter if document.digest is None else kind,
        "class_names": list(document.class_names),
        "digest": document.digest,
        "options": document.options,
    }


def _show(tensor: Tensor) -> str:
    return "x".join(map(str, reversed(tensor.shape)))
