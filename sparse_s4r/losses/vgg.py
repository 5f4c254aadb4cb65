"""The first eight convolutions of VGG19, with weights that the user has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sparse_s4r.structures.errors import DataError

# Channels of the convolutions up to the eighth; "pool" halves the size.
_LAYERS: tuple[int | str, ...] = (64, 64, "pool", 128, 128, "pool", 256, 256, 256, 256)
# Places of all sixteen convolutions and three linear layers in torchvision's network.
_PLACES = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
_LINEAR = (0, 3, 6)
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class VggFeatures(nn.Module):
    """The output of VGG19's eighth convolution (conv3_4), before its rectifier: SPSG's content layer.

    Source: Simonyan and Zisserman 2015; layers are numbered, and colours normalised, as torchvision does.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for size in _LAYERS:
            if isinstance(size, str):
                layers.append(nn.MaxPool2d(2))
                continue
            layers += [nn.Conv2d(channels, size, 3, padding=1), nn.ReLU()]
            channels = size
        self.features = nn.Sequential(*layers[:-1])

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """(B, 256, H / 4, W / 4) of images (B, 3, H, W), RGB in [0, 1]; sizes rounded down."""
        mean, deviation = (images.new_tensor(values).view(3, 1, 1) for values in (_MEAN, _DEVIATION))
        return (self.features((images - mean) / deviation),)


def load_vgg_features(path: Path) -> VggFeatures:
    """The network with the weights of a file, which learn no more.

    Args:
        path: A state dict of torchvision's ``vgg19``, whole or ``features`` alone, as ``torch.save`` writes it. No code
            in it is run.

    Raises:
        DataError: No such file, no state dict, or weights that are not VGG19's.
    """
    if not path.is_file():
        raise DataError(f"{path}: expected a state dict of torchvision's vgg19, found no file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise DataError(f"{path}: expected a state dict of torchvision's vgg19, got another file: {error}") from error
    network = VggFeatures()
    network.load_state_dict(_checked(path, content, network.state_dict()))
    return network.eval().requires_grad_(False)


def _checked(path: Path, content: Any, expected: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those of the weights that the network has."""
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise DataError(f"{path}: expected a state dict, names with tensors, got {type(content).__name__}")
    known = {f"features.{place}.{kind}" for place in _PLACES for kind in ("weight", "bias")}
    known |= {f"classifier.{place}.{kind}" for place in _LINEAR for kind in ("weight", "bias")}
    foreign, missing = sorted(content.keys() - known), sorted(expected.keys() - content.keys())
    reshaped = [name for name in expected if name in content and content[name].shape != expected[name].shape]
    if foreign or missing or reshaped:
        raise DataError(
            f"{path}: expected the weights of torchvision's vgg19, got {len(foreign)} unknown {foreign[:2]}, "
            f"{len(missing)} too few {missing[:2]}, {len(reshaped)} of another shape {reshaped[:2]}"
        )
    return {name: content[name] for name in expected}
