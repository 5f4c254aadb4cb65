"""The whole scene in one pass."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from sparse_s4r.geometry.fusion import BAND
from sparse_s4r.geometry.hash import VoxelHash
from sparse_s4r.geometry.pyramid import ObservationPyramid
from sparse_s4r.inference.chunked import predict_chunked
from sparse_s4r.models.dense_net import DenseNet
from sparse_s4r.models.sites import SceneInput
from sparse_s4r.structures import Calibration, ObservationGrid, ScenePrediction, SparseTSDF


def predict_scene(
    network: nn.Module,
    scan: SparseTSDF,
    observation: ObservationGrid | None = None,
    keep_observed: bool = True,
    calibration: Calibration | None = None,
) -> ScenePrediction:
    """Complete, colour and label a scan, all of it at once.

    Args:
        network: In evaluation mode, on the device to work on.
        scan: The incomplete scan.
        observation: What its frames saw; free space gets no surface. None: not used.
        keep_observed: Keep voxels of the scan whose predicted distance leaves the band.
        calibration: Of the network's scores; None: taken as they are.

    Returns:
        The voxels in the band around the predicted surface; tsdf in metres. With ``occupancy_probability`` (the
        dense baseline has none) and, if there are classes, ``label_confidence``. Without gradient.

    Raises:
        ValueError: An empty scan, or one without the colour that the network takes in.
    """
    device = next(network.parameters()).device
    free = None if observation is None else ObservationPyramid(observation.to(device))
    with torch.inference_mode():
        scene = SceneInput(scan.to(device), free=free)
        # The dense baseline needs chunks: its memory grows with the volume.
        prediction = predict_chunked(network, scene) if isinstance(network, DenseNet) else network([scene])[0]
        # The same band as the scans': beyond it, averages with free space leave nothing of a distance.
        keep = prediction.tsdf.abs() < BAND * scan.grid.truncation
        if keep_observed and prediction.observed is not None:
            keep |= prediction.observed
        return replace(_with_probabilities(prediction.select(keep), calibration or Calibration()), occupancy=())


def finest_logits(prediction: ScenePrediction) -> Tensor | None:
    """Occupancy logit (N,) of every voxel among the finest level's candidates; None where it does not know them all."""
    if not prediction.occupancy or prediction.occupancy[-1].stride != 1:
        return None
    finest = prediction.occupancy[-1]
    rows = VoxelHash(finest.coordinates).rows(prediction.coordinates)
    return finest.logits[rows] if bool((rows >= 0).all()) else None


def _with_probabilities(prediction: ScenePrediction, calibration: Calibration) -> ScenePrediction:
    occupancy, classes = finest_logits(prediction), prediction.semantic_logits
    probability = None
    if occupancy is not None:
        probability = calibration.occupancy(occupancy)
        if prediction.observed is not None:
            # The calibration is that of completed voxels; of observed ones the network is sure with good reason.
            probability = torch.where(prediction.observed, Calibration().occupancy(occupancy), probability)
    return replace(
        prediction,
        occupancy_probability=probability,
        label_confidence=None if classes is None or not classes.shape[1] else calibration.confidence(classes),
    )
