"""Which frames of a scan choose the weights, and which report on them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sparse_s4r.data.scene_format import Scene
from sparse_s4r.structures.errors import DataError

# Fewer held-out frames than this are all kept to report.
_ENOUGH = 4


@dataclass(frozen=True)
class JudgingFrames:
    """Frames that take no part in the training.

    Attributes:
        choosing: Names of those that choose the weights, at least one.
        reporting: Names of those that are looked at before and after only; empty if the scene holds none out.
        in_scan: Whether the choosing ones are frames that the fuller scan was fused from, so that the 3D terms know
            what they saw.
    """

    choosing: tuple[str, ...]
    reporting: tuple[str, ...]
    in_scan: bool


def judging_frames(scene: Scene, most: int) -> JudgingFrames:
    """Share out the held-out frames: one half at most, and ``most`` at most, chooses, the others report.

    With fewer than four of them all report, and a quarter of the training frames chooses: of those outside the
    input if there are enough.

    Raises:
        DataError: A scene with too few frames to take any from the training.
    """
    held_out = scene.frame_names("held_out")
    if len(held_out) >= _ENOUGH:
        choosing = evenly(held_out, min(most, len(held_out) // 2))
        return JudgingFrames(choosing, tuple(name for name in held_out if name not in choosing), False)
    beyond, training = scene.frame_names("target"), scene.frame_names("input", "target")
    source = beyond if len(beyond) >= _ENOUGH else training
    if len(training) < 2:
        raise DataError(
            f"{scene.path}: expected at least 2 training frames, one to learn from and one to choose by, got "
            f"{len(training)}; import it with more frames"
        )
    return JudgingFrames(evenly(source, min(most, max(1, len(source) // 4))), held_out, True)


def evenly(names: Sequence[str], count: int) -> tuple[str, ...]:
    """``count`` of ``names``, evenly spaced."""
    return tuple(names[int((number + 0.5) * len(names) / count)] for number in range(count))


def without_training_on(scene: Scene, names: Collection[str]) -> Scene:
    """The same scene, of which the frames ``names`` count as held out; nothing on disk changes."""
    frames = tuple(
        frame.model_copy(update={"split": "held_out"}) if frame.name in names else frame
        for frame in scene.document.frames
    )
    return Scene(scene.path, scene.document.model_copy(update={"frames": frames}))
