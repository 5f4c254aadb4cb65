"""The files of a scene's label sets: which names they have, what they hold in a pack, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator

from sparse_s4r.data.label_sets import (
    FOLDER,
    LABELS_DOCUMENT,
    OVERVIEW,
    LabelSet,
    label_files,
    label_set_names,
    open_label_set,
    png_bytes,
)
from sparse_s4r.data.scene import Scene
from sparse_s4r.data.scene_document import FrameDocument, is_plain_name
from sparse_s4r.structures import IGNORE_LABEL
from sparse_s4r.structures.errors import DataError

_NAMED_AT_MOST = 5


def belongs_to_label_set(name: str) -> bool:
    """True for ``labels/SET/FILE`` with plain names, where FILE is one that a label set has."""
    parts = name.split("/")
    if len(parts) != 3 or parts[0] != FOLDER or not all(map(is_plain_name, parts[1:])):
        return False
    return parts[2] in (LABELS_DOCUMENT, OVERVIEW) or parts[2].endswith(".png")


def packed_label_files(scene: Scene, image_width: int | None) -> Iterator[tuple[str, bytes]]:
    """Names in the scene and contents of all files of its label sets.

    Args:
        scene: The scene.
        image_width: Largest width of the images, pixels; larger ones are picked at the pixels of the smaller size.

    Raises:
        DataError: A file is damaged or does not fit the scene.
    """
    for set_name in scene.label_sets():
        labels = scene.label_set(set_name)
        place = f"{FOLDER}/{set_name}"
        yield f"{place}/{LABELS_DOCUMENT}", (labels.path / LABELS_DOCUMENT).read_bytes()
        if (labels.path / OVERVIEW).is_file():
            yield f"{place}/{OVERVIEW}", (labels.path / OVERVIEW).read_bytes()
        for frame in scene.document.frames:
            if not labels.has(frame.name):
                continue
            names = label_files(frame.name)
            if image_width is None or frame.width <= image_width:
                # Read for its checks alone: a pack is made of sound files.
                labels.load(frame.name, (frame.width, frame.height))
                contents = tuple((labels.path / name).read_bytes() for name in names)
            else:
                loaded = scene.load_frame(frame.name, image_width, labels=set_name)
                if loaded.labels is None or loaded.confidence is None:
                    raise DataError(f"{labels.path}: frame {frame.name}: expected labels and confidence, got none")
                contents = png_bytes(loaded.labels), png_bytes((loaded.confidence * 255).round())
            yield from ((f"{place}/{name}", content) for name, content in zip(names, contents, strict=True))


def label_set_problems(scene: Scene) -> tuple[list[str], list[str]]:
    """Facts of the label sets of a scene, and what breaks their format; a line each."""
    facts, problems = [], []
    for set_name in label_set_names(scene.path):
        try:
            labels = open_label_set(scene.path, set_name)
        except DataError as error:
            problems.append(str(error))
            continue
        names = scene.frame_names()
        missing = labels.missing(names)
        done = f"{len(names) - len(missing)} of {len(names)} frames"
        facts.append(f"label set {set_name}: {len(labels.class_names)} classes, {done}, by {labels.document.segmenter}")
        if missing:
            more = "" if len(missing) <= _NAMED_AT_MOST else ", …"
            problems.append(
                f"{labels.path}: expected labels of {len(names)} frames, got none of {len(missing)}: "
                f"{', '.join(missing[:_NAMED_AT_MOST])}{more}; let `s4r label` go on with this set"
            )
        for frame in scene.document.frames:
            if frame.name not in missing:
                problems.extend(_frame_problems(labels, frame))
    return facts, problems


def _frame_problems(labels: LabelSet, frame: FrameDocument) -> Iterator[str]:
    try:
        found, confidence = labels.load(frame.name, (frame.width, frame.height))
    except DataError as error:
        yield str(error)
        return
    sure = int((confidence[found == IGNORE_LABEL] > 0).sum())
    if sure:
        path = labels.path / label_files(frame.name)[1]
        yield f"{path}: expected 0 where there is no label, got more in {sure} pixels"
