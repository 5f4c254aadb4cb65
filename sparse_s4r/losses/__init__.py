"""Masked 2D and 3D terms and their weighted sum."""
