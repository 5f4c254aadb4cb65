"""Differentiable rendering of a sparse signed distance field with colour and semantics."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from sparse_s4r.render.blocks import index_blocks
from sparse_s4r.render.corners import FEWEST_CORNERS
from sparse_s4r.render.evaluate import GradientRules, Seen, evaluate, image_type
from sparse_s4r.render.field import SearchField, make_search_field
from sparse_s4r.render.rays import Rays, cast_rays
from sparse_s4r.render.search import search
from sparse_s4r.render.spsg import with_spsg_gradients
from sparse_s4r.structures import Camera, RenderedView, ScenePrediction

Backend = Literal["auto", "torch", "numba"]
Mode = Literal["exact", "spsg"]


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
        mode: "exact"; or "spsg" for values and gradients of the nearest voxel, to compare with.
        min_corners: A cell with fewer of its eight corners present holds no surface; 5 to 8. What an absent corner
            would have is extrapolated from the present ones.
        min_cosine: Smallest slope of the distance along a ray that the depth gradient divides by.
        attributes_move_surface: Whether the gradients of colour, logits and normal also flow through the position
            of the hit into the distances.
        backend: "torch" on any device; "numba" on the CPU, some twenty times faster there; "auto" is numba for a field
            on the CPU and torch elsewhere, and warns if numba cannot be imported.

    Raises:
        ValueError: A number out of range, an unknown mode or backend.

    Source: S4R section 3; depth gradient: own derivation.
    """

    def __init__(
        self,
        near: float = 0.1,
        far: float = 10.0,
        mode: Mode = "exact",
        min_corners: int = 6,
        min_cosine: float = 0.1,
        attributes_move_surface: bool = False,
        backend: Backend = "auto",
    ) -> None:
        if not 0 <= near < far:
            raise ValueError(f"Raycaster: expected 0 <= near < far in metres, got near={near}, far={far}")
        if mode not in get_args(Mode):
            raise ValueError(f"Raycaster.mode: expected one of {get_args(Mode)}, got {mode!r}")
        if not FEWEST_CORNERS <= min_corners <= 8:
            raise ValueError(f"Raycaster.min_corners: expected {FEWEST_CORNERS} to 8 corners, got {min_corners}")
        if not 0 < min_cosine <= 1:
            raise ValueError(f"Raycaster.min_cosine: expected a number in (0, 1], got {min_cosine}")
        if backend not in get_args(Backend):
            raise ValueError(f"Raycaster.backend: expected one of {get_args(Backend)}, got {backend!r}")
        if mode == "spsg" and attributes_move_surface:
            raise ValueError('Raycaster.attributes_move_surface: expected False with mode "spsg", got True')
        self.near, self.far, self.mode, self.min_corners = near, far, mode, min_corners
        self.rules = GradientRules(min_cosine, attributes_move_surface)
        self.backend = backend

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
        voxel_size, compiled = prediction.grid.voxel_size, self._compiled(prediction.tsdf.device)
        index = index_blocks(prediction.coordinates, compiled)
        return RenderField(
            prediction, make_search_field(index, prediction.tsdf, voxel_size, self.min_corners, compiled)
        )

    def render(self, field: RenderField, camera: Camera) -> RenderedView:
        """Render one camera; see ``render_views``."""
        return self.render_views(field, [camera])[0]

    def render_views(self, field: RenderField, cameras: Sequence[Camera]) -> tuple[RenderedView, ...]:
        """Render several cameras at once, of any sizes: one search, and one gradient per voxel for all.

        Args:
            field: From ``prepare``.
            cameras: Where to render from; moved to the device of the field.

        Returns:
            Images of the cameras' sizes, in their order; pixels without a hit are 0. Differentiable as the class
            says; not differentiable in the cameras.
        """
        prediction = field.prediction
        cameras = [camera.to(prediction.tsdf.device) for camera in cameras]
        if not cameras:
            return ()
        sizes = [camera.width * camera.height for camera in cameras]
        if field.search is None:
            seen = _nothing(prediction, sum(sizes))
        else:
            rays = cast_rays(cameras, prediction.grid, field.search.index.lower, self.near, self.far)
            seen = self._look(prediction, field.search, rays)
        parts = zip(*(_split(image, sizes) for image in vars(seen).values()), strict=True)
        return tuple(_compose(camera, prediction, Seen(*part)) for camera, part in zip(cameras, parts, strict=True))

    def render_scenes(
        self, fields: Sequence[RenderField], cameras: Sequence[Sequence[Camera]]
    ) -> tuple[tuple[RenderedView, ...], ...]:
        """Render several scenes: per field the views of its own cameras.

        Raises:
            ValueError: Not as many lists of cameras as fields.
        """
        if len(fields) != len(cameras):
            raise ValueError(f"cameras: expected a list for each of {len(fields)} fields, got {len(cameras)} lists")
        return tuple(self.render_views(field, views) for field, views in zip(fields, cameras, strict=True))

    def _look(self, prediction: ScenePrediction, field: SearchField, rays: Rays) -> Seen:
        if self._compiled(prediction.tsdf.device):
            from sparse_s4r.render.evaluate_numba import evaluate_numba
            from sparse_s4r.render.search_numba import search_numba

            seen = evaluate_numba(prediction, field, rays, search_numba(field, rays), self.rules)
        else:
            seen = evaluate(prediction, field.index, rays, search(field, rays), self.rules)
        return with_spsg_gradients(prediction, seen) if self.mode == "spsg" else seen

    def _compiled(self, device: torch.device) -> bool:
        """Whether the compiled loops run."""
        if self.backend == "torch" or (self.backend == "auto" and device.type != "cpu"):
            return False
        if device.type != "cpu":
            raise ValueError(
                f'Raycaster.backend: expected a prediction on the CPU for "numba", got one on {device}; '
                'use "torch" or "auto"'
            )
        try:
            import numba  # noqa: F401
        except ImportError as error:
            if self.backend == "numba":
                raise ImportError('Raycaster.backend "numba": numba cannot be imported; pip install numba') from error
            warnings.warn("numba cannot be imported, so torch renders, slowly; pip install numba", stacklevel=3)
            return False
        return True


def _split(image: Tensor | None, sizes: list[int]) -> Sequence[Tensor | None]:
    if image is None:
        return [None] * len(sizes)
    return [image] if len(sizes) == 1 else torch.split(image, sizes)


def _nothing(prediction: ScenePrediction, count: int) -> Seen:
    """What ``count`` rays see of an empty prediction."""
    images = [
        None if values is None else values.new_zeros((count, *values.shape[1:]), dtype=image_type(values))
        for values in (prediction.tsdf, prediction.color, prediction.semantic_logits)
    ]
    depth = images[0]
    assert depth is not None
    voxel = torch.full((count,), -1, dtype=torch.int64, device=depth.device)
    return Seen(depth, depth.new_zeros(count, 3), images[1], images[2], voxel)


def _compose(camera: Camera, prediction: ScenePrediction, seen: Seen) -> RenderedView:
    """Lay what the rays of one camera see out as images."""

    def image(flat: Tensor) -> Tensor:
        return flat.view(camera.height, camera.width, *flat.shape[1:])

    hit = seen.voxel >= 0
    observed = None
    if prediction.observed is not None:
        observed = hit if not len(prediction) else hit & prediction.observed[seen.voxel.clamp(min=0)]
    return RenderedView(
        camera,
        image(hit),
        image(seen.depth),
        image(seen.normal),
        None if seen.color is None else image(seen.color),
        None if seen.semantic_logits is None else image(seen.semantic_logits),
        image(seen.voxel),
        None if observed is None else image(observed),
    )
