"""Going on with trained weights on one scan, from its own frames, without any label."""
