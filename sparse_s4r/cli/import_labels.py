"""Where the labels of an import come from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sparse_s4r.cli.import_choices import Labels
from sparse_s4r.data.import_options import LabelFrame, Labelling
from sparse_s4r.data.readers import Capture, matterport, matterport_labels, open_capture
from sparse_s4r.segmentation.geometric import STRUCTURE_NAMES, GeometricSegmenter, estimate_floor
from sparse_s4r.segmentation.interface import label_frame
from sparse_s4r.segmentation.label_images import LabelImageSegmenter
from sparse_s4r.segmentation.taxonomy import load_taxonomy, shipped_taxonomies
from sparse_s4r.structures import RGBDFrame
from sparse_s4r.structures.errors import DataError


def labelled_capture(
    path: Path, layout: str, choice: Labels, label_images: Path | None, taxonomy: str | None
) -> tuple[Capture, Labelling | None]:
    """Open a capture and choose the labels of its frames.

    Args:
        path: The capture.
        layout: Its layout, or "auto".
        choice: Where labels come from, unless ``label_images`` is there.
        label_images: Folder of label images made elsewhere.
        taxonomy: Their classes, or those that the capture's own labels are to be given in.

    Returns:
        The capture, its notes telling of labels that had to be looked for, and the labelling; None for no labels.

    Raises:
        DataError: A capture that cannot be read, or a taxonomy that the labels cannot have.
    """
    if label_images is not None:
        return open_capture(path, layout), image_labelling(label_images, taxonomy)
    if choice is not Labels.auto:
        if taxonomy is not None:
            raise DataError(f"--taxonomy {taxonomy}: expected --label-images or --labels auto, got {choice.value}")
        return open_capture(path, layout), geometric_labelling() if choice is Labels.geometry else None
    capture = open_capture(path, layout, taxonomy)
    labelling = None if capture.class_names is None else Labelling(capture.class_names)
    if capture.layout == matterport.NAME:
        classes = taxonomy or matterport.CLASS_SETS[0]
        labelling, note = matterport_labels.find_labels(capture, path, classes)
        capture = replace(capture, notes=(*capture.notes, note))
    if labelling is None and taxonomy is not None:
        notes = "; ".join(note for note in capture.notes if note.startswith("labels"))
        raise DataError(f"--taxonomy {taxonomy}: expected labels in {path}, got {notes or 'none'}")
    return capture, labelling


def geometric_labelling() -> Labelling:
    """Labels from shapes; the floor's height is taken from the whole capture, since not every frame sees it."""

    def prepare(sample: list[RGBDFrame]) -> LabelFrame:
        return GeometricSegmenter(floor_height=estimate_floor(sample)).label_frame

    return Labelling(STRUCTURE_NAMES, prepare=prepare)


def image_labelling(folder: Path, taxonomy: str | None) -> Labelling:
    """Labels from images in ``folder`` with the classes of ``taxonomy``, a shipped name or a YAML file."""
    if taxonomy is None:
        raise DataError(
            f"--label-images {folder}: expected --taxonomy with it, one of {', '.join(shipped_taxonomies())} or a file"
        )
    segmenter = LabelImageSegmenter(folder, load_taxonomy(taxonomy).class_names)
    return Labelling(segmenter.class_names, lambda frame: label_frame(segmenter, frame))
