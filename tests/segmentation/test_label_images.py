from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sparse_s4r.segmentation.interface import Segmenter, label_frame, one_hot
from sparse_s4r.segmentation.label_images import LabelImageSegmenter
from sparse_s4r.structures import IGNORE_LABEL, Camera, RGBDFrame
from sparse_s4r.structures.errors import DataError

NAMES = ("a", "b", "c")


def frame(name: str = "f") -> RGBDFrame:
    camera = Camera(torch.eye(3).double(), torch.eye(4).double(), 4, 2)
    return RGBDFrame(name, camera, torch.zeros(2, 4, 3), torch.zeros(2, 4))


def save(folder: Path, values: list[list[int]], dtype: type = np.uint8) -> Path:
    Image.fromarray(np.array(values, dtype=dtype)).save(folder / "f.png")
    return folder


def test_values_are_classes(tmp_path: Path) -> None:
    segmenter: Segmenter = LabelImageSegmenter(save(tmp_path, [[0, 1, 2, 255], [2, 2, 0, 0]]), NAMES)
    assert segmenter.class_names == NAMES
    probabilities = segmenter.probabilities(frame())
    assert probabilities.shape == (3, 2, 4)
    assert probabilities.sum(dim=0).tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert label_frame(segmenter, frame()).tolist() == [[0, 1, 2, IGNORE_LABEL], [2, 2, 0, 0]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_ids_are_mapped(tmp_path: Path, dtype: type) -> None:
    high = 200 if dtype is np.uint8 else 4000
    folder = save(tmp_path, [[7, high, 7, 0]] * 2, dtype)
    segmenter = LabelImageSegmenter(folder, NAMES, {7: 2, high: 0, 0: IGNORE_LABEL})
    assert label_frame(segmenter, frame()).tolist() == [[2, 0, 2, IGNORE_LABEL]] * 2


def test_bad_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="folder of label images"):
        LabelImageSegmenter(tmp_path / "none", NAMES)
    with pytest.raises(DataError, match="id 4: expected a class below 3"):
        LabelImageSegmenter(tmp_path, NAMES, {4: 3})
    segmenter = LabelImageSegmenter(tmp_path, NAMES)
    with pytest.raises(DataError, match="for the frame f, got none"):
        segmenter.probabilities(frame())
    save(tmp_path, [[0, 1, 9, 9], [0, 0, 0, 0]])
    with pytest.raises(DataError, match="got 9 in 2 pixels"):
        segmenter.probabilities(frame())
    save(tmp_path, [[0, 1, 2]])
    with pytest.raises(DataError, match="size 4x2, got 3x1"):
        segmenter.probabilities(frame())
    Image.fromarray(np.zeros((2, 4, 3), np.uint8)).save(tmp_path / "f.png")
    with pytest.raises(DataError, match="mode RGB"):
        segmenter.probabilities(frame())
    (tmp_path / "f.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="cannot be decoded"):
        segmenter.probabilities(frame())


def test_label_frame_drops_the_unsure() -> None:
    class Fixed:
        class_names = NAMES

        def probabilities(self, frame: RGBDFrame) -> torch.Tensor:
            sure = torch.tensor([[0.5, 0.9, 0.6, 0.0], [0.5, 0.9, 0.6, 0.0]])
            return torch.stack([sure, (1 - sure) * (sure > 0), torch.zeros(2, 4)])

    assert label_frame(Fixed(), frame(), 0.7).tolist() == [[255, 0, 255, 255]] * 2
    assert label_frame(Fixed(), frame()).tolist() == [[0, 0, 0, 255]] * 2
    with pytest.raises(ValueError, match=r"got 1\.5"):
        label_frame(Fixed(), frame(), 1.5)


def test_one_hot_shares_the_rest() -> None:
    result = one_hot(torch.tensor([[1, IGNORE_LABEL]]), 3, 0.8)
    torch.testing.assert_close(result[:, 0, 0], torch.tensor([0.1, 0.8, 0.1]))
    assert result[:, 0, 1].tolist() == [0, 0, 0]
