"""Prediction of whole scenes and export."""
