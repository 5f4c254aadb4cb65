"""The dense baseline on scenes larger than a chunk: overlapping chunks, blended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from sparse_s4r.geometry.keys import pack_keys, unpack_keys
from sparse_s4r.models.dense_net import DenseNet, scan_box, sparsify
from sparse_s4r.models.sites import SceneInput
from sparse_s4r.structures import CELL, SampleBox, ScenePrediction, SparseTSDF

# The paper's chunk, x, y, z in voxels; z is up.
CHUNK = (64, 64, 128)


def predict_chunked(network: DenseNet, scene: SceneInput, chunk: tuple[int, int, int] = CHUNK) -> ScenePrediction:
    """Predict chunk by chunk and blend where chunks overlap by half.

    A voxel's values are the mean over the chunks that predict it, weighted by its distance to each chunk's border.

    Args:
        network: In evaluation mode.
        scene: Its ``box`` is not used.
        chunk: Edges in voxels, multiples of 32.

    Returns:
        The union of the chunks' voxels. Without gradient.

    Raises:
        ValueError: An empty scan, or edges that are no multiples of 32.
    """
    if any(edge % (2 * CELL) for edge in chunk):
        raise ValueError(f"chunk: expected multiples of {2 * CELL} voxels, got {chunk}")
    if not len(scene.scan):
        raise ValueError("scan: expected at least one voxel, got none; is the scene empty?")
    parts, weights = [], []
    with torch.inference_mode():
        for box in chunk_boxes(scene.scan, chunk):
            part = replace(scene, box=box)
            prediction = sparsify(network.fields(scene.scan, box), part, box, network.shape.keep_observed)
            parts.append(prediction)
            weights.append(_border_weight(prediction.coordinates, box))
        return _blend(parts, torch.cat(weights))


def chunk_boxes(scan: SparseTSDF, chunk: tuple[int, int, int]) -> Iterator[SampleBox]:
    """Boxes that cover the scan, each overlapping the next by half, without those that hold none of it."""
    lower, upper = scan_box(scan)
    size = torch.tensor(chunk, device=lower.device)
    step = size // 2
    counts = torch.div(upper - lower - size + step - 1, step, rounding_mode="floor").clamp(min=0) + 1
    for index in torch.cartesian_prod(*(torch.arange(int(count), device=lower.device) for count in counts)):
        start = lower + index * step
        if bool(((scan.coordinates >= start) & (scan.coordinates < start + size)).all(dim=1).any()):
            yield start, start + size


def _border_weight(coordinates: Tensor, box: SampleBox) -> Tensor:
    """Product over the axes of a tent that is 1 in the middle of the box and small, not 0, at its border."""
    lower, upper = box
    middle, half = (lower + upper - 1) / 2, (upper - lower) / 2
    return (1 - (coordinates - middle).abs() / half).prod(dim=1)


def _blend(parts: list[ScenePrediction], weights: Tensor) -> ScenePrediction:
    keys, rows = torch.unique(pack_keys(torch.cat([part.coordinates for part in parts])), return_inverse=True)
    total = weights.new_zeros(len(keys)).index_add_(0, rows, weights)

    def mean(values: list[Tensor]) -> Tensor:
        flat = torch.cat(values)
        scaled = flat * weights.view(-1, *[1] * (flat.dim() - 1))
        summed = flat.new_zeros(len(keys), *flat.shape[1:]).index_add_(0, rows, scaled)
        return summed / total.view(-1, *[1] * (flat.dim() - 1))

    colors = [part.color for part in parts if part.color is not None]
    logits = [part.semantic_logits for part in parts if part.semantic_logits is not None]
    observed = torch.zeros(len(keys), dtype=torch.bool, device=keys.device)
    seen = torch.cat([part.observed for part in parts if part.observed is not None])
    observed[rows[seen]] = True
    return ScenePrediction(
        parts[0].grid,
        unpack_keys(keys),
        mean([part.tsdf for part in parts]),
        mean(colors) if colors else None,
        mean(logits) if logits else None,
        observed,
    )
