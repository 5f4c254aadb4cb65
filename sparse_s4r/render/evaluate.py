"""The one differentiable step, in torch operations: what a ray sees at its hit, from the voxels around it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from sparse_s4r.render.blocks import BlockIndex
from sparse_s4r.render.corners import (
    ALL_PRESENT,
    attribute_fills,
    corner_slopes,
    corner_weights,
    distance_fills,
    present_mask,
)
from sparse_s4r.render.interpolate import CornerMap, gather_corners, interpolate_corners
from sparse_s4r.render.rays import Rays
from sparse_s4r.render.search import Found
from sparse_s4r.structures import ScenePrediction


@dataclass(frozen=True)
class Seen:
    """What R rays see; 0 where a ray hits nothing, ``voxel`` -1.

    Attributes:
        depth: (R,) metres of z-depth.
        normal: (R, 3) unit vectors in the world.
        color: (R, 3), or None.
        semantic_logits: (R, K), or None.
        voxel: (R,) int64 row of the voxel with the largest weight.
    """

    depth: Tensor
    normal: Tensor
    color: Tensor | None
    semantic_logits: Tensor | None
    voxel: Tensor


@dataclass(frozen=True)
class GradientRules:
    """How gradients are taken.

    Attributes:
        min_cosine: Slopes along the ray flatter than this, in metres per metre, count as this in the gradient of
            depth: a grazing ray has one at most 1 / min_cosine times that of a frontal one, and never the wrong sign.
        attributes_move_surface: Whether the gradients of colour, logits and normal also flow through the position
            of the hit into the distances.
    """

    min_cosine: float
    attributes_move_surface: bool


@dataclass(frozen=True)
class Hits:
    """Rays at their hits.

    Attributes:
        ray: (P,) int64.
        depth: (P,) float64 metres of z-depth.
        direction: (P, 3) float64 voxels per metre of z-depth.
        along: (P, 3) float64 position within the cell, each in [0, 1].
        corners: The voxels at the corners.
        mask: (P,) int64, bit c set where corner c is there.
    """

    ray: Tensor
    depth: Tensor
    direction: Tensor
    along: Tensor
    corners: CornerMap
    mask: Tensor


@torch.no_grad()
def locate_hits(index: BlockIndex, rays: Rays, found: Found) -> Hits:
    """The hits among R rays, with the voxels around them."""
    ray = (found.slot >= 0).nonzero().squeeze(1)
    rows = index.rows[index.corner_slots(found.slot[ray])].long()
    corners = CornerMap(rows, found.slot[ray])
    return Hits(ray, found.depth[ray], rays.expand(ray)[1], found.along[ray], corners, present_mask(rows >= 0))


def evaluate(prediction: ScenePrediction, index: BlockIndex, rays: Rays, found: Found, rules: GradientRules) -> Seen:
    """What the rays see; differentiable in the tensors of ``prediction`` as ``Raycaster`` says.

    Args:
        prediction: The field, with its N voxels in the order of ``index``.
        index: Its blocks.
        rays: R rays.
        found: Where they hit.
        rules: How gradients are taken.
    """
    hits = locate_hits(index, rays, found)
    corner = gather_corners(prediction.tsdf.double(), hits.corners)
    depth = hit_depth(corner, hits, prediction.grid.voxel_size, rules.min_cosine)
    along = hits.along
    if rules.attributes_move_surface:
        along = along + (depth - depth.detach()).unsqueeze(1) * hits.direction
    normal = normalize(torch.einsum("pc,pca->pa", corner, _filled(corner_slopes(along), hits.mask, distance_fills())))
    weights = _filled(corner_weights(along), hits.mask, attribute_fills())
    voxel = torch.full_like(found.slot, -1)
    heaviest = weights.detach().argmax(dim=1, keepdim=True)
    voxel[hits.ray] = hits.corners.rows.gather(1, heaviest).squeeze(1)
    dtype = image_type(prediction.tsdf)
    return Seen(
        _image(depth.to(dtype), hits, len(rays)),
        _image(normal.to(dtype), hits, len(rays)),
        _attribute(prediction.color, weights, hits, len(rays)),
        _attribute(prediction.semantic_logits, weights, hits, len(rays)),
        voxel,
    )


def hit_depth(corner: Tensor, hits: Hits, voxel_size: float, min_cosine: float) -> Tensor:
    """Depth (P,) in metres with its derivative by the implicit function theorem.

    On s(t) = 0 the depth moves by dt/ds_i = -w_i / (grad s . d). The value is that of the search.

    Args:
        corner: (P, 8) distances at the corners, metres; receives the gradient.
        hits: Where the rays hit.
        voxel_size: Metres.
        min_cosine: See ``GradientRules``.
    """
    with torch.no_grad():
        slopes = _filled(corner_slopes(hits.along), hits.mask, distance_fills())
        slope = torch.einsum("pc,pca,pa->p", corner, slopes, hits.direction)
        flattest = -min_cosine * voxel_size * hits.direction.norm(dim=1)
        weights = _filled(corner_weights(hits.along), hits.mask, distance_fills()) / torch.minimum(
            slope, flattest
        ).unsqueeze(1)
    moved = -(corner * weights).sum(dim=1)
    return hits.depth + (moved - moved.detach())


def image_type(values: Tensor) -> torch.dtype:
    """The type that images of ``values`` have: its own, or float32 if that is shorter."""
    return values.dtype if values.dtype in (torch.float32, torch.float64) else torch.float32


def _filled(weights: Tensor, mask: Tensor, fills: Tensor) -> Tensor:
    """Weights (P, 8, ...) of filled corners as weights of the present ones; 0 for absent corners."""
    partial = (mask != ALL_PRESENT).nonzero().squeeze(1)
    if not len(partial):
        return weights
    matrices = fills.to(weights.device)[mask[partial]]
    mixed = torch.einsum("pi...,pij->pj...", weights[partial], matrices)
    return weights.index_copy(0, partial, mixed)


def _attribute(values: Tensor | None, weights: Tensor, hits: Hits, count: int) -> Tensor | None:
    if values is None:
        return None
    wide = values.to(image_type(values))
    return _image(interpolate_corners(wide, weights.to(wide.dtype), hits.corners), hits, count)


def _image(values: Tensor, hits: Hits, count: int) -> Tensor:
    """``values`` (P, ...) laid out over all rays, (R, ...)."""
    return values.new_zeros(count, *values.shape[1:]).index_copy(0, hits.ray, values)
