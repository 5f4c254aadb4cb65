"""Whole-scene semantic reconstruction from posed RGB-D frames on sparse convolutions."""

__version__ = "0.1.0"
