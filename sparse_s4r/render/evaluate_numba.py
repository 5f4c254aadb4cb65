"""``evaluate.py`` compiled for the CPU: images and gradients in one pass each over the hits.

Imported only where it is used. Backward shares the voxels out among the threads, not the hits: every thread goes
through all hits in order and adds what belongs to its voxels. So a voxel sums in the order of the rays, whatever the
number of threads, and no two threads write to one place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sparse_s4r.render.corners import attribute_fills, distance_fills
from sparse_s4r.render.evaluate import GradientRules, Seen, image_type
from sparse_s4r.render.evaluate_kernels import add_gradients, pull_back, see
from sparse_s4r.render.field import SearchField
from sparse_s4r.render.rays import Rays
from sparse_s4r.render.search import Found
from sparse_s4r.render.search_numba import ray_arrays
from sparse_s4r.structures import ScenePrediction
from sparse_s4r.structures.parallel import run_parts, run_ranges

HITS_PER_PART = 4096


def evaluate_numba(
    prediction: ScenePrediction, field: SearchField, rays: Rays, found: Found, rules: GradientRules
) -> Seen:
    """What ``evaluate`` computes, on the CPU, on ``torch.get_num_threads()`` threads.

    All images have the type of the distances, or float32 if that is shorter.
    """
    dtype = image_type(prediction.tsdf)
    leaves = [
        None if part is None else part.to(dtype).contiguous()
        for part in (prediction.tsdf, prediction.color, prediction.semantic_logits)
    ]
    tables = (field.index.neighbors, field.values, field.index.rows, distance_fills(), attribute_fills())
    hits = ((found.slot >= 0).nonzero().squeeze(1), found.depth, found.slot, found.along)
    scene = _Scene(
        tuple(part.numpy() for part in tables),
        ray_arrays(rays),
        tuple(part.numpy() for part in hits),
        (rules.min_cosine * prediction.grid.voxel_size, True if rules.attributes_move_surface else None),
    )
    return Seen(*_Evaluate.apply(*leaves, scene))  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class _Scene:
    """What the loops read beside the differentiable tensors: see the kernels."""

    tables: tuple[Any, ...]
    lines: tuple[Any, ...]
    hits: tuple[Any, ...]
    rules: tuple[float, bool | None]


class _Evaluate(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, tsdf: Tensor, color: Tensor | None, logits: Tensor | None, scene: _Scene
    ) -> tuple[Tensor | None, ...]:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(tsdf, color, logits)
        ctx.scene = scene
        rays, number = len(scene.hits[1]), tsdf.numpy().dtype
        attributes = _arrays((color, logits), 2, number)
        images = (
            np.zeros(rays, number),
            np.zeros((rays, 3), number),
            np.full(rays, -1, np.int64),
            *(np.zeros((rays, part.shape[1]), number) for part in attributes),
        )
        run_ranges(
            lambda start, stop: see(images, attributes, start, stop, scene.hits, scene.tables),
            len(scene.hits[0]),
            HITS_PER_PART,
        )
        depth, normal, voxel, seen_color, seen_logits = (torch.from_numpy(image) for image in images)
        ctx.mark_non_differentiable(voxel)
        return (
            depth,
            normal,
            None if color is None else seen_color,
            None if logits is None else seen_logits,
            voxel,
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        tsdf, color, logits = ctx.saved_tensors
        scene: _Scene = ctx.scene
        number = tsdf.numpy().dtype
        given = (*_arrays(grads[:1], 1, number), *_arrays(grads[1:4], 2, number))
        attributes = _arrays((color, logits), 2, number)
        hits = len(scene.hits[0])
        shares = (np.empty((hits, 8), np.int32), np.empty((hits, 8), number), np.empty((hits, 8), number))
        run_ranges(
            lambda start, stop: pull_back(
                shares, start, stop, attributes, given, scene.hits, scene.lines, scene.tables, *scene.rules
            ),
            hits,
            HITS_PER_PART,
        )
        wanted = (
            ctx.needs_input_grad[0],
            ctx.needs_input_grad[1] and len(given[2]) > 0,
            ctx.needs_input_grad[2] and len(given[3]) > 0,
        )
        # calloc gives pages of zeros when they are first written: most voxels are not in the picture.
        totals = tuple(
            np.zeros(leaf.shape if want else (0, *leaf.shape[1:]), number)
            if leaf is not None
            else np.zeros((0, 0), number)
            for leaf, want in zip((tsdf, color, logits), wanted, strict=True)
        )
        threads = torch.get_num_threads()
        run_parts(lambda part: add_gradients(totals, part, threads, scene.hits[0], given, shares), threads)
        return (*(torch.from_numpy(total) if want else None for total, want in zip(totals, wanted, strict=True)), None)


def _arrays(parts: Sequence[Tensor | None], dimensions: int, number: Any) -> tuple[Any, ...]:
    """The tensors as contiguous arrays; an empty one for None."""
    return tuple(
        np.zeros((0,) * dimensions, number) if part is None else part.detach().contiguous().numpy() for part in parts
    )
