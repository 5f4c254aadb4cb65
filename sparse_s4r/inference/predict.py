"""The whole scene in one pass."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from sparse_s4r.geometry.fusion import BAND
from sparse_s4r.geometry.pyramid import ObservationPyramid
from sparse_s4r.inference.chunked import predict_chunked
from sparse_s4r.models.dense_net import DenseNet
from sparse_s4r.models.sites import SceneInput
from sparse_s4r.structures import ObservationGrid, ScenePrediction, SparseTSDF


def predict_scene(
    network: nn.Module, scan: SparseTSDF, observation: ObservationGrid | None = None, keep_observed: bool = True
) -> ScenePrediction:
    """Complete, colour and label a scan, all of it at once.

    Args:
        network: In evaluation mode, on the device to work on.
        scan: The incomplete scan.
        observation: What its frames saw; free space gets no surface. None: not used.
        keep_observed: Keep voxels of the scan whose predicted distance leaves the band.

    Returns:
        The voxels in the band around the predicted surface; tsdf in metres.
        Without gradient.

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
        band = prediction.select(keep)
    return replace(band, occupancy=())
