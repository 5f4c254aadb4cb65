"""MSeg's HRNet-W48, a network for 194 classes of any scene, from its published checkpoints.

Source: Lambert et al., MSeg: A Composite Dataset for Multi-Domain Semantic Segmentation, CVPR 2020.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor, nn

from sparse_s4r.segmentation.class_list import choose_label_map, load_class_list
from sparse_s4r.segmentation.dense import DenseOptions, dense_probabilities
from sparse_s4r.segmentation.label_map import LabelMap
from sparse_s4r.structures.errors import CheckpointError, ConfigError

CLASS_LIST = "mseg194"
# Frames of RGB-D sensors have about this height, and the published networks were trained on images from 480 pixels up.
SHORT_SIDE = 480
# The published evaluation averages over 0.5 to 1.75.
MULTI_SCALE = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
# Its last convolution, with one output per class.
_LAST = "last_layer.3.weight"
_PREFIX = "module."
_SHOWN = 3


def mseg_options(scales: tuple[float, ...] | None = None, short_side: int = SHORT_SIDE) -> DenseOptions:
    """How MSeg sees images: ImageNet's colours, sides of 8 k + 1, tiles of up to 713 pixels, and the mirror image too.

    Args:
        scales: Factors over which probabilities are averaged, e.g. ``MULTI_SCALE``; None for one size.
        short_side: Length in pixels of the shorter side at scale 1.

    Raises:
        ValueError: A value out of range.
    """
    return DenseOptions(short_side, (1.0,) if scales is None else scales, flip=True, tile=713, step=8, rest=1)


class MSegSegmenter:
    """An ``ImageSegmenter`` with MSeg's network.

    Args:
        network: The network of 194 classes, e.g. from ``load_mseg_network``; it is put into evaluation mode.
        label_map: From its classes to those of a taxonomy.
        options: How images are brought before it.
    """

    def __init__(self, network: nn.Module, label_map: LabelMap, options: DenseOptions | None = None) -> None:
        self._network = network.eval()
        self._label_map = label_map
        self._options = mseg_options() if options is None else options

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the K classes of the taxonomy."""
        return self._label_map.class_names

    @property
    def network(self) -> nn.Module:
        """The network."""
        return self._network

    @property
    def label_map(self) -> LabelMap:
        """From the network's classes to those of the taxonomy."""
        return self._label_map

    @property
    def options(self) -> DenseOptions:
        """How images are brought before the network."""
        return self._options

    @property
    def preparation(self) -> str:
        """All that decides how images are brought before the network, as text."""
        return repr(self._options)

    def probabilities(self, images: Tensor) -> Tensor:
        """(B, K, H, W) for (B, 3, H, W) RGB in [0, 1] of any size, on the network's device; no gradient.

        Sum 1 per pixel, or 0 where ignored classes have more than any class of the taxonomy.
        """
        device = next(self._network.parameters()).device
        return dense_probabilities(images.to(device), self._network, self._label_map, self._options)


def load_mseg_segmenter(
    checkpoint: Path,
    taxonomy: str,
    label_map: Path | None = None,
    device: torch.device | str = "cpu",
    scales: tuple[float, ...] | None = None,
) -> MSegSegmenter:
    """The segmenter of a published checkpoint.

    Args:
        checkpoint: A file of the authors, such as ``mseg-3m-480p.pth``.
        taxonomy: Name of a shipped taxonomy, or the path of a YAML file.
        label_map: A file that maps the 194 classes to those of the taxonomy; None for the shipped one.
        device: Where the network runs.
        scales: Factors over which probabilities are averaged; None for one size.

    Raises:
        ConfigError: Scales out of range, or the package ``mseg_semantic`` is missing; the message tells how to
            install it.
        CheckpointError: A file that is no such checkpoint.
        DataError: A taxonomy or label map that cannot be used.
    """
    try:
        options = mseg_options(scales)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    chosen = choose_label_map(load_class_list(CLASS_LIST).names, taxonomy, label_map, among=(CLASS_LIST,))
    return MSegSegmenter(load_mseg_network(checkpoint).to(device), chosen, options)


def make_mseg_network() -> nn.Module:
    """HRNet-W48 for 194 classes with random weights.

    It takes images of sides 8 k + 1 and gives logits of the same size.

    Raises:
        ConfigError: The package ``mseg_semantic`` is missing.
    """
    try:
        module = importlib.import_module("mseg_semantic.model.seg_hrnet")
    except ImportError as error:
        raise ConfigError(
            f"segmenter mseg: expected the package mseg_semantic, got none ({error}); install it with: "
            f"python third_party/mseg/install.py"
        ) from error
    network: nn.Module = module.get_configured_hrnet(len(load_class_list(CLASS_LIST).names))
    return network


def load_mseg_network(checkpoint: Path) -> nn.Module:
    """MSeg's network with the weights of a published checkpoint, on the CPU, in evaluation mode.

    The file is a dict with ``state_dict``, whose keys start with ``module.``; what else training left there is passed
    over. Every weight of the network must be there, and no other.

    Raises:
        ConfigError: The package ``mseg_semantic`` is missing.
        CheckpointError: A file that is missing or no such checkpoint; the message says what is wrong with it.
    """
    weights = _read_weights(checkpoint)
    network = make_mseg_network()
    expected = network.state_dict()
    found = weights.get(_LAST)
    if found is not None and len(found) != len(expected[_LAST]):
        raise CheckpointError(
            f"{checkpoint}: expected a network of MSeg's {len(expected[_LAST])} universal classes, got one of "
            f"{len(found)}; take MSeg-1M or one of the MSeg-3M"
        )
    wrong = [name for name, weight in expected.items() if name in weights and weights[name].shape != weight.shape]
    _expect_none(checkpoint, "missing", [name for name in expected if name not in weights], len(expected))
    _expect_none(checkpoint, "of another shape", wrong, len(expected))
    _expect_none(checkpoint, "unknown", [name for name in weights if name not in expected], len(expected))
    network.load_state_dict(weights, strict=True)
    return network.eval()


def _read_weights(checkpoint: Path) -> dict[str, Tensor]:
    if not checkpoint.is_file():
        raise CheckpointError(f"{checkpoint}: expected a checkpoint of MSeg, got no such file; see docs/segmenters.md")
    with checkpoint.open("rb") as file:
        start = file.read(256).lstrip().lower()
    if start.startswith((b"<!doctype", b"<html")):
        raise CheckpointError(
            f"{checkpoint}: expected a checkpoint of MSeg, got a web page; Google Drive asks before it hands out large "
            f"files: download it in a browser or with gdown"
        )
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"{checkpoint}: expected a checkpoint of torch, got a file that cannot be read as one ({reason}); is the "
            f"download whole?"
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        keys = ", ".join(map(str, list(content)[:_SHOWN])) if isinstance(content, dict) else type(content).__name__
        raise CheckpointError(f"{checkpoint}: expected a dict with state_dict, as MSeg publishes it, got {keys}")
    weights = content["state_dict"]
    bare = [name for name in weights if not str(name).startswith(_PREFIX)]
    if bare or not weights:
        got = f"{len(bare)} of {len(weights)} without, such as {', '.join(map(str, bare[:_SHOWN]))}" if bare else "none"
        raise CheckpointError(f"{checkpoint}: expected weights whose names start with {_PREFIX!r}, got {got}")
    return {str(name).removeprefix(_PREFIX): weight for name, weight in weights.items()}


def _expect_none(checkpoint: Path, what: str, names: list[str], count: int) -> None:
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        raise CheckpointError(
            f"{checkpoint}: expected the {count} weights of MSeg's HRNet-W48, got {len(names)} {what}: "
            f"{', '.join(names[:_SHOWN])}{more}; is it the checkpoint of another network?"
        )
