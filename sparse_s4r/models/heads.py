"""From features at the finest level to distance, colour and class scores."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sparse_s4r.geometry.hash import VoxelHash
from sparse_s4r.structures import LevelOccupancy, ScenePrediction, SparseTSDF

# Colour is predicted as a change of the logit; 0 and 1 have none, so the scan's colour is kept this far inside.
_COLOR_MARGIN = 0.02


class PredictionHeads(nn.Module):
    """Linear heads on the finest features.

    Args:
        width: Channels of the features.
        classes: Semantic classes, 0 = none.
        color: Whether colour is predicted.
        residual: Where the scan has a voxel, predict the change of its tsdf and colour, not the value. Short
            trainings then start from the scan instead of from noise; not in the paper.
    """

    def __init__(self, width: int, classes: int, color: bool, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        self.tsdf = nn.Linear(width, 1)
        self.color = nn.Linear(width, 3) if color else None
        self.semantic = nn.Linear(width, classes) if classes else None
        if residual:
            for head in (self.tsdf, self.color):
                if head is not None:
                    nn.init.zeros_(head.weight)
                    nn.init.zeros_(head.bias)

    def forward(
        self,
        scan: SparseTSDF,
        coordinates: Tensor,
        geometry: Tensor,
        color: Tensor | None,
        semantic: Tensor | None,
        occupancy: tuple[LevelOccupancy, ...],
    ) -> ScenePrediction:
        """The prediction at ``coordinates`` (N, 3) from features (N, width) of each decoder."""
        rows = VoxelHash(scan.coordinates).rows(coordinates)
        observed = rows >= 0
        tsdf = self.tsdf(geometry).squeeze(1) * scan.grid.truncation
        if self.residual:
            tsdf = tsdf + torch.where(observed, scan.tsdf.to(tsdf)[rows], 0)
        return ScenePrediction(
            scan.grid,
            coordinates,
            tsdf,
            None if self.color is None or color is None else self._color(scan, rows, color),
            None if self.semantic is None or semantic is None else self.semantic(semantic),
            observed,
            occupancy,
        )

    def _color(self, scan: SparseTSDF, rows: Tensor, features: Tensor) -> Tensor:
        if self.color is None:
            raise ValueError("color: this model has no colour head")
        change = self.color(features)
        if self.residual and scan.color is not None:
            base = torch.logit(scan.color.to(change)[rows], eps=_COLOR_MARGIN)
            change = change + torch.where((rows >= 0)[:, None], base, 0)
        return torch.sigmoid(change)
