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
        residual: Where the scan has a voxel, predict the change of its tsdf, not the value. Short trainings then start
            from the scan instead of from noise; not in the paper. Changes and values have heads of their own: changes
            are small, and start at none.
        residual_color: The same for colour.
    """

    def __init__(self, width: int, classes: int, color: bool, residual: bool, residual_color: bool) -> None:
        super().__init__()
        self.tsdf = nn.Linear(width, 1)
        self.color = nn.Linear(width, 3) if color else None
        self.semantic = nn.Linear(width, classes) if classes else None
        self.tsdf_change = _no_change(width, 1) if residual else None
        self.color_change = _no_change(width, 3) if residual_color and color else None

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
        return ScenePrediction(
            scan.grid,
            coordinates,
            self._tsdf(scan, rows, geometry),
            None if color is None else self._color(scan, rows, color),
            None if self.semantic is None or semantic is None else self.semantic(semantic),
            rows >= 0,
            occupancy,
        )

    def _tsdf(self, scan: SparseTSDF, rows: Tensor, features: Tensor) -> Tensor:
        value: Tensor = self.tsdf(features).squeeze(1) * scan.grid.truncation
        if self.tsdf_change is None:
            return value
        change = self.tsdf_change(features).squeeze(1) * scan.grid.truncation
        return torch.where(rows >= 0, scan.tsdf.to(value)[rows] + change, value)

    def _color(self, scan: SparseTSDF, rows: Tensor, features: Tensor) -> Tensor | None:
        if self.color is None:
            return None
        value = self.color(features)
        if self.color_change is not None and scan.color is not None:
            base = torch.logit(scan.color.to(value)[rows], eps=_COLOR_MARGIN)
            value = torch.where((rows >= 0)[:, None], base + self.color_change(features), value)
        return torch.sigmoid(value)


def _no_change(width: int, channels: int) -> nn.Linear:
    head = nn.Linear(width, channels)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head
