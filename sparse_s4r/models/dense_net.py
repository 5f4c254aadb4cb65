"""The dense network of the paper on the whole box of a scene or chunk: the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparse_s4r.geometry.hash import VoxelHash
from sparse_s4r.models.dense_parts import DenseDecoder, DenseEncoder, DenseResidualBlock
from sparse_s4r.models.scene_net import SceneNetShape
from sparse_s4r.models.sites import SceneInput, expect_scenes
from sparse_s4r.structures import CELL, LevelOccupancy, SampleBox, ScenePrediction, SparseTSDF


@dataclass(frozen=True)
class DenseFields:
    """Dense outputs over a box; the first axes are (X, Y, Z).

    Attributes:
        tsdf: (X, Y, Z) metres, not clamped.
        occupancy: (X, Y, Z) logits of the voxel meeting the surface band.
        color: (X, Y, Z, 3) RGB in [0, 1], or None.
        semantic_logits: (X, Y, Z, K), or None.
    """

    tsdf: Tensor
    occupancy: Tensor
    color: Tensor | None
    semantic_logits: Tensor | None


class DenseNet(nn.Module):
    """Two encoders, a fused bottleneck at stride 16 and three decoders of dense 3D convolutions.

    Memory and time grow with the volume of the box, which is the whole scene's where no crop is given.

    Args:
        shape: Sizes and switches; ``reach``, ``voxel_budget`` and ``residual`` have no meaning here.

    Source: S4R section 3 (64x64x128 chunks, codes of 128x8x4x4 per encoder).
    """

    def __init__(self, shape: SceneNetShape) -> None:
        super().__init__()
        self.shape = shape
        widths, encoders = shape.widths, 2 if shape.color_encoder else 1
        self.geometry_encoder = DenseEncoder(2, widths, shape.blocks)
        self.color_encoder = DenseEncoder(4, widths, shape.blocks) if shape.color_encoder else None
        self.fusion = nn.Sequential(
            nn.Conv3d(encoders * widths[-1], widths[-1], 3, padding=1, bias=False),
            nn.BatchNorm3d(widths[-1]),
            nn.ReLU(),
            *[DenseResidualBlock(widths[-1]) for _ in range(shape.bottleneck_blocks)],
        )
        # Distance and occupancy; colour; class scores.
        self.geometry_decoder = DenseDecoder(widths, encoders, shape.blocks, 2)
        self.color_decoder = DenseDecoder(widths, encoders, shape.blocks, 3) if shape.color_decoder else None
        self.semantic_decoder = DenseDecoder(widths, encoders, shape.blocks, shape.classes) if shape.classes else None

    def forward(self, scenes: Sequence[SceneInput]) -> list[ScenePrediction]:
        """Predict each scene over its box (without one: the scan's bounds); see ``SceneNet.forward``."""
        expect_scenes(scenes, self.shape.color_encoder)
        return [self._predict(scene) for scene in scenes]

    def fields(self, scan: SparseTSDF, box: SampleBox) -> DenseFields:
        """Dense outputs over ``box``, whose bounds are multiples of 16 voxels.

        Raises:
            ValueError: Bounds off that lattice, or a scan without the colour that the network takes in.
        """
        lower, upper = box
        if bool((lower % CELL).any()) or bool((upper % CELL).any()):
            raise ValueError(f"box: expected multiples of {CELL} voxels, got {lower.tolist()} to {upper.tolist()}")
        levels = self.geometry_encoder(self._geometry_input(scan, box))
        if self.color_encoder is not None:
            colors = self.color_encoder(self._color_input(scan, box))
            levels = [torch.cat(pair, dim=1) for pair in zip(levels, colors, strict=True)]
        code, skips = self.fusion(levels[-1]), levels[:-1]
        geometry = self.geometry_decoder(code, skips)[0]
        color = None if self.color_decoder is None else self.color_decoder(code, skips)[0]
        logits = None if self.semantic_decoder is None else self.semantic_decoder(code, skips)[0]
        return DenseFields(
            geometry[0] * scan.grid.truncation,
            geometry[1],
            None if color is None else torch.sigmoid(color).permute(1, 2, 3, 0),
            None if logits is None else logits.permute(1, 2, 3, 0),
        )

    def _geometry_input(self, scan: SparseTSDF, box: SampleBox) -> Tensor:
        features = torch.stack([scan.tsdf / scan.grid.truncation, torch.ones_like(scan.tsdf)], dim=1)
        return self._scatter(scan, features, box)

    def _color_input(self, scan: SparseTSDF, box: SampleBox) -> Tensor:
        if scan.color is None:
            raise ValueError("scan: expected colour, got none; train and use a model with color_encoder: false")
        return self._scatter(scan, torch.cat([2 * scan.color - 1, torch.ones_like(scan.color[:, :1])], dim=1), box)

    def _scatter(self, scan: SparseTSDF, features: Tensor, box: SampleBox) -> Tensor:
        """Features (N, C) of the scan's voxels as a dense batch (1, C, X, Y, Z), zeros elsewhere."""
        lower, upper = (bound.to(scan.coordinates.device) for bound in box)
        weight = next(self.parameters())
        inside = ((scan.coordinates >= lower) & (scan.coordinates < upper)).all(dim=1)
        x, y, z = (scan.coordinates[inside] - lower).unbind(1)
        dense = weight.new_zeros(features.shape[1], *(upper - lower).tolist())
        dense[:, x, y, z] = features[inside].to(weight).T
        return dense.unsqueeze(0)

    def _predict(self, scene: SceneInput) -> ScenePrediction:
        box = scan_box(scene.scan) if scene.box is None else scene.box
        return sparsify(self.fields(scene.scan, box), scene, box, self.shape.keep_observed)


def scan_box(scan: SparseTSDF) -> SampleBox:
    """The smallest box on the coarse lattice that holds all voxels of ``scan``."""
    lower = torch.div(scan.coordinates.amin(0), CELL, rounding_mode="floor") * CELL
    upper = (torch.div(scan.coordinates.amax(0), CELL, rounding_mode="floor") + 1) * CELL
    return lower, upper


def sparsify(fields: DenseFields, scene: SceneInput, box: SampleBox, keep_observed: bool) -> ScenePrediction:
    """The voxels of ``fields`` that are predicted occupied, of the guide, or (``keep_observed``) of the scan."""
    lower = box[0].to(fields.tsdf.device)
    cells = torch.cartesian_prod(*(torch.arange(size, device=lower.device) for size in fields.tsdf.shape)) + lower
    logits = fields.occupancy.flatten()
    observed = VoxelHash(scene.scan.coordinates).rows(cells) >= 0
    keep = logits > 0
    if keep_observed:
        keep = keep | observed
    if scene.free is not None:
        keep = keep & ~scene.free.entirely_free(cells, 1)
    if scene.guide is not None:
        keep = keep | scene.guide.surface(cells, 1)
    return ScenePrediction(
        scene.scan.grid,
        cells[keep],
        fields.tsdf.flatten()[keep],
        None if fields.color is None else fields.color.flatten(0, 2)[keep],
        None if fields.semantic_logits is None else fields.semantic_logits.flatten(0, 2)[keep],
        observed[keep],
        (LevelOccupancy(1, cells, logits),),
    )
