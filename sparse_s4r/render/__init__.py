"""Differentiable raycasting of sparse fields, and the choice of views."""

from sparse_s4r.render.raycaster import Raycaster, RenderField

__all__ = ["Raycaster", "RenderField"]
