"""The 2D segmenter interface and its adapters."""
