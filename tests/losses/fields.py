"""One block of voxels with states by hand."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from sparse_s4r.geometry.pyramid import ObservationPyramid
from sparse_s4r.structures import BLOCK, GridSpec, ObservationGrid, ScenePrediction, SparseTSDF, VoxelState

Voxel = tuple[int, int, int]
GRID = GridSpec(0.5, truncation_voxels=3.0)


def observe(states: Mapping[Voxel, VoxelState]) -> ObservationPyramid:
    """Voxels of the block at 0; the others are unknown."""
    block = torch.zeros(BLOCK, BLOCK, BLOCK, dtype=torch.uint8)
    for voxel, state in states.items():
        block[voxel] = int(state)
    return ObservationPyramid(
        ObservationGrid(
            GRID,
            torch.zeros(1, 3, dtype=torch.int64),
            torch.tensor([ObservationGrid.MIXED], dtype=torch.uint8),
            block.view(1, -1),
        )
    )


def make_scan(values: Mapping[Voxel, float]) -> SparseTSDF:
    coordinates = torch.tensor(list(values), dtype=torch.int64).view(-1, 3)
    return SparseTSDF(GRID, coordinates, torch.tensor(list(values.values())), torch.ones(len(values)))


def make_prediction(values: Mapping[Voxel, float], observed: list[bool] | None = None) -> ScenePrediction:
    return ScenePrediction(
        GRID,
        torch.tensor(list(values), dtype=torch.int64).view(-1, 3),
        torch.tensor(list(values.values()), requires_grad=True),
        observed=None if observed is None else torch.tensor(observed),
    )
