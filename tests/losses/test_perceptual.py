"""The perceptual term against loops, and VGG19's first layers against torch's own convolutions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sparse_s4r.losses.perceptual import perceptual_loss
from sparse_s4r.losses.vgg import VggFeatures, load_vgg_features
from sparse_s4r.structures import RenderedView, RGBDFrame
from sparse_s4r.structures.errors import DataError
from tests.losses.views import make_frame, make_view

# Of four pixels the first two show the same surface.
DEPTHS, SEEN = [1.0, 2.0, 1.0, 1.0], [1.05, 2.0, 3.0, 0.0]


def some_views() -> tuple[RenderedView, RGBDFrame, Tensor]:
    generator = torch.Generator().manual_seed(1)
    rendered = torch.rand(4, 3, generator=generator).requires_grad_()
    return make_view(DEPTHS, color=rendered), make_frame(SEEN, torch.rand(4, 3, generator=generator)), rendered


def halves(images: Tensor) -> tuple[Tensor, Tensor]:
    """Two maps: the pictures, and means of two pixels with twice the weight."""
    return images, 2 * F.avg_pool2d(images, (1, 2))


def test_the_term_agrees_with_a_loop() -> None:
    view, frame, rendered = some_views()
    value, count = perceptual_loss(view, frame, 0.1, halves)
    mine, real = rendered.detach().numpy().copy(), frame.color[0].numpy()
    mine[2:] = real[2:]
    first = np.mean([np.mean((mine[at] - real[at]) ** 2) for at in (0, 1)])
    second = np.mean((mine[:2].mean(0) * 2 - real[:2].mean(0) * 2) ** 2)
    assert count == 2
    assert float(value.detach()) == pytest.approx((first + second) / 2, rel=1e-5)
    value.backward()
    assert rendered.grad is not None
    assert rendered.grad[:2].abs().min() > 0
    assert not rendered.grad[2:].any()


def test_equal_pictures_and_nothing_to_compare() -> None:
    view, frame, rendered = some_views()
    same = make_view(DEPTHS, color=frame.color[0])
    assert float(perceptual_loss(same, frame, 0.1, halves)[0]) == 0.0
    value, count = perceptual_loss(view, make_frame([0.0] * 4), 0.1, halves)
    value.backward()
    assert (float(value.detach()), count) == (0.0, 0)
    assert rendered.grad is not None
    assert not rendered.grad.any()
    with pytest.raises(ValueError, match="no colour decoder"):
        perceptual_loss(make_view(DEPTHS), frame, 0.1, halves)


def stored_weights() -> dict[str, Tensor]:
    torch.manual_seed(3)
    return VggFeatures().state_dict()


def test_the_network_is_vggs(tmp_path: Path) -> None:
    weights = stored_weights()
    torch.save({**weights, "classifier.6.bias": torch.zeros(1000)}, tmp_path / "vgg19.pth")
    network = load_vgg_features(tmp_path / "vgg19.pth")
    assert not any(weight.requires_grad for weight in network.parameters())
    images = torch.rand(2, 3, 18, 24)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = (images - mean[:, None, None]) / deviation[:, None, None]
    for place in (0, 2, 5, 7, 10, 12, 14, 16):
        if place in (5, 10):
            expected = F.max_pool2d(expected, 2)
        expected = F.conv2d(expected, weights[f"features.{place}.weight"], weights[f"features.{place}.bias"], padding=1)
        expected = expected if place == 16 else expected.relu()
    (found,) = network(images)
    assert found.shape == (2, 256, 4, 6)
    torch.testing.assert_close(found, expected)


class Trap:
    """Runs a command where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"features.1.weight": torch.zeros(3)}, r"1 unknown \['features.1.weight'\]"),
        ({"features.16.bias": None}, r"1 too few \['features.16.bias'\]"),
        ({"features.0.bias": torch.zeros(3)}, r"1 of another shape \['features.0.bias'\]"),
        ({"features.0.bias": [1.0]}, "expected a state dict, names with tensors"),
    ],
)
def test_other_weights_are_refused(tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
    content = {name: value for name, value in {**stored_weights(), **change}.items() if value is not None}
    torch.save(content, tmp_path / "vgg19.pth")
    with pytest.raises(DataError, match=complaint):
        load_vgg_features(tmp_path / "vgg19.pth")


def test_files_that_are_none_are_refused_and_no_code_runs(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found no file"):
        load_vgg_features(tmp_path / "none.pth")
    torch.save({"features.0.bias": Trap(tmp_path / "sprung")}, tmp_path / "trap.pth")
    with pytest.raises(DataError, match="got another file"):
        load_vgg_features(tmp_path / "trap.pth")
    assert not (tmp_path / "sprung").exists()
