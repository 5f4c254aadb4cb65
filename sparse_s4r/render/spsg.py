"""The gradients of SPSG's renderer, for comparison: the nearest voxel, and the mean over its pixels.

Attributes are those of the voxel nearest to the hit. Backward gives every voxel the mean of the gradients of the
pixels it is nearest to; the gradient of a depth goes to the distance of that voxel as it is, without the
interpolation's weight and the slope along the ray. Where hits lie, missing corners and normals are as in the exact
mode. SPSG takes the mean over at most 64 pixels per voxel, whichever come first; here it is over all.

Source: method of Dai et al., "SPSG: Self-Supervised Photometric Scene Generation from RGB-D Scans", 2021.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sparse_s4r.render.evaluate import Seen, image_type
from sparse_s4r.structures import ScenePrediction


def with_spsg_gradients(prediction: ScenePrediction, seen: Seen) -> Seen:
    """What the rays see, with values and gradients of the nearest voxel; the normal stays as it is.

    Args:
        prediction: The field that was rendered.
        seen: From ``evaluate``; tells depth and nearest voxel.
    """
    depth = seen.depth.detach()
    tsdf = _nearest(prediction.tsdf.unsqueeze(1), seen.voxel).squeeze(1).to(depth.dtype)
    # The value of the depth, the gradient of the distance.
    moved = depth + (tsdf - tsdf.detach())
    color, logits = (
        None if values is None else _nearest(values.to(image_type(values)), seen.voxel)
        for values in (prediction.color, prediction.semantic_logits)
    )
    return Seen(moved, seen.normal, color, logits, seen.voxel)


def _nearest(values: Tensor, voxel: Tensor) -> Tensor:
    result: Tensor = _Nearest.apply(values, voxel)  # type: ignore[no-untyped-call]
    return result


class _Nearest(torch.autograd.Function):
    """Rows of ``values`` (N, C), 0 for row -1; backward gives a row the mean of its gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, voxel: Tensor) -> Tensor:
        ctx.count = len(values)
        ctx.save_for_backward(voxel)
        return torch.where((voxel >= 0).unsqueeze(1), values[voxel.clamp(min=0)], 0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (voxel,) = ctx.saved_tensors
        total = grad.new_zeros(ctx.count, grad.shape[1])
        hit = (voxel >= 0).nonzero().squeeze(1)
        if not len(hit):
            return total, None
        # A stable sort, so that every voxel adds up in one order.
        ordered, order = torch.sort(voxel[hit], stable=True)
        rows, count = torch.unique_consecutive(ordered, return_counts=True)
        start = count.cumsum(0) - count
        total[rows] = torch.nn.functional.embedding_bag(hit[order], grad.contiguous(), start, mode="mean")
        return total, None
