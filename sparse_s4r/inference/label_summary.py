"""What a label set holds, in figures and as a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sparse_s4r.data.import_options import ImportObserver
from sparse_s4r.data.label_sets import LabelSetWriter
from sparse_s4r.data.scene_format import Scene
from sparse_s4r.inference.label_overview import LabelOverview
from sparse_s4r.segmentation.taxonomy import Taxonomy
from sparse_s4r.structures import IGNORE_LABEL


@dataclass(frozen=True)
class LabelSummary:
    """Figures of a label set.

    Attributes:
        scene: Name of the scene.
        path: Folder of the set.
        class_names: Names of its K classes.
        frames: Number of frames.
        newly: How many of them were labelled just now.
        shares: Share of all pixels per class, in [0, 1].
        unlabelled: Share of pixels without a label.
        confidence: Mean confidence of the labelled pixels; NaN without such.
        confusion: (K, K + 1) int64 pixels, the scene's own class by the set's, no label last; None where the scene has
            no labels of the same classes.
        overview: The picture.
    """

    scene: str
    path: Path
    class_names: tuple[str, ...]
    frames: int
    newly: int
    shares: tuple[float, ...]
    unlabelled: float
    confidence: float
    confusion: Tensor | None
    overview: Path


def summarise(
    scene: Scene, labels: LabelSetWriter, taxonomy: Taxonomy, newly: int, observer: ImportObserver
) -> LabelSummary:
    """Read a whole label set back, and draw its overview.

    Args:
        scene: The scene.
        labels: A set of it in which every frame is labelled.
        taxonomy: Gives the colours of the classes.
        newly: How many frames were labelled just now.
        observer: Told of the frames as they are read.

    Raises:
        DataError: A file of the set or of the scene that is missing or damaged.
    """
    names, count = scene.frame_names(), len(labels.class_names)
    compared = scene.class_names == labels.class_names
    confusion = torch.zeros(count, count + 1, dtype=torch.int64)
    pixels = torch.zeros(count + 1, dtype=torch.int64)
    confidence = 0.0
    overview = LabelOverview(f"{scene.name}: {labels.name}", taxonomy, len(names))
    observer.stage("read back", len(names))
    for index, name in enumerate(names):
        found, sure = labels.load(name, (scene.camera(name).width, scene.camera(name).height))
        column = torch.where(found == IGNORE_LABEL, count, found)
        pixels += torch.bincount(column.flatten(), minlength=count + 1)
        confidence += float(sure[found != IGNORE_LABEL].double().sum())
        if compared or overview.wants(index):
            frame = scene.load_frame(name)
            if frame.labels is not None and compared:
                confusion += _confusion(frame.labels, column, count)
            overview.add(index, frame.color, found, sure)
        observer.advance()
    total, labelled = max(1, int(pixels.sum())), int(pixels[:-1].sum())
    shares = tuple((pixels[:-1].double() / total).tolist())
    return LabelSummary(
        scene=scene.name,
        path=labels.path,
        class_names=labels.class_names,
        frames=len(names),
        newly=newly,
        shares=shares,
        unlabelled=1.0 - labelled / total,
        confidence=confidence / labelled if labelled else math.nan,
        confusion=confusion if compared and int(confusion.sum()) else None,
        overview=labels.write_overview(overview.draw(shares)),
    )


def _confusion(own: Tensor, column: Tensor, count: int) -> Tensor:
    # A class that the scene does not have takes no part: `s4r check` names it.
    known = own < count
    index = own[known] * (count + 1) + column[known]
    return torch.bincount(index, minlength=count * (count + 1)).view(count, count + 1)
