"""Rays, search and the differentiable raycaster."""
