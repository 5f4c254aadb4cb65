"""Differentiable raycasting of sparse fields, and the choice of views."""

from sparse_s4r.render.raycaster import Raycaster, RenderField
from sparse_s4r.render.views import overlap, select_views

__all__ = ["Raycaster", "RenderField", "overlap", "select_views"]
