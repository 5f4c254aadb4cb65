"""Sparse tensors, their engines and the layers that own weights."""
