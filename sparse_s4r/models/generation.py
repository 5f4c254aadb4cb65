"""The cells that a decoder generates at a level."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sparse_s4r.models.decoder import DecoderLevel
from sparse_s4r.models.sites import SceneInput, possible
from sparse_s4r.sparse.tensor import VoxelTensor


class Generation:
    """All cells of a level in which surface is possible: found once, their features as often as they are asked for.

    Args:
        step: The decoder's step to the level.
        scenes: Say where surface is possible.
    """

    def __init__(self, step: DecoderLevel, scenes: Sequence[SceneInput]) -> None:
        self._step = step
        self._scenes = scenes
        self._allowed: Tensor | None = None
        self._sites: VoxelTensor | None = None

    def __call__(self, geometry: VoxelTensor, skip: VoxelTensor) -> VoxelTensor:
        """Refined features of the children of ``geometry``, with the encoders' of ``skip``."""
        raised = self._step.up(geometry)
        if self._allowed is None:
            stride = raised.stride
            self._allowed = per_scene(self._scenes, raised, lambda scene, cells: possible(scene, cells, stride))
        raised = raised.prune(self._allowed)
        if self._sites is None:
            self._sites = without_features(raised)
        # What is known of the sites, such as their neighbours, serves every time.
        raised = self._sites.with_features(raised.features)
        return self._step.refine(raised, raised.lookup(skip))


def without_features(voxels: VoxelTensor) -> VoxelTensor:
    """The sites of ``voxels`` alone: features (N, 0) that hold no memory."""
    return voxels.with_features(voxels.features.new_zeros(len(voxels.features), 0))


def per_scene(scenes: Sequence[SceneInput], cells: VoxelTensor, rule: Callable[[SceneInput, Tensor], Tensor]) -> Tensor:
    """The bool mask (N,) that ``rule`` gives of each scene's own cells (M, 3)."""
    result = torch.zeros(len(cells.coordinates), dtype=torch.bool, device=cells.coordinates.device)
    for scene, rows in zip(scenes, rows_per_scene(cells, len(scenes)), strict=True):
        result[rows] = rule(scene, cells.coordinates[rows, 1:])
    return result


def rows_per_scene(cells: VoxelTensor, scenes: int) -> list[Tensor | slice]:
    """The rows of each scene's cells; of a single one all, as a slice, which copies nothing and has no gradient."""
    if scenes == 1:
        return [slice(None)]
    batch = cells.coordinates[:, 0]
    return [(batch == index).nonzero().squeeze(1) for index in range(scenes)]
