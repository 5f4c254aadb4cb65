"""The shipped segmenter: a small network trained on made rooms; see docs/model-cards/room-segmenter.md."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from sparse_s4r.segmentation.label_map import LabelMap, drop_ignored, load_label_map, sum_targets
from sparse_s4r.segmentation.room_net import RoomNet, whole_cells
from sparse_s4r.segmentation.taxonomy import load_taxonomy
from sparse_s4r.structures.errors import DataError
from sparse_s4r.weights import shipped_weights

WEIGHTS = "room_segmenter.safetensors"
# Name of the fine classes in label maps, and as a taxonomy.
FINE = "rooms39"
# Longer side of the images that the network is trained for, pixels: more room fits into what it sees at once, and
# more images into the time to train.
LONG_SIDE = 160
_FORMAT = "sparse_s4r room segmenter"
_VERSION = 1
_REQUIRED = ("format", "version", "class_names", "long_side", "command", "seed")


@dataclass(frozen=True)
class RoomWeights:
    """What a file of weights says.

    Attributes:
        network: The network in evaluation mode.
        class_names: Its F fine classes.
        command: The command that trained it.
        seed: The seed of the training.
        long_side: Longer side of the images it was trained for, pixels.
    """

    network: RoomNet
    class_names: tuple[str, ...]
    command: str
    seed: int
    long_side: int = LONG_SIDE


class RoomSegmenter:
    """Sums a network's probabilities of fine classes to those of a taxonomy.

    Args:
        network: Trained network; put into evaluation mode.
        label_map: From the network's classes to the taxonomy's.
        long_side: Images are shown to the network with this many pixels along their longer side: it knows things by
            the sizes that they have in its training.

    Raises:
        ValueError: A map from another number of classes than the network has, or a side without pixels.
    """

    def __init__(self, network: RoomNet, label_map: LabelMap, long_side: int = LONG_SIDE) -> None:
        if long_side < 1:
            raise ValueError(f"long_side: expected at least one pixel, got {long_side}")
        if network.class_count != len(label_map.source_names):
            raise ValueError(
                f"label map {label_map.name}: expected {network.class_count} source classes, as the network has, "
                f"got {len(label_map.source_names)}"
            )
        self.network = network.eval()
        self.label_map = label_map
        self.long_side = long_side

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the K classes of the taxonomy."""
        return self.label_map.class_names

    @property
    def preparation(self) -> str:
        """All that decides how images are brought before the network, as text."""
        return f"long side {self.long_side}"

    def to(self, device: torch.device | str) -> RoomSegmenter:
        """Move the network to ``device``; returns itself."""
        self.network.to(device)
        return self

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> Tensor:
        """Probabilities of every pixel.

        Args:
            images: (B, 3, H, W) float RGB in [0, 1], of any size; moved to the network's device.

        Returns:
            (B, K, H, W) float32, per pixel of sum 1, or of sum 0 where more falls on classes that the taxonomy does
            not know than on any that it knows.

        Raises:
            ValueError: Another shape.
        """
        if images.dim() != 4 or images.shape[1] != 3 or 0 in images.shape:
            raise ValueError(f"images: expected (B, 3, H, W) with pixels, got {tuple(images.shape)}")
        height, width = images.shape[-2:]
        device = next(self.network.parameters()).device
        shown = resized(images.to(device, torch.float32), self.long_side)
        padded = whole_cells(shown)
        # Summed before it is enlarged: there are far fewer classes than fine ones.
        sums = sum_targets(self.network.quarter_logits(padded).softmax(1), self.label_map)
        whole = functional.interpolate(sums, padded.shape[-2:], mode="bilinear", align_corners=False)
        known = whole[..., : shown.shape[-2], : shown.shape[-1]]
        return drop_ignored(functional.interpolate(known, (height, width), mode="bilinear", align_corners=False))


def resized(images: Tensor, long_side: int) -> Tensor:
    """``images`` (B, 3, H, W) with ``long_side`` pixels along the longer side and the aspect they had."""
    height, width = images.shape[-2:]
    factor = long_side / max(height, width)
    size = (max(round(height * factor), 1), max(round(width * factor), 1))
    return functional.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)


def load_room_segmenter(taxonomy: str = "matterport11", weights: Path | None = None) -> RoomSegmenter:
    """The segmenter for a taxonomy.

    Args:
        taxonomy: ``matterport11``, ``scannet15``, ``scannet20``, or ``rooms39`` for the fine classes themselves.
        weights: A file that ``save_room_weights`` wrote; None for the shipped one.

    Raises:
        DataError: An unknown taxonomy, one that there is no label map for, or a file that does not hold such weights.
    """
    stored = load_room_weights(shipped_weights(WEIGHTS) if weights is None else weights)
    return RoomSegmenter(stored.network, room_label_map(taxonomy, stored.class_names), stored.long_side)


def room_label_map(taxonomy: str, fine_names: tuple[str, ...]) -> LabelMap:
    """The map from the network's classes to a taxonomy's; ``rooms39`` maps them to themselves.

    Raises:
        DataError: An unknown taxonomy, or one that there is no label map for.
    """
    if taxonomy == FINE:
        return LabelMap(FINE, fine_names, fine_names, tuple(range(len(fine_names))))
    return load_label_map(f"{FINE}-{taxonomy}", fine_names, load_taxonomy(taxonomy).class_names)


def save_room_weights(path: Path, stored: RoomWeights, kind: torch.dtype = torch.float32) -> None:
    """Write weights with what is needed to use them and to make them again; numbers are stored as ``kind``."""
    tensors = {
        name: value.detach().cpu().contiguous().to(kind if value.is_floating_point() else value.dtype)
        for name, value in stored.network.state_dict().items()
    }
    metadata = {
        "format": _FORMAT,
        "version": str(_VERSION),
        "class_names": json.dumps(stored.class_names),
        "long_side": str(stored.long_side),
        "command": stored.command,
        "seed": str(stored.seed),
    }
    save_file(tensors, path, metadata)


def load_room_weights(path: Path) -> RoomWeights:
    """Read weights strictly.

    Raises:
        DataError: No such file, another kind of file, a newer version, or weights that are not those of the network.
    """
    if not path.is_file():
        raise DataError(f"{path}: expected a file with weights of the room segmenter, found none")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dictionary
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path}: expected a safetensors file, got a damaged one or another kind ({error})") from error
    class_names, long_side, seed = _described(path, metadata)
    network = RoomNet(len(class_names))
    _expect_weights(path, network.state_dict(), tensors)
    network.load_state_dict(tensors)
    return RoomWeights(network.eval(), class_names, metadata["command"], seed, long_side)


def _described(path: Path, metadata: dict[str, str]) -> tuple[tuple[str, ...], int, int]:
    """Class names, longer side and seed."""
    if metadata.get("format") != _FORMAT:
        raise DataError(f"{path}: expected weights of the room segmenter, got {metadata.get('format', 'others')}")
    missing = [name for name in _REQUIRED if name not in metadata]
    if missing:
        raise DataError(f"{path}: expected metadata {', '.join(_REQUIRED)}, got none of {', '.join(missing)}")
    try:
        version, long_side, seed = (int(metadata[name]) for name in ("version", "long_side", "seed"))
        names = json.loads(metadata["class_names"])
    except ValueError as error:
        raise DataError(f"{path}: expected numbers and a list in the metadata, got others ({error})") from error
    if version > _VERSION:
        raise DataError(f"{path}: expected version {_VERSION} or older, got {version}; update sparse_s4r")
    if long_side < 1:
        raise DataError(f"{path}: expected a long_side of at least one pixel, got {long_side}")
    if not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
        raise DataError(f"{path}: expected class_names as a list of names, got {metadata['class_names'][:80]}")
    return tuple(names), long_side, seed


def _expect_weights(path: Path, expected: dict[str, Tensor], found: dict[str, Tensor]) -> None:
    missing, foreign = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    reshaped = [name for name in expected if name in found and found[name].shape != expected[name].shape]
    if missing or foreign or reshaped:
        raise DataError(
            f"{path}: expected the {len(expected)} weights of the room segmenter's network, got {len(missing)} too few "
            f"{missing[:2]}, {len(foreign)} unknown {foreign[:2]}, {len(reshaped)} of another shape {reshaped[:2]}; "
            "the file belongs to another version of the network"
        )
