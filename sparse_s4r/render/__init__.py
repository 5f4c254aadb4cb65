"""Differentiable raycasting of sparse fields, and the choice of views."""

from sparse_s4r.render.near_surface import NearSurface
from sparse_s4r.render.raycaster import Raycaster, RenderField
from sparse_s4r.render.views import overlap, select_views
from sparse_s4r.render.virtual_options import VirtualViewOptions
from sparse_s4r.render.virtual_views import VirtualViews, VirtualViewSampler

__all__ = [
    "NearSurface",
    "Raycaster",
    "RenderField",
    "VirtualViewOptions",
    "VirtualViewSampler",
    "VirtualViews",
    "overlap",
    "select_views",
]
