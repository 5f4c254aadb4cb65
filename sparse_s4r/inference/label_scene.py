"""Labels the frames of scenes with a 2D segmenter; stopped, it goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import JsonValue
from torch import Tensor

from sparse_s4r.data.import_options import ImportObserver, Silent
from sparse_s4r.data.label_sets import LabelSetDocument, LabelSetWriter, begin_label_set
from sparse_s4r.data.scene_format import Scene, open_scene
from sparse_s4r.inference.label_summary import LabelSummary, summarise
from sparse_s4r.render.pictures import class_palette
from sparse_s4r.segmentation.catalog import (
    DEFAULT_TAXONOMY,
    GEOMETRY_TAXONOMY,
    folder_digest,
    make_frame_segmenter,
    make_image_segmenter,
    parse_spec,
    trained_digest,
)
from sparse_s4r.segmentation.interface import ImageSegmenter, Segmenter
from sparse_s4r.segmentation.taxonomy import Taxonomy, load_taxonomy, shipped_taxonomies
from sparse_s4r.structures import IGNORE_LABEL, RGBDFrame
from sparse_s4r.structures.errors import ConfigError, DataError

# Probabilities (K, H, W) of each of some frames of one size.
Ask = Callable[[Sequence[RGBDFrame]], Sequence[Tensor]]
# Frames of a scene that tell the height of its floor.
_SAMPLE = 12
# In ``files:DIR`` it stands for the name of the scene's folder.
_SCENE_MARK = "{scene}"
_ROUNDING = 1e-3


@dataclass(frozen=True)
class LabelOptions:
    """How frames are labelled.

    Attributes:
        segmenter: As ``make_frame_segmenter`` takes it; in ``files:DIR``, ``{scene}`` stands for the name of the
            scene's folder.
        taxonomy: The classes, a shipped name or a YAML file; None for matterport11, or structure for geometry.
        name: Name of the label set; None for the kind of the segmenter.
        label_map: File that maps the network's classes to those of the taxonomy; None for the shipped one.
        batch: Frames given to a network at a time; more is faster on a GPU and takes more memory.
        scales: Sizes of the image, as factors, over which MSeg averages; None for one.
        min_confidence: Probability below which a pixel gets no label.
        overwrite: Replace a set of this name that was made in another way.

    Raises:
        ConfigError: A number out of range, or an unknown segmenter.
    """

    segmenter: str
    taxonomy: str | None = None
    name: str | None = None
    label_map: Path | None = None
    batch: int = 4
    scales: tuple[float, ...] | None = None
    min_confidence: float = 0.0
    overwrite: bool = False

    def __post_init__(self) -> None:
        parse_spec(self.segmenter)
        if self.batch < 1:
            raise ConfigError(f"batch: expected at least 1 frame, got {self.batch}")
        if not 0.0 <= self.min_confidence <= 1.0:
            raise ConfigError(f"min_confidence: expected a probability in [0, 1], got {self.min_confidence}")
        if self.scales is not None and not (self.scales and all(0 < scale < float("inf") for scale in self.scales)):
            raise ConfigError(f"scales: expected factors > 0, got {list(self.scales)}")

    @property
    def classes(self) -> str:
        """The taxonomy that is meant."""
        if self.taxonomy is not None:
            return self.taxonomy
        return GEOMETRY_TAXONOMY if parse_spec(self.segmenter).kind == "geometry" else DEFAULT_TAXONOMY

    @property
    def set_name(self) -> str:
        """The name of the label set that is meant."""
        return parse_spec(self.segmenter).kind if self.name is None else self.name


@dataclass(frozen=True)
class Labeller:
    """A segmenter ready for the frames of a scene.

    Attributes:
        class_names: Names of the K classes.
        digest: SHA-256 of what its labels depend on; None for nothing but the frames.
        ask: Gives the probabilities of some frames of one size.
    """

    class_names: tuple[str, ...]
    digest: str | None
    ask: Ask


def label_scenes(
    folders: Sequence[Path], options: LabelOptions, observer: ImportObserver | None = None
) -> Iterator[LabelSummary]:
    """Label all frames of scenes, one scene after the other.

    Args:
        folders: Scene folders; all are opened before the first is labelled.
        options: How.
        observer: Told of the frames as they are done.

    Yields:
        What each scene's label set holds, as soon as it is whole.

    Raises:
        ConfigError: An unknown segmenter, or an option that it does not have.
        DataError: A folder that is no scene, files that cannot be used, or a label set of this name that was made in
            another way.
    """
    scenes = [open_scene(folder) for folder in folders]
    make = _maker(options)
    for scene in scenes:
        yield label_scene(scene, make(scene), options, observer)


def label_scene(
    scene: Scene, labeller: Labeller, options: LabelOptions, observer: ImportObserver | None = None
) -> LabelSummary:
    """Label the frames of a scene that its set does not hold yet; see ``label_scenes``."""
    observer = observer or Silent()
    names = scene.frame_names()
    document = LabelSetDocument(
        class_names=labeller.class_names,
        segmenter=options.segmenter,
        label_map=None if options.label_map is None else str(options.label_map),
        digest=labeller.digest,
        options=_options_of(options),
    )
    writer = begin_label_set(scene.path, options.set_name, document, names, options.overwrite)
    missing = writer.missing(names)
    if missing:
        observer.stage("label", len(missing))
    for batch in _batches(scene, missing, options.batch):
        _label_batch(scene, batch, writer, labeller.ask, options.min_confidence)
        for _ in batch:
            observer.advance()
    return summarise(scene, writer, _display(options.classes, labeller.class_names), len(missing), observer)


def most_probable(probabilities: Tensor, min_confidence: float = 0.0) -> tuple[Tensor, Tensor]:
    """Labels and how sure they are.

    Args:
        probabilities: (K, H, W) in [0, 1].
        min_confidence: Probability below which a pixel has no label.

    Returns:
        (H, W) int64 class, ``IGNORE_LABEL`` for none, and its probability (H, W) float32, 0 where there is none.

    Raises:
        ValueError: Values that are no probabilities.
    """
    confidence, label = probabilities.float().max(dim=0)
    if not bool(((confidence >= 0) & (confidence <= 1 + _ROUNDING)).all()):
        raise ValueError("probabilities: expected values in [0, 1], got others or NaN")
    known = (confidence > 0) & (confidence >= min_confidence)
    return torch.where(known, label, IGNORE_LABEL), torch.where(known, confidence.clamp(max=1.0), 0.0)


def ask_images(segmenter: ImageSegmenter) -> Ask:
    """Asks about the colours of all frames at once."""

    def ask(frames: Sequence[RGBDFrame]) -> Sequence[Tensor]:
        return segmenter.probabilities(torch.stack([frame.color.permute(2, 0, 1) for frame in frames])).unbind()

    return ask


def ask_frames(segmenter: Segmenter) -> Ask:
    """Asks about one frame after the other."""
    return lambda frames: [segmenter.probabilities(frame) for frame in frames]


def _maker(options: LabelOptions) -> Callable[[Scene], Labeller]:
    """A function that makes the labeller of a scene; a network is loaded once for all scenes."""
    spec = parse_spec(options.segmenter)
    if spec.needs_frames:
        return lambda scene: _frame_labeller(scene, options)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = make_image_segmenter(options.segmenter, options.classes, options.label_map, device, options.scales)
    labeller = Labeller(network.class_names, trained_digest(network), ask_images(network))
    return lambda scene: labeller


def _frame_labeller(scene: Scene, options: LabelOptions) -> Labeller:
    spec = parse_spec(options.segmenter.replace(_SCENE_MARK, scene.path.resolve().name))
    name = spec.kind if spec.argument is None else f"{spec.kind}:{spec.argument}"
    names = scene.frame_names()
    sample = [scene.load_frame(frame) for frame in names[:: max(1, len(names) // _SAMPLE)]] if not spec.argument else []
    segmenter = make_frame_segmenter(name, options.classes, options.label_map, scales=options.scales, sample=sample)
    digest = None if spec.argument is None else folder_digest(Path(spec.argument))
    return Labeller(segmenter.class_names, digest, ask_frames(segmenter))


def _options_of(options: LabelOptions) -> dict[str, JsonValue]:
    """What changes labels, and is kept in labels.json; the number of frames at a time does not."""
    scales: JsonValue = None if options.scales is None else list(options.scales)
    return {"taxonomy": options.classes, "min_confidence": options.min_confidence, "scales": scales}


def _display(taxonomy: str, class_names: tuple[str, ...]) -> Taxonomy:
    """Names and colours to show: the taxonomy's colours, or made ones where a segmenter brings its own classes."""
    if taxonomy in shipped_taxonomies() or Path(taxonomy).is_file():
        known = load_taxonomy(taxonomy)
        if known.class_names == class_names:
            return known
    colors = tuple((red, green, blue) for red, green, blue in class_palette(len(class_names)).tolist())
    return Taxonomy(taxonomy, class_names, colors)


def _batches(scene: Scene, names: Sequence[str], size: int) -> Iterator[list[str]]:
    """``names`` in groups of at most ``size`` whose images have one size."""
    shapes = {frame.name: (frame.width, frame.height) for frame in scene.document.frames}
    batch: list[str] = []
    for name in names:
        if batch and (len(batch) == size or shapes[name] != shapes[batch[0]]):
            yield batch
            batch = []
        batch.append(name)
    if batch:
        yield batch


def _label_batch(scene: Scene, names: list[str], writer: LabelSetWriter, ask: Ask, min_confidence: float) -> None:
    frames = [scene.load_frame(name) for name in names]
    for frame, probabilities in zip(frames, ask(frames), strict=True):
        expected = (len(writer.class_names), *frame.depth.shape)
        try:
            if tuple(probabilities.shape) != expected:
                raise ValueError(f"probabilities: expected shape {expected}, got {tuple(probabilities.shape)}")
            labels, confidence = most_probable(probabilities, min_confidence)
        except ValueError as error:
            raise DataError(f"{scene.path}: frame {frame.name}: {writer.document.segmenter}: {error}") from error
        writer.write(frame.name, labels, confidence)
