"""Labels of an incomplete and of a full scan, judged on either: part-to-part, full-to-full, partial-to-full."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sparse_s4r.data.prediction_format import load_prediction_of, predicted_scan
from sparse_s4r.data.scene_format import ScanName, Scene, Split
from sparse_s4r.evaluation.labels import VoxelConfusion, voxel_confusion
from sparse_s4r.evaluation.reference import NARROW, WIDE
from sparse_s4r.evaluation.voxel_scores import labels_at, labels_of
from sparse_s4r.geometry.hash import VoxelHash
from sparse_s4r.geometry.lifting import lift_labels
from sparse_s4r.structures import IGNORE_LABEL, RGBDFrame, SceneTruth, SparseTSDF
from sparse_s4r.structures.errors import DataError

LIFTED, PREDICTION = "2D labels lifted", "prediction"


@dataclass(frozen=True)
class Protocol:
    """Which scan is given to the method, and which one's surface it is judged on; table 5 of the paper.

    Attributes:
        name: As the paper calls it.
        given: Scan that the labels are made from.
        judged: Scan on whose surface they are judged.
    """

    name: str
    given: ScanName
    judged: ScanName


PROTOCOLS = (
    Protocol("part-to-part", "input", "input"),
    Protocol("full-to-full", "target", "target"),
    Protocol("partial-to-full", "input", "target"),
)
_FRAMES: dict[ScanName, tuple[Split, ...]] = {"input": ("input",), "target": ("input", "target")}


@dataclass(frozen=True)
class ProtocolScores:
    """Labels of one method on one scene in one protocol.

    Attributes:
        method: Its name.
        scene: Name of the scene's folder.
        protocol: Name of the protocol.
        narrow: Over the scan's voxels with a distance below one voxel and a known label.
        wide: The same below three voxels, all of the scan's band.
    """

    method: str
    scene: str
    protocol: str
    narrow: VoxelConfusion
    wide: VoxelConfusion


def score_protocols(
    scene: Scene,
    predictions: Mapping[ScanName, Path],
    label_set: str | None = None,
    depth_max: float = 6.0,
) -> Iterator[ProtocolScores]:
    """Scores in every protocol of labels lifted from 2D, and of the predictions that there are.

    Args:
        scene: The scene; with classes.
        predictions: Folder of the prediction made of the "input" scan, and of that of the "target" scan; either may be
            absent.
        label_set: Labels that are lifted; None: the scene's own.
        depth_max: Depth beyond which frames do not vote, metres.

    Raises:
        DataError: A scene without classes, a label set with others, or a prediction of another scene or scan.
    """
    names = scene.class_names
    if names is None:
        raise DataError(f"{scene.path}: expected a scene with labels, got none; import it with --labels")
    if scene.class_names_of(label_set) != names:
        raise DataError(
            f"{scene.path}: label set {label_set}: expected the scene's classes, {list(names)}, got "
            f"{list(scene.class_names_of(label_set) or ())}; label the scene with --taxonomy of its classes"
        )
    truth = scene.load_truth()
    scans: dict[ScanName, SparseTSDF] = {"input": scene.load_scan("input"), "target": scene.load_scan("target")}
    labels = {which: true_labels(scene, scan, truth) for which, scan in scans.items()}
    for which, scan in scans.items():
        frames = (scene.load_frame(name, labels=label_set) for name in scene.frame_names(*_FRAMES[which]))
        lifted = lift_labels(labelled_frames(frames), scene.grid, scan.coordinates, len(names), depth_max=depth_max)
        fields = [(LIFTED, scan.coordinates, lifted.labels)]
        if which in predictions:
            fields.append((PREDICTION, *_predicted(predictions[which], which, scene)))
        for method, coordinates, found in fields:
            for protocol in (p for p in PROTOCOLS if p.given == which):
                judged, true = scans[protocol.judged], labels[protocol.judged]
                assert true is not None  # The scene has classes.
                narrow, wide = (confusion(coordinates, found, judged, true, len(names), t) for t in (NARROW, WIDE))
                yield ProtocolScores(method, scene.path.resolve().name, protocol.name, narrow, wide)


def confusion(
    coordinates: Tensor, labels: Tensor, judged: SparseTSDF, true: Tensor, classes: int, threshold: float
) -> VoxelConfusion:
    """Labels of a field on the surface of a scan.

    Args:
        coordinates: (P, 3) int64 voxels of the field.
        labels: (P,) int64 their classes, ``IGNORE_LABEL`` for none.
        judged: The scan.
        true: (N,) int64 classes of its voxels; those with ``IGNORE_LABEL`` take no part.
        classes: Number of classes.
        threshold: Distance in voxels below which a voxel is surface.
    """
    near = judged.tsdf.abs() < threshold * judged.grid.voxel_size
    row = VoxelHash(coordinates).rows(judged.coordinates[near])
    found = torch.full(row.shape, IGNORE_LABEL)
    found[row >= 0] = labels.long()[row[row >= 0]]
    return voxel_confusion(found, true[near], classes)


def true_labels(scene: Scene, field: SparseTSDF, truth: SceneTruth | None) -> Tensor | None:
    """Classes (N,) int64 to judge the voxels of a scan with, ``IGNORE_LABEL`` for none.

    The truth's at the voxel or around it (``labels_at``); in scenes without, the scene's own label images lifted from
    all training frames. None for a scene that has neither.
    """
    if truth is not None and bool((truth.labels != IGNORE_LABEL).any()):
        return labels_at(truth, field.coordinates)
    if scene.class_names is None:
        return None
    frames = (scene.load_frame(name) for name in scene.frame_names("input", "target"))
    return lift_labels(labelled_frames(frames), scene.grid, field.coordinates, len(scene.class_names)).labels


def _predicted(folder: Path, which: ScanName, scene: Scene) -> tuple[Tensor, Tensor]:
    """Voxels and classes of a prediction that must have been made of the scan ``which``."""
    made_of = predicted_scan(folder)
    if made_of != which:
        raise DataError(
            f"{folder}: expected a prediction made of the {which} scan, got one of the {made_of} scan; run s4r predict "
            f"{scene.path} --scan {which}"
        )
    prediction, _ = load_prediction_of(folder, scene)
    labels = labels_of(prediction)
    if labels is None:
        raise DataError(
            f"{folder}: expected a prediction with labels, got none; predict with weights that have classes"
        )
    return prediction.coordinates, labels


def labelled_frames(frames: Iterator[RGBDFrame]) -> Iterator[RGBDFrame]:
    """Those of the frames that have labels."""
    return (frame for frame in frames if frame.labels is not None)
