"""Labels of a scan by votes of virtual views: the baseline of Kundu et al. without their network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor

from sparse_s4r.data.scene_document import Split
from sparse_s4r.data.scene_format import ScanName, Scene
from sparse_s4r.geometry.hash import VoxelHash
from sparse_s4r.geometry.lifting import lift_labels
from sparse_s4r.render import Raycaster
from sparse_s4r.render.shown import shown_picture
from sparse_s4r.render.virtual_options import VirtualViewOptions
from sparse_s4r.render.virtual_views import VirtualViewSampler
from sparse_s4r.segmentation.interface import ImageSegmenter
from sparse_s4r.structures import IGNORE_LABEL, Camera, RGBDFrame, ScenePrediction, SparseTSDF
from sparse_s4r.structures.errors import DataError

# Names of the frames that a scan was fused from.
_SPLITS: dict[ScanName, tuple[Split, ...]] = {"input": ("input",), "target": ("input", "target")}


@dataclass(frozen=True)
class VotingOptions:
    """Which views vote.

    Attributes:
        views: Virtual views; 0: none. A scan of few frames has few places with free space around them: what the search
            lacks is made up by wide pictures at the places of real cameras, one at each, evenly spaced.
        real: Whether the real frames vote too, labelled by the same segmenter.
        seed: Of the virtual views.
        virtual: What these are like.
        real_depth: Depth beyond which real frames do not vote, metres.

    Raises:
        ValueError: Nobody votes.
    """

    views: int = 60
    real: bool = True
    seed: int = 0
    virtual: VirtualViewOptions = field(default_factory=lambda: VirtualViewOptions(tries=20))
    real_depth: float = 6.0

    def __post_init__(self) -> None:
        if self.views < 0 or (self.views == 0 and not self.real):
            raise ValueError(f"VotingOptions: expected virtual views or real ones, got {self.views} and {self.real}")


@dataclass(frozen=True)
class VotedScan:
    """A scan with the labels that views gave it.

    Attributes:
        prediction: The scan as it is, with one-hot logits. Voxels that no view voted for have the label of the nearest
            one with a vote, and a confidence of 0.
        virtual_views: Virtual views that voted, at places found in free space.
        wide_views: Virtual views that voted, wide pictures at the places of real cameras.
        real_views: Real views that voted.
        voted: Share of the voxels with a vote.
    """

    prediction: ScenePrediction
    virtual_views: int
    wide_views: int
    real_views: int
    voted: float


def vote_labels(
    scene: Scene, segmenter: ImageSegmenter, scan_name: ScanName = "input", options: VotingOptions | None = None
) -> VotedScan:
    """Render a scan from virtual views, label the pictures, and let the labels vote for its voxels.

    Args:
        scene: Whose scan, frames and observation.
        segmenter: Labels the pictures.
        scan_name: The scan of the input's frames, or of all training frames; its real views are these.
        options: Which views vote.

    Returns:
        The scan with labels.

    Raises:
        DataError: A scan without colour, or no vote at all.

    Source:
        Kundu et al., "Virtual Multi-view Fusion for 3D Semantic Segmentation", 2020: virtual views, wider than real
        ones, labelled in 2D and fused. Left out: their segmenter, trained on rendered pictures of
        labelled scenes, with normals and places as inputs; views chosen by class, by scale and close to surfaces;
        meshes; sums of whole distributions, where here the most probable class votes with its probability.
    """
    options = options or VotingOptions()
    scan = scene.load_scan(scan_name)
    if scan.color is None:
        raise DataError(f"{scene.path}: expected a scan with colour to render, got one without; import with colour")
    names = scene.frame_names(*_SPLITS[scan_name])
    real_cameras = [scene.camera(name) for name in names]
    found = _virtual_cameras(scene, scan, scan_name, real_cameras, options)
    wide = wide_cameras(real_cameras, options.views - len(found), options.virtual)
    virtual = virtual_frames(scan, [*found, *wide], segmenter, options.virtual.far)
    real = _real_frames(scene, names if options.real else (), segmenter, options.real_depth)
    classes = len(segmenter.class_names)
    # Every frame leaves out for itself what is too far.
    lifted = lift_labels(
        chain(virtual, real),
        scene.grid,
        scan.coordinates,
        classes,
        fill=True,
        depth_max=max(options.virtual.far, options.real_depth),
    )
    if not bool(lifted.voted.any()):
        raise DataError(f"{scene.path}: expected a vote for some voxel, got none; name another segmenter or taxonomy")
    return VotedScan(
        replace(
            ScenePrediction.from_scan(scan),
            semantic_logits=F.one_hot(lifted.labels, classes).float(),
            observed=VoxelHash(scene.load_scan("input").coordinates).rows(scan.coordinates) >= 0,
            label_confidence=lifted.confidence,
        ),
        len(found),
        len(wide),
        len(names) if options.real else 0,
        float(lifted.voted.double().mean()),
    )


def wide_cameras(cameras: Sequence[Camera], count: int, options: VirtualViewOptions) -> list[Camera]:
    """At most ``count`` of ``cameras``, evenly spaced, each at most once, with the pictures of ``options``."""
    count = min(count, len(cameras))
    chosen = [cameras[number * len(cameras) // count] for number in range(count)]
    return [
        Camera(options.intrinsics(), camera.camera_to_world.double(), options.width, options.height)
        for camera in chosen
    ]


@torch.no_grad()
def virtual_frames(
    scan: SparseTSDF, cameras: Sequence[Camera], segmenter: ImageSegmenter, far: float
) -> Iterator[RGBDFrame]:
    """A scan's pictures at ``cameras``, with rendered depth and the segmenter's labels, one at a time.

    Args:
        scan: With colour.
        cameras: Where to render from.
        segmenter: Labels the pictures.
        far: Largest depth, metres.
    """
    raycaster = Raycaster(near=0.0, far=far)
    surface = raycaster.prepare(ScenePrediction.from_scan(scan))
    for number, camera in enumerate(cameras):
        view = raycaster.render(surface, camera)
        picture = shown_picture(view)
        labels, confidence = _labels(segmenter, picture)
        yield RGBDFrame(f"virtual {number}", camera, picture, view.depth.float(), labels, confidence)


def _virtual_cameras(
    scene: Scene, scan: SparseTSDF, scan_name: ScanName, cameras: Sequence[Camera], options: VotingOptions
) -> list[Camera]:
    """Cameras in free space, perhaps none."""
    if not options.views:
        return []
    sampler = VirtualViewSampler(scan, scene.load_observation(scan_name), options.virtual)
    try:
        found = sampler.sample(cameras, options.views, options.seed)
    except DataError:
        # No candidate passed; the number of views tells it.
        return []
    return [view.camera for view in found.views]


@torch.no_grad()
def _real_frames(
    scene: Scene, names: Sequence[str], segmenter: ImageSegmenter, depth_max: float
) -> Iterator[RGBDFrame]:
    """The frames with the segmenter's labels in place of their own."""
    for name in names:
        frame = scene.load_frame(name)
        labels, confidence = _labels(segmenter, frame.color)
        depth = torch.where(frame.depth <= depth_max, frame.depth, 0.0)
        yield replace(frame, depth=depth, labels=labels, confidence=confidence)


def _labels(segmenter: ImageSegmenter, picture: Tensor) -> tuple[Tensor, Tensor]:
    """Most probable class (H, W) and its probability (H, W) of a picture (H, W, 3); ``IGNORE_LABEL`` for none."""
    probabilities = segmenter.probabilities(picture.permute(2, 0, 1).unsqueeze(0))[0].to(picture.device)
    confidence, labels = probabilities.max(dim=0)
    return torch.where(confidence > 0, labels, IGNORE_LABEL), confidence.clamp(max=1.0)
