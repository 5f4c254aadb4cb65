"""Readers, the scene format on disk and rooms of our own."""
