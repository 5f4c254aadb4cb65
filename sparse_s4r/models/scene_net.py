"""SceneNet: the sparse network of S4R."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparse_s4r.models.checkpointing import recomputed
from sparse_s4r.models.decoder import DecoderLevel
from sparse_s4r.models.encoder import Encoder
from sparse_s4r.models.generation import Generation, per_scene, rows_per_scene, without_features
from sparse_s4r.models.heads import PredictionHeads
from sparse_s4r.models.sites import SceneInput, expect_scenes, possible, reachable_cells, within_budget
from sparse_s4r.sparse.layers import Convolution, Pointwise, ResidualBlock
from sparse_s4r.sparse.sites import storage_order
from sparse_s4r.sparse.tensor import VoxelTensor
from sparse_s4r.structures import LevelOccupancy, ScenePrediction

# One level's occupancy, per scene.
LevelOccupancyBatch = list[LevelOccupancy]

# (coordinates (N, 4), features (N, C), stride) -> voxels of the engine in use.
MakeVoxels = Callable[[Tensor, Tensor, int], VoxelTensor]


@dataclass(frozen=True)
class SceneNetShape:
    """The numbers that fix a SceneNet's weights and sites.

    Attributes:
        widths: Channels per level, fine to coarse; 5 levels reach stride 16.
        blocks: Residual blocks per level in encoders and decoders.
        bottleneck_blocks: Residual blocks after the fusion at the coarsest level.
        classes: Number of semantic classes; 0 leaves the semantic decoder out.
        color_encoder: Whether colour goes in.
        color_decoder: Whether colour comes out.
        reach: Cells of the coarsest level around observed surface in which surface may appear.
        voxel_budget: Most candidate cells that a level of the decoder generates per scene.
        training_budget: The same while training, when wrong guesses are many and activations are kept.
        keep_observed: Always keep cells that the scan has voxels in.
        residual: Predict tsdf and colour as a change of the scan's where it has a voxel.
        keep_probability: Occupancy probability from which a cell is kept when predicting; training keeps one half.
    """

    widths: tuple[int, ...]
    blocks: int
    bottleneck_blocks: int
    classes: int
    color_encoder: bool
    color_decoder: bool
    reach: int
    voxel_budget: int
    training_budget: int
    keep_observed: bool
    residual: bool
    keep_probability: float = 0.5


class SceneNet(nn.Module):
    """Completed geometry, colour and semantics on the near-surface voxels of whole scenes.

    Two encoders work on the scan's voxels. At the coarsest level their features meet on all cells within reach
    of the scan. From there the geometry decoder generates finer cells, predicts their occupancy and prunes; the
    colour and semantic decoders follow on its sites.

    Args:
        shape: Sizes and switches.
        make_voxels: Makes the engine's voxel tensors.
        recompute: In training keep only what goes in and out of each level, and compute the rest again for the
            gradient: less memory, more time, the same result.

    Source: S4R section 3 and figure 2; the occupancy heads and generative decoding follow SG-NN section 3.
    """

    def __init__(self, shape: SceneNetShape, make_voxels: MakeVoxels, recompute: bool = False) -> None:
        super().__init__()
        self.shape = shape
        self.recompute = recompute
        self.make_voxels = make_voxels
        widths, encoders = shape.widths, 2 if shape.color_encoder else 1
        # Features of the geometry encoder: tsdf / truncation, and 1 so that a voxel at the surface is not silent.
        self.geometry_encoder = Encoder(2, widths, shape.blocks)
        self.color_encoder = Encoder(4, widths, shape.blocks) if shape.color_encoder else None
        self.fusion = nn.Sequential(
            Convolution(encoders * widths[-1], widths[-1]),
            Pointwise(nn.Sequential(nn.BatchNorm1d(widths[-1]), nn.ReLU())),
            *[ResidualBlock(widths[-1]) for _ in range(shape.bottleneck_blocks)],
        )
        self.occupancy = nn.ModuleList(_occupancy_head(width) for width in widths)
        self.geometry_decoder = self._decoder(encoders)
        self.color_decoder = self._decoder(encoders) if shape.color_decoder else None
        self.semantic_decoder = self._decoder(encoders) if shape.classes else None
        # What does not go in must not come in by the residual either.
        residual_color = shape.residual and shape.color_encoder
        self.heads = PredictionHeads(widths[0], shape.classes, shape.color_decoder, shape.residual, residual_color)

    def _decoder(self, encoders: int) -> nn.ModuleList:
        widths = self.shape.widths
        return nn.ModuleList(
            DecoderLevel(coarse, fine, encoders * fine, self.shape.blocks)
            for fine, coarse in itertools.pairwise(widths)
        )

    def forward(self, scenes: Sequence[SceneInput]) -> list[ScenePrediction]:
        """Predict whole scenes together.

        Args:
            scenes: One or more scenes; batch normalisation in training sees the voxels of all.

        Returns:
            One prediction per scene, tsdf in metres (not clamped), differentiable in the weights.

        Raises:
            ValueError: No scene, a scan without voxels, or without the colour that the network takes in.
        """
        expect_scenes(scenes, self.shape.color_encoder)
        skips = self._encode(scenes)
        geometry = self._bottleneck(scenes, skips[-1])
        logits = self.occupancy[-1](geometry.features).squeeze(1)
        levels = [self._level_occupancy(scenes, geometry, logits)]
        geometry = geometry.prune(self._keep(scenes, geometry, logits, skips[-1]))
        attributes = [geometry for decoder in self._attribute_decoders()]
        finest = max(scene.finest for scene in scenes)
        for level in reversed(range(len(skips) - 1)):
            if 2**level < finest:
                return self._without_voxels(scenes, levels)
            geometry, attributes, occupancy = self._decode(scenes, level, skips[level], geometry, attributes)
            levels.append(occupancy)
        return self._predictions(scenes, geometry, attributes, levels)

    def _encode(self, scenes: Sequence[SceneInput]) -> list[VoxelTensor]:
        """Both encoders' features, stacked, per level."""
        weight = self.heads.tsdf.weight
        coordinates = _with_batch([scene.scan.coordinates for scene in scenes])
        order = storage_order(coordinates)
        coordinates = coordinates[order]
        tsdf = torch.cat([scene.scan.tsdf / scene.scan.grid.truncation for scene in scenes]).to(weight)[order]
        ones = torch.ones_like(tsdf)
        voxels = self.make_voxels(coordinates, torch.stack([tsdf, ones], dim=1), 1)
        levels: list[VoxelTensor] = self.geometry_encoder(voxels, self.recompute)
        if self.color_encoder is None:
            return levels
        # The scenes' colour was checked above.
        color = torch.cat([scene.scan.color for scene in scenes if scene.scan.color is not None]).to(weight)[order]
        color_voxels = voxels.with_features(torch.cat([2 * color - 1, ones[:, None]], dim=1))
        colors = self.color_encoder(color_voxels, self.recompute)
        return [
            one.with_features(torch.cat([one.features, other.features], dim=1))
            for one, other in zip(levels, colors, strict=True)
        ]

    def _bottleneck(self, scenes: Sequence[SceneInput], coarsest: VoxelTensor) -> VoxelTensor:
        """Fused features on all coarsest cells in which surface is possible."""
        stride = coarsest.stride
        cells = []
        for scene in scenes:
            reachable = reachable_cells(scene.scan, stride, self.shape.reach)
            cells.append(reachable[possible(scene, reachable, stride)])
        coordinates = _with_batch(cells)
        # All finer cells come from these, and keep their order.
        coordinates = coordinates[storage_order(coordinates, stride)]
        empty = coarsest.features.new_zeros(len(coordinates), 0)
        sites = self.make_voxels(coordinates, empty, stride)
        fused: VoxelTensor = self.fusion(sites.with_features(sites.lookup(coarsest)))
        return fused

    def _attribute_decoders(self) -> list[nn.ModuleList]:
        return [decoder for decoder in (self.color_decoder, self.semantic_decoder) if decoder is not None]

    def _decode(
        self,
        scenes: Sequence[SceneInput],
        level: int,
        skip: VoxelTensor,
        geometry: VoxelTensor,
        attributes: Sequence[VoxelTensor],
    ) -> tuple[VoxelTensor, list[VoxelTensor], LevelOccupancyBatch]:
        """Generate the cells of ``level``, keep the occupied ones, and bring the attributes to them."""
        step = _level(self.geometry_decoder, level)
        generation = Generation(step, scenes)
        candidates = recomputed([step], generation, self.recompute, geometry, skip)
        logits = self.occupancy[level](candidates.features).squeeze(1)
        occupancy = self._level_occupancy(scenes, candidates, logits)
        keep = self._keep(scenes, candidates, logits, skip)
        kept = candidates.prune(keep)
        # On the kept sites, whatever the engine makes of pruning: the dense baseline drops nothing.
        sites, skip_kept = without_features(kept), kept.lookup(skip)
        followers = [
            recomputed([follow], follow.follow, self.recompute, coarse, sites, skip_kept)
            for follow, coarse in zip(
                (_level(decoder, level) for decoder in self._attribute_decoders()), attributes, strict=True
            )
        ]
        return kept, followers, occupancy

    def _keep(self, scenes: Sequence[SceneInput], cells: VoxelTensor, logits: Tensor, observed: VoxelTensor) -> Tensor:
        """Cells to go on with: predicted occupied, of the guide, or of the scan; never more than the budget."""
        certain = torch.zeros_like(logits, dtype=torch.bool)
        if any(scene.guide is not None for scene in scenes):
            certain = certain | per_scene(scenes, cells, lambda scene, at: _guided(scene, at, cells.stride))
        if self.shape.keep_observed:
            ones = torch.ones_like(observed.features[:, :1])
            certain = certain | (cells.lookup(observed.with_features(ones)).squeeze(1) > 0)
        budget = self.shape.training_budget if self.training else self.shape.voxel_budget
        if cells.stride > 1:
            # Every kept cell has eight children, which are the next level's candidates.
            budget //= 8
        ranking = torch.where(certain, torch.inf, logits)
        keep = certain | (logits > (0.0 if self.training else _logit(self.shape.keep_probability)))
        wanted, allowed = int(keep.sum()), budget * len(scenes)
        if wanted > allowed and not self.training:
            warnings.warn(
                f"voxel budget: of {wanted:,} cells at stride {cells.stride} only {allowed:,} are kept; "
                "raise model.voxel_budget for the whole scene",
                stacklevel=2,
            )
        return within_budget(ranking, keep, allowed)

    def _level_occupancy(self, scenes: Sequence[SceneInput], cells: VoxelTensor, logits: Tensor) -> LevelOccupancyBatch:
        return [
            LevelOccupancy(cells.stride, cells.coordinates[rows, 1:], logits[rows])
            for rows in rows_per_scene(cells, len(scenes))
        ]

    def _predictions(
        self,
        scenes: Sequence[SceneInput],
        geometry: VoxelTensor,
        attributes: Sequence[VoxelTensor],
        levels: Sequence[LevelOccupancyBatch],
    ) -> list[ScenePrediction]:
        features = [voxels.features for voxels in attributes]
        color_features = features.pop(0) if self.color_decoder is not None else None
        semantic_features = features.pop(0) if self.semantic_decoder is not None else None
        predictions = []
        for index, rows in enumerate(rows_per_scene(geometry, len(scenes))):
            predictions.append(
                self.heads(
                    scenes[index].scan,
                    geometry.coordinates[rows, 1:],
                    geometry.features[rows],
                    None if color_features is None else color_features[rows],
                    None if semantic_features is None else semantic_features[rows],
                    tuple(level[index] for level in levels),
                )
            )
        return predictions

    def _without_voxels(
        self, scenes: Sequence[SceneInput], levels: Sequence[LevelOccupancyBatch]
    ) -> list[ScenePrediction]:
        """The occupancy of the levels that were decoded, for scenes that end before the finest one."""
        none = self.heads.tsdf.weight.new_zeros(0, self.shape.widths[0])
        color = None if self.color_decoder is None else none
        semantic = None if self.semantic_decoder is None else none
        return [
            self.heads(
                scene.scan,
                scene.scan.coordinates[:0],
                none,
                color,
                semantic,
                tuple(level[index] for level in levels),
            )
            for index, scene in enumerate(scenes)
        ]


def _level(decoder: nn.ModuleList, level: int) -> DecoderLevel:
    """A decoder's step to ``level``, as the type that it is."""
    step = decoder[level]
    if not isinstance(step, DecoderLevel):
        raise TypeError(f"decoder: expected DecoderLevel at {level}, got {type(step).__name__}")
    return step


def _occupancy_head(width: int) -> nn.Linear:
    """A head that starts at "empty": one that starts undecided floods the first steps with cells."""
    head = nn.Linear(width, 1)
    nn.init.zeros_(head.weight)
    nn.init.constant_(head.bias, -2.0)
    return head


def _with_batch(coordinates: Sequence[Tensor]) -> Tensor:
    """Coordinates (N, 4) of several scenes, the scene's number first."""
    return torch.cat([torch.nn.functional.pad(rows, (1, 0), value=index) for index, rows in enumerate(coordinates)])


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def _guided(scene: SceneInput, cells: Tensor, stride: int) -> Tensor:
    if scene.guide is None:
        return torch.zeros(len(cells), dtype=torch.bool, device=cells.device)
    return scene.guide.surface(cells, stride)
