"""What a data report says, topic by topic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]
# What the comparison of neighbouring frames says of the poses.
Verdict = Literal["fits", "another reading fits", "nothing fits", "cannot be told"]


@dataclass(frozen=True)
class Finding:
    """Something that looks wrong.

    Attributes:
        kind: What it is, in a few words.
        severity: "error" if what is built from the capture will be wrong, "warning" if it will be worse than need be.
        evidence: What was measured.
        remedy: What to do.
    """

    kind: str
    severity: Severity
    evidence: str
    remedy: str


@dataclass(frozen=True)
class FrameFacts:
    """Frames of the capture.

    Attributes:
        layout: Layout it was read as.
        listed: Frames that the capture lists.
        usable: Frames left after the checks.
        sampled: Frames that were decoded for this report.
        skipped: One line per frame left out.
        notes: What the reader assumed or left out.
    """

    layout: str
    listed: int
    usable: int
    sampled: int
    skipped: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ImageFacts:
    """Images and cameras, of the first frame.

    Attributes:
        color_size: (width, height) of colour.
        depth_size: (width, height) of depth.
        intrinsics: Where the intrinsics come from.
        focal: (fx, fy) of colour, pixels.
        center: (cx, cy) of colour, pixels.
        horizontal_degrees: Horizontal field of view of colour.
    """

    color_size: tuple[int, int]
    depth_size: tuple[int, int]
    intrinsics: str
    focal: tuple[float, float]
    center: tuple[float, float]
    horizontal_degrees: float


@dataclass(frozen=True)
class DepthFacts:
    """Depth as stored.

    Attributes:
        scale: Metres per unit.
        images: Number of images looked at.
        valid: Share of pixels with a measurement.
        nearest: First percentile, metres.
        median: Median, metres.
        farthest: 99th percentile, metres.
        single_gaps: Share of pixels without depth between two opposite neighbours of one surface.
        grid: True if those form one-pixel lines.
        repaired: True if the reader fills them.
        invalid_values: Numbers that mean "no measurement", beside 0.
        saturated: Share of pixels with the largest 16-bit number, where that counts as a measurement.
        beyond: Share of the measurements beyond the largest depth that is fused.
        histogram: Share of the measurements per bin.
        bin_width: Width of a bin, metres; the first starts at 0.
    """

    scale: float
    images: int
    valid: float
    nearest: float
    median: float
    farthest: float
    single_gaps: float
    grid: bool
    repaired: bool
    invalid_values: tuple[int, ...]
    saturated: float
    beyond: float
    histogram: tuple[float, ...]
    bin_width: float


@dataclass(frozen=True)
class Trial:
    """Neighbouring frames compared under one assumption.

    Attributes:
        name: The assumption.
        error: Median relative difference of predicted and measured depth; infinite if the views do not overlap.
        metres: The same in metres.
        overlap: Median share of a view's points that fall onto measured depth of the other.
        overlapping: Number of pairs that overlap.
    """

    name: str
    error: float
    metres: float
    overlap: float
    overlapping: int


@dataclass(frozen=True)
class PoseFacts:
    """Poses, and what neighbouring frames say of them.

    Attributes:
        convention: The declared convention.
        verdict: Whether it fits.
        pairs: Number of pairs of frames compared.
        declared: As declared.
        readings: Camera-to-world and its inverse, in OpenCV and OpenGL axes.
        others: Other conventions, units, orders of the poses and focal lengths.
    """

    convention: str
    verdict: Verdict
    pairs: int
    declared: Trial
    readings: tuple[Trial, ...]
    others: tuple[Trial, ...]


@dataclass(frozen=True)
class ColorFacts:
    """Whether colour lies on depth, from edges.

    Attributes:
        verdict: "registered", "shifted" or "cannot be told".
        shift: (right, down) of colour against depth where their edges agree best, share of the image width.
        scale: Size of the colour picture against depth there.
        score: Strength of colour edges at depth edges as the capture has them, above the average.
        best_score: The same for the best shift and scale.
        frames: Number of frames with edges of depth.
        supporting: Number of those in which the best place beats the given one.
    """

    verdict: Literal["registered", "shifted", "cannot be told"]
    shift: tuple[float, float]
    scale: float
    score: float
    best_score: float
    frames: int
    supporting: int


@dataclass(frozen=True)
class MotionFacts:
    """The camera's way.

    Attributes:
        length: Length of the path, metres.
        step: Median distance between successive frames, metres.
        turn: Median angle between successive frames, degrees.
        jumps: One line per jump.
        repeated: Successive frames with exactly the same pose.
        pose_order: Median step as a share of the distance of two random frames; near 1 without any order.
        image_order: How often a frame's colours are more like its neighbour's than another's; 0.5 without order.
        duration: Seconds, if there are time stamps.
        rate: Frames per second, if there are time stamps.
        gaps: One line per gap in time.
        backward: Frames whose time stamp is not after that of the frame before.
    """

    length: float
    step: float
    turn: float
    jumps: tuple[str, ...]
    repeated: int
    pose_order: float
    image_order: float
    duration: float | None
    rate: float | None
    gaps: tuple[str, ...]
    backward: int


@dataclass(frozen=True)
class UpFacts:
    """The up direction.

    Attributes:
        direction: Unit vector in the capture's world.
        source: How it is known.
        off: Angle to the direction that floors and cameras suggest, degrees.
    """

    direction: tuple[float, float, float]
    source: str
    off: float


@dataclass(frozen=True)
class SpaceFacts:
    """Size of what was seen, from the sampled frames.

    Attributes:
        extent: (x, y, z) with z up, metres, without the outermost 0.1 % on each side.
        voxel_size: Edge of a voxel, metres.
        surface_voxels: Voxels that hold a sampled point.
    """

    extent: tuple[float, float, float]
    voxel_size: float
    surface_voxels: int


@dataclass(frozen=True)
class SharpnessFacts:
    """Blur and repetition, from the sampled frames.

    Attributes:
        median: Median variance of the Laplacian of grey values in [0, 255], at the sample's width.
        least: Smallest.
        blurred: Number of frames far less sharp than the capture's median.
        frames: Number of frames looked at.
        duplicates: Number of frames that look exactly like a neighbour.
        compared: Number of frames compared with a neighbour.
    """

    median: float
    least: float
    blurred: int
    frames: int
    duplicates: int
    compared: int


@dataclass(frozen=True)
class ImportOutcome:
    """What the import made of the capture.

    Attributes:
        frames_written: Frames in the scene.
        lost: One line per frame that got lost on the way.
        seconds: Wall time.
        frames_per_second: Decoded, written and fused.
        voxels_input: Voxels of the incomplete scan.
        voxels_target: Voxels of the fuller scan.
        voxel_size: Edge of a voxel, metres.
        extent: Size of the scene's box, metres.
    """

    frames_written: int
    lost: tuple[str, ...]
    seconds: float
    frames_per_second: float
    voxels_input: int
    voxels_target: int
    voxel_size: float
    extent: tuple[float, float, float]


@dataclass(frozen=True)
class CaptureReport:
    """All that is known of a capture before, and with ``outcome`` after, its import."""

    name: str
    frames: FrameFacts
    images: ImageFacts
    depth: DepthFacts
    poses: PoseFacts
    color: ColorFacts
    motion: MotionFacts
    up: UpFacts
    space: SpaceFacts
    sharpness: SharpnessFacts
    findings: tuple[Finding, ...]
    seconds: float
    outcome: ImportOutcome | None = None

    @property
    def verdict(self) -> str:
        """In a line, what a capture without findings is: sound, or not to be judged in some respect."""
        unknown = [
            name
            for name, verdict in (("poses", self.poses.verdict), ("registration of colour", self.color.verdict))
            if verdict == "cannot be told"
        ]
        return "nothing looks wrong" + (f", but {' and '.join(unknown)} cannot be told" if unknown else "")
