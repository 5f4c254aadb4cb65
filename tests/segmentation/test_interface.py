from __future__ import annotations

import torch
from torch import Tensor

from sparse_s4r.segmentation.interface import FrameSegmenter, label_frame
from sparse_s4r.structures import IGNORE_LABEL, Camera, RGBDFrame


class ByColor:
    """Red pixels are the first class, green the second, and blue ones are none."""

    class_names = ("red", "green")

    def probabilities(self, images: Tensor) -> Tensor:
        assert images.shape == (1, 3, 2, 3)
        return images[:, :2]


def test_a_frame_is_asked_about_by_its_colors() -> None:
    color = torch.zeros(2, 3, 3)
    color[0, 0, 0] = color[1, 2, 1] = color[0, 1, 2] = 1.0
    camera = Camera(torch.tensor([[3.0, 0, 1], [0, 3, 0.5], [0, 0, 1]]), torch.eye(4), 3, 2)
    segmenter = FrameSegmenter(ByColor())
    assert segmenter.class_names == ("red", "green")
    none = IGNORE_LABEL
    labels = label_frame(segmenter, RGBDFrame("f", camera, color, torch.ones(2, 3)))
    assert labels.tolist() == [[0, none, none], [none, none, 1]]
