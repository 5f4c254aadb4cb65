"""What looks wrong beside the poses, each with its evidence and its remedy."""

from __future__ import annotations

import math

from sparse_s4r.data.report.facts import (
    ColorFacts,
    DepthFacts,
    Finding,
    FrameFacts,
    ImageFacts,
    MotionFacts,
    SharpnessFacts,
    UpFacts,
)

_MANY_SKIPPED = 0.05
_LITTLE_DEPTH = 0.2
_MANY_GAPS = 0.05
_SATURATED = 0.005
_MUCH_BEYOND = 0.4
# The principal point of a camera lies within this share of the image from its middle.
_OFF_CENTER = 0.15
_FIELD = (20.0, 130.0)
_REPEATED = 0.05
_MANY = 0.2
# Directions that cameras and floors suggest are right to a few degrees where there is a floor.
_TILTED = 30.0
_ORDERED = 0.5
_SHOWN = 3


def frame_findings(frames: FrameFacts) -> list[Finding]:
    """Frames left out."""
    share = len(frames.skipped) / max(1, frames.listed)
    if share <= _MANY_SKIPPED:
        return []
    return [
        Finding(
            "many frames left out",
            "warning",
            f"{len(frames.skipped)} of {frames.listed} frames ({share:.0%}) cannot be used: {_some(frames.skipped)}",
            "mend or export those frames again; where tracking was lost the scene will have holes",
        )
    ]


def image_findings(images: ImageFacts) -> list[Finding]:
    """Intrinsics that cannot be those of the images."""
    offset = [abs(c - (size - 1) / 2) / size for c, size in zip(images.center, images.color_size, strict=True)]
    width, height = images.color_size
    found = []
    if max(offset) > _OFF_CENTER:
        found.append(
            Finding(
                "intrinsics of another resolution",
                "error",
                f"the principal point ({images.center[0]:.0f}, {images.center[1]:.0f}) lies {max(offset):.0%} of the "
                f"image off the middle of {width}x{height}",
                f"give the intrinsics for {width}x{height}: fx, fy, cx and cy scale with the size. A picture that was "
                "cropped on purpose is fine",
            )
        )
    if not _FIELD[0] <= images.horizontal_degrees <= _FIELD[1]:
        found.append(
            Finding(
                "implausible field of view",
                "warning",
                f"a focal length of {images.focal[0]:.0f} pixels at a width of {width} is a field of view of "
                f"{images.horizontal_degrees:.0f} degrees; cameras of rooms have 40 to 110",
                f"check {images.intrinsics}: are the intrinsics for another size?",
            )
        )
    return found


def depth_findings(depth: DepthFacts, depth_max: float) -> list[Finding]:
    """Holes and numbers that are no depth."""
    found = []
    if depth.saturated > _SATURATED:
        found.append(
            Finding(
                "65535 counted as depth",
                "error",
                f"{depth.saturated:.1%} of the pixels hold 65535, which would be {65535 * depth.scale:.1f} m",
                "declare it as invalid: invalid_depth [65535] in capture.json",
            )
        )
    if depth.single_gaps > _MANY_GAPS and not depth.repaired:
        pattern = "one-pixel lines" if depth.grid else "single pixels"
        found.append(
            Finding(
                "one-pixel gaps in depth",
                "warning",
                f"{depth.single_gaps:.0%} of the pixels are {pattern} without depth between two that have it; "
                f"{depth.valid:.0%} are valid, {depth.valid + depth.single_gaps:.0%} if such gaps are filled",
                "fill them: repair_gaps true in capture.json",
            )
        )
    if depth.valid < _LITTLE_DEPTH:
        found.append(
            Finding(
                "little depth",
                "warning",
                f"{depth.valid:.0%} of the pixels have depth",
                "expect large holes; check the confidence threshold, masks, and the range of the sensor",
            )
        )
    if depth_max < math.inf and depth.beyond > _MUCH_BEYOND:
        found.append(
            Finding(
                "much depth is not used",
                "warning",
                f"{depth.beyond:.0%} of the measurements lie beyond {depth_max:g} m, from where nothing is fused",
                "raise --depth-max, or check the depth unit",
            )
        )
    return found


def color_findings(color: ColorFacts, width: int) -> list[Finding]:
    """Colour that lies elsewhere than depth."""
    if color.verdict != "shifted":
        return []
    right, down = color.shift[0] * width, color.shift[1] * width
    scaled = "" if color.scale == 1.0 else f" and {color.scale:.2f} times as large"
    return [
        Finding(
            "colour is not registered to depth",
            "error",
            f"edges of depth appear in colour {right:+.0f} pixels to the right and {down:+.0f} down{scaled} "
            f"(strength {color.best_score:.2f} there, {color.score:.2f} in place, in {color.supporting} of "
            f"{color.frames} frames)",
            "depth has a camera of its own: give its intrinsics (depth_intrinsics.txt) and the transform to the colour "
            "camera (depth_to_color.txt), or export depth aligned to colour",
        )
    ]


def motion_findings(motion: MotionFacts, frames: int) -> list[Finding]:
    """Jumps, gaps, and poses or time stamps that stand still."""
    found = []
    if motion.jumps and motion.pose_order < _ORDERED:
        found.append(
            Finding(
                "pose jumps",
                "warning",
                f"{len(motion.jumps)} steps are far longer than the usual {motion.step:.2f} m: {_some(motion.jumps)}",
                "if it is one recording, tracking jumped: import the parts before and after on their own; several "
                "recordings in one folder are fine if their poses share a world",
            )
        )
    if motion.repeated > _REPEATED * frames:
        found.append(
            Finding(
                "poses stand still",
                "warning",
                f"{motion.repeated} of {frames} frames have exactly the pose of the frame before",
                "tracking froze, or frames were stored twice: leave those frames out",
            )
        )
    if motion.gaps:
        found.append(
            Finding(
                "gaps in time",
                "warning",
                f"{len(motion.gaps)} gaps are more than 5 times the usual interval: {_some(motion.gaps)}",
                "frames were dropped; places seen only then will be missing",
            )
        )
    if motion.backward:
        found.append(
            Finding(
                "time stamps out of order",
                "warning",
                f"{motion.backward} frames have no later time stamp than the frame before",
                "sort the frames by time, or export the time stamps again",
            )
        )
    return found


def up_findings(up: UpFacts) -> list[Finding]:
    """An up direction that cameras and floors speak against."""
    if up.off <= _TILTED:
        return []
    return [
        Finding(
            "up direction is doubtful",
            "warning",
            f"up is {up.source}, but floors and the way cameras are held point {up.off:.0f} degrees away from it",
            "look at the top view in report.png; give the axis with --up",
        )
    ]


def picture_findings(sharpness: SharpnessFacts) -> list[Finding]:
    """Blurred and repeated pictures."""
    found = []
    if sharpness.blurred > _MANY * sharpness.frames:
        found.append(
            Finding(
                "many blurred frames",
                "warning",
                f"{sharpness.blurred} of {sharpness.frames} frames have less than a tenth of the usual sharpness",
                "choose sharper frames (key-frame selection), or record with more light and slower",
            )
        )
    if sharpness.duplicates > _MANY * sharpness.compared:
        found.append(
            Finding(
                "duplicate frames",
                "warning",
                f"{sharpness.duplicates} of {sharpness.compared} frames look exactly like their neighbour",
                "use every n-th frame (--every) or key-frame selection",
            )
        )
    return found


def _some(lines: tuple[str, ...]) -> str:
    more = len(lines) - _SHOWN
    return "; ".join(lines[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
