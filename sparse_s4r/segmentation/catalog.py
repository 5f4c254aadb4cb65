"""Segmenters by name: what ``s4r label`` and the configuration choose from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from sparse_s4r.segmentation.geometric import STRUCTURE_NAMES, GeometricSegmenter, estimate_floor
from sparse_s4r.segmentation.interface import FrameSegmenter, ImageSegmenter, Segmenter
from sparse_s4r.segmentation.label_images import LabelImageSegmenter
from sparse_s4r.segmentation.label_map import LabelMap, load_label_map
from sparse_s4r.segmentation.taxonomy import load_taxonomy
from sparse_s4r.structures import RGBDFrame
from sparse_s4r.structures.errors import ConfigError
from sparse_s4r.weights import shipped_weights

DEFAULT_TAXONOMY = "matterport11"
# The taxonomy of the geometry segmenter, which knows no other.
GEOMETRY_TAXONOMY = "structure"
_IMAGE_KINDS = {
    "shipped": "the small network of this package",
    "shipped:WEIGHTS.safetensors": "other weights of it",
    "mseg:CHECKPOINT.pth": "MSeg",
    "hf:NAME_OR_FOLDER": "a model of Hugging Face transformers",
}
_FRAME_KINDS = {
    "files:DIR": "label images NAME.png made elsewhere",
    "geometry": "floor, wall, ceiling and object from depth",
}


class TrainedSegmenter(ImageSegmenter, Protocol):
    """An ``ImageSegmenter`` whose labels follow from a network, a label map and how images are prepared."""

    @property
    def network(self) -> nn.Module:
        """The network."""
        ...

    @property
    def label_map(self) -> LabelMap | None:
        """From the network's classes to those of the taxonomy; None where they are the same."""
        ...

    @property
    def preparation(self) -> str:
        """All that decides how images are brought before the network, as text."""
        ...


@dataclass(frozen=True)
class SegmenterSpec:
    """A segmenter's name taken apart.

    Attributes:
        kind: "shipped", "mseg", "hf", "files" or "geometry".
        argument: What follows the colon; None where nothing does.
    """

    kind: str
    argument: str | None

    @property
    def needs_frames(self) -> bool:
        """True if it labels whole frames only, not any image, such as that of a virtual camera."""
        return self.kind in ("files", "geometry")


def parse_spec(spec: str) -> SegmenterSpec:
    """Take the name of a segmenter apart.

    Raises:
        ConfigError: No such kind, or an argument that is missing or too many; the message lists the kinds.
    """
    kind, colon, argument = spec.partition(":")
    needs = {"shipped": (True, True), "mseg": (False, True), "hf": (False, True), "files": (False, True)}
    alone, followed = {**needs, "geometry": (True, False)}.get(kind, (False, False))
    if not (followed and argument if colon else alone):
        raise ConfigError(f"segmenter {spec}: expected one of {_listed({**_IMAGE_KINDS, **_FRAME_KINDS})}, got another")
    return SegmenterSpec(kind, argument or None)


def make_image_segmenter(
    spec: str,
    taxonomy: str,
    label_map: Path | None = None,
    device: torch.device | str = "cpu",
    scales: tuple[float, ...] | None = None,
) -> TrainedSegmenter:
    """The segmenter of images that ``spec`` names.

    Args:
        spec: ``shipped``, ``shipped:WEIGHTS.safetensors``, ``mseg:CHECKPOINT.pth`` or ``hf:NAME_OR_FOLDER``.
        taxonomy: Name of a shipped taxonomy, or the path of a YAML file.
        label_map: A file that maps the network's classes to those of the taxonomy; None for the shipped one.
        device: Where the network runs.
        scales: Sizes of the image, as factors, over which MSeg averages; None for one size. MSeg only.

    Raises:
        ConfigError: An unknown spec, or ``scales`` for another kind.
        DataError: Weights, taxonomy or label map that cannot be used.
    """
    parsed = parse_spec(spec)
    if parsed.needs_frames:
        raise ConfigError(
            f"segmenter {spec}: expected one that labels any image, of {_listed(_IMAGE_KINDS)}, "
            f"got one that labels the frames of a scene only"
        )
    if scales is not None and parsed.kind != "mseg":
        raise ConfigError(f"segmenter {spec}: expected no scales, which only mseg has, got {list(scales)}")
    if parsed.kind == "shipped":
        return _shipped(parsed.argument, taxonomy, label_map, device)
    assert parsed.argument is not None
    if parsed.kind == "mseg":
        from sparse_s4r.segmentation.mseg import load_mseg_segmenter

        return load_mseg_segmenter(Path(parsed.argument), taxonomy, label_map, device, scales)
    from sparse_s4r.segmentation.hugging_face import load_hugging_face_segmenter

    return load_hugging_face_segmenter(parsed.argument, taxonomy, label_map, device)


def make_frame_segmenter(
    spec: str,
    taxonomy: str,
    label_map: Path | None = None,
    device: torch.device | str = "cpu",
    scales: tuple[float, ...] | None = None,
    sample: Iterable[RGBDFrame] = (),
) -> Segmenter:
    """The segmenter of frames that ``spec`` names.

    Args:
        spec: As for ``make_image_segmenter``, or ``files:DIR`` or ``geometry``.
        taxonomy: Name of a shipped taxonomy, or the path of a YAML file; ``structure`` for ``geometry``.
        label_map: As for ``make_image_segmenter``; None for ``files`` and ``geometry``.
        device: Where a network runs.
        scales: As for ``make_image_segmenter``.
        sample: Some frames spread over the scene, which tell ``geometry`` the height of the floor; none: each frame's
            lowest level surface is taken for it.

    Raises:
        ConfigError: An unknown spec, or an option that the kind does not have.
        DataError: Files that cannot be used.
    """
    parsed = parse_spec(spec)
    if not parsed.needs_frames:
        return FrameSegmenter(make_image_segmenter(spec, taxonomy, label_map, device, scales))
    if label_map is not None or scales is not None:
        raise ConfigError(f"segmenter {spec}: expected neither label map nor scales, which it does not have, got one")
    if parsed.kind == "files":
        assert parsed.argument is not None
        return LabelImageSegmenter(Path(parsed.argument), load_taxonomy(taxonomy).class_names)
    names = load_taxonomy(taxonomy).class_names
    if names != STRUCTURE_NAMES:
        raise ConfigError(f"segmenter geometry: expected the taxonomy {GEOMETRY_TAXONOMY}, got {taxonomy}")
    frames = tuple(sample)
    return GeometricSegmenter(floor_height=estimate_floor(frames) if frames else None)


def trained_digest(segmenter: TrainedSegmenter) -> str:
    """SHA-256 of weights, label map and preparation of images of a segmenter, wherever its files lie."""
    total = hashlib.sha256(f"{segmenter.preparation}\n".encode())
    for name, tensor in sorted(segmenter.network.state_dict().items()):
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        total.update(_bytes(tensor))
    label_map = segmenter.label_map
    if label_map is not None:
        total.update(repr((label_map.source_names, label_map.class_names, label_map.targets)).encode())
    return total.hexdigest()


def folder_digest(folder: Path) -> str:
    """SHA-256 of the names and contents of the PNG files of a folder."""
    total = hashlib.sha256()
    for path in sorted(folder.glob("*.png")):
        total.update(f"{path.name}\n".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _shipped(
    weights: str | None, taxonomy: str, label_map: Path | None, device: torch.device | str
) -> TrainedSegmenter:
    from sparse_s4r.segmentation import room_segmenter

    path = None if weights is None else Path(weights)
    if label_map is None:
        return room_segmenter.load_room_segmenter(taxonomy, path).to(device)
    stored = room_segmenter.load_room_weights(shipped_weights(room_segmenter.WEIGHTS) if path is None else path)
    chosen = load_label_map(label_map, stored.class_names, load_taxonomy(taxonomy).class_names)
    return room_segmenter.RoomSegmenter(stored.network, chosen, stored.long_side).to(device)


def _bytes(tensor: Tensor) -> bytes:
    # Reinterpreted, since NumPy knows no bfloat16.
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def _listed(kinds: dict[str, str]) -> str:
    return ", ".join(f"{spec} ({meaning})" for spec, meaning in kinds.items())
