"""Differentiable rendering of a sparse signed distance field with colour and semantics."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from sparse_s4r.render.blocks import index_blocks
from sparse_s4r.render.evaluate import Hits, corner_weights, hit_depth, hit_normal, locate_hits
from sparse_s4r.render.interpolate import CornerMap, gather_corners, interpolate_corners
from sparse_s4r.render.rays import Rays, cast_rays
from sparse_s4r.render.search import SearchField, make_search_field, search
from sparse_s4r.structures import Camera, RenderedView, ScenePrediction

Search = Literal["auto", "torch", "numba"]


@dataclass(frozen=True)
class RenderField:
    """A prediction made ready for rendering: one search structure for any number of cameras.

    Attributes:
        prediction: What to render; gradients flow to its tensors.
        search: Its distances in blocks; None for an empty prediction.
    """

    prediction: ScenePrediction
    search: SearchField | None


class Raycaster:
    """Renders depth, normal, colour and semantic logits of the first front face along every pixel's ray.

    The search takes no gradient. Depth is differentiable in the distances by implicit differentiation, the
    normal in the distances, colour and logits in their own voxels; see docs/raycaster.md.

    Args:
        near: Smallest z-depth, metres.
        far: Largest z-depth, metres.
        step_voxels: Distance of samples along a ray, voxels.
        min_cosine: Smallest slope of the distance along a ray that the depth gradient divides by.
        attributes_move_surface: Whether the gradients of colour, logits and normal also flow through the position
            of the hit into the distances.
        search: "torch" on any device; "numba" on the CPU, some ten times faster there; "auto" is numba for a field on
            the CPU and torch elsewhere, and warns if numba cannot be imported.

    Raises:
        ValueError: A number out of range or an unknown search.

    Source: S4R section 3; depth gradient: own derivation.
    """

    def __init__(
        self,
        near: float = 0.1,
        far: float = 10.0,
        step_voxels: float = 0.5,
        min_cosine: float = 0.1,
        attributes_move_surface: bool = False,
        search: Search = "auto",
    ) -> None:
        if not 0 <= near < far:
            raise ValueError(f"Raycaster: expected 0 <= near < far in metres, got near={near}, far={far}")
        if not step_voxels > 0:
            raise ValueError(f"Raycaster.step_voxels: expected voxels > 0, got {step_voxels}")
        if not 0 < min_cosine <= 1:
            raise ValueError(f"Raycaster.min_cosine: expected a number in (0, 1], got {min_cosine}")
        if search not in get_args(Search):
            raise ValueError(f"Raycaster.search: expected one of {get_args(Search)}, got {search!r}")
        self.near, self.far, self.step_voxels, self.min_cosine = near, far, step_voxels, min_cosine
        self.attributes_move_surface = attributes_move_surface
        self.search = search

    def __call__(self, prediction: ScenePrediction, camera: Camera) -> RenderedView:
        """Render one camera; for several of one prediction, ``prepare`` once and ``render`` each."""
        return self.render(self.prepare(prediction), camera)

    def prepare(self, prediction: ScenePrediction) -> RenderField:
        """Build the search structure of ``prediction``.

        Raises:
            ValueError: A voxel stands twice, a distance is not finite, or the voxels lie too far apart.
        """
        if not len(prediction):
            return RenderField(prediction, None)
        if not bool(torch.isfinite(prediction.tsdf).all()):
            bad = int((~torch.isfinite(prediction.tsdf)).sum())
            raise ValueError(f"ScenePrediction.tsdf: expected finite metres, got {bad} NaN or infinite values")
        index = index_blocks(prediction.coordinates)
        return RenderField(prediction, make_search_field(index, prediction.tsdf, prediction.grid.voxel_size))

    def render(self, field: RenderField, camera: Camera) -> RenderedView:
        """Render one camera.

        Args:
            field: From ``prepare``.
            camera: Where to render from; moved to the device of the field.

        Returns:
            Images of the camera's size; pixels without a hit are 0. Differentiable as the class says; not
            differentiable in the camera.
        """
        prediction = field.prediction
        camera = camera.to(prediction.tsdf.device)
        if field.search is None:
            return _compose(camera, prediction, _no_hits(prediction.tsdf), (None, None, None, None))
        limits = (self.near, self.far)
        dtype = field.search.values.dtype
        rays = cast_rays(camera, prediction.grid, field.search.index, limits, self.step_voxels, dtype)
        depth = _choose_search(self.search, prediction.tsdf.device)(field.search, rays)
        hits = locate_hits(field.search.index, rays.origin, rays.direction, depth)
        return _compose(camera, prediction, hits, self._evaluate(prediction, hits))

    def _evaluate(
        self, prediction: ScenePrediction, hits: Hits
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
        """Depth (P,), normal (P, 3), colour (P, 3) and logits (P, K) at the hits."""
        corners = CornerMap(hits.rows)
        corner = gather_corners(prediction.tsdf.to(hits.depth.dtype), corners)
        depth = hit_depth(corner, hits, prediction.grid.voxel_size, self.min_cosine)
        along = hits.along
        if self.attributes_move_surface:
            along = along + (depth - depth.detach()).unsqueeze(1) * hits.direction
        normal = hit_normal(corner, along)
        weights = corner_weights(along)
        color, logits = (
            None if values is None else _interpolate(values, weights, corners)
            for values in (prediction.color, prediction.semantic_logits)
        )
        return depth, normal, color, logits


def _choose_search(name: Search, device: torch.device) -> Callable[[SearchField, Rays], Tensor]:
    if name == "torch" or (name == "auto" and device.type != "cpu"):
        return search
    if device.type != "cpu":
        raise ValueError(
            f'Raycaster.search: expected a prediction on the CPU for "numba", got one on {device}; '
            'use "torch" or "auto"'
        )
    try:
        from sparse_s4r.render.search_numba import search_numba
    except ImportError as error:
        if name == "numba":
            raise ImportError('Raycaster.search "numba": numba cannot be imported; pip install numba') from error
        warnings.warn(
            "numba cannot be imported, so rays are searched by torch, slowly; pip install numba", stacklevel=3
        )
        return search
    return search_numba


def _interpolate(values: Tensor, weights: Tensor, corners: CornerMap) -> Tensor:
    """In the type of the values, or in float32 if that is shorter."""
    wide = values if values.dtype in (torch.float32, torch.float64) else values.float()
    return interpolate_corners(wide, weights.to(wide.dtype), corners)


def _no_hits(like: Tensor) -> Hits:
    ray = torch.empty(0, dtype=torch.int64, device=like.device)
    empty = like.new_empty(0, dtype=torch.float64 if like.dtype == torch.float64 else torch.float32)
    return Hits(ray, empty, empty.view(0, 3), ray.view(0, 8), empty.view(0, 3))


def _compose(
    camera: Camera,
    prediction: ScenePrediction,
    hits: Hits,
    values: tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None],
) -> RenderedView:
    """Lay what was seen at the hits out as images."""
    size = (camera.height, camera.width)
    depth, normal, color, logits = values

    def image(at_hits: Tensor | None, channels: tuple[int, ...]) -> Tensor:
        flat = hits.depth.new_zeros(size[0] * size[1], *channels)
        if at_hits is not None:
            flat = flat.to(at_hits.dtype).index_copy(0, hits.ray, at_hits)
        return flat.view(*size, *channels)

    voxel = torch.full((size[0] * size[1],), -1, dtype=torch.int64, device=hits.ray.device)
    if len(hits.ray):
        nearest = corner_weights(hits.along).argmax(dim=1, keepdim=True)
        voxel[hits.ray] = hits.rows.gather(1, nearest).squeeze(1)
    return RenderedView(
        camera,
        (voxel >= 0).view(size),
        image(depth, ()),
        image(normal, (3,)),
        None if prediction.color is None else image(color, (3,)),
        None if prediction.semantic_logits is None else image(logits, (prediction.semantic_logits.shape[1],)),
        voxel.view(size),
    )
