"""What is wrong with a capture, found before anything is decoded or written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sparse_s4r.data.readers.capture import Capture
from sparse_s4r.structures.errors import DataError

# More bad frames than this share is no accident of tracking but a fault of the capture as a whole.
MAX_BAD_SHARE = 0.2

# (width, height) of colour and of depth.
Sizes = tuple[tuple[int, int], tuple[int, int]]


def usable_frames(
    capture: Capture, skip_bad_frames: bool = False, max_share: float = MAX_BAD_SHARE
) -> tuple[Capture, tuple[str, ...]]:
    """Check the cameras, the image sizes and all poses.

    Bad are frames without a usable pose, without a readable image header, whose intrinsics do not fit their images,
    and those whose images have other sizes than most frames have, unless they bring a calibration of their own.

    Args:
        capture: The capture.
        skip_bad_frames: Leave out bad frames instead of stopping.
        max_share: Largest share of all frames that may be left out.

    Returns:
        The capture without the bad frames, and one line for each of them.

    Raises:
        DataError: No frames; bad frames, unless they may be skipped and are at most ``max_share`` of all.
    """
    if len(capture) == 0:
        raise DataError(f"{capture.name}: expected posed RGB-D frames, got none; the capture is empty")
    bad: dict[int, str] = {}
    sizes: dict[int, Sizes] = {}
    for index in range(len(capture)):
        try:
            capture.pose(index)
            sizes[index] = _fitting_sizes(capture, index)
        except DataError as error:
            bad[index] = str(error)
    bad |= _of_other_sizes(capture, {index: size for index, size in sizes.items() if index not in bad})
    lines = tuple(bad[index] for index in sorted(bad))
    expect_few_bad(lines, len(capture), skip_bad_frames, max_share)
    return (capture.select([index for index in range(len(capture)) if index not in bad]) if bad else capture), lines


def expect_few_bad(bad: Sequence[str], count: int, skip_bad_frames: bool, max_share: float = MAX_BAD_SHARE) -> None:
    """Raise DataError, quoting the reasons, if frames are bad and may not be skipped, or are too many or all.

    Args:
        bad: One line per bad frame.
        count: Number of all frames.
        skip_bad_frames: Whether bad frames may be skipped.
        max_share: Largest share that may be skipped.
    """
    if not bad:
        return
    found = f"{len(bad)} of {count} frames cannot be used"
    if not skip_bad_frames:
        raise DataError(f"{found}; leave out --strict to go on without them:{_listing(bad)}")
    if len(bad) > max_share * count or len(bad) == count:
        raise DataError(
            f"{found}, more than the {max_share:.0%} that may be left out (--max-skipped); "
            f"mend the capture:{_listing(bad)}"
        )


def _fitting_sizes(capture: Capture, index: int) -> Sizes:
    color, depth = capture.sizes(index)
    calibration, frame = capture.calibration_of(index), capture.frames[index]
    if calibration.depth is None and not calibration.depth_has_own_size and depth != color:
        raise DataError(
            f"{frame.depth}: expected the size of {frame.color}, {_size(color)}, got {_size(depth)}; if depth has "
            "a camera of its own, give its intrinsics in depth_intrinsics.txt"
        )
    calibration.expect_fit(color, depth)
    return color, depth


def _of_other_sizes(capture: Capture, sizes: dict[int, Sizes]) -> dict[int, str]:
    """Frames whose sizes are not those of most frames that share the capture's calibration."""
    shared = {index: size for index, size in sizes.items() if capture.frames[index].calibration is None}
    if not shared:
        return {}
    usual, _ = Counter(shared.values()).most_common(1)[0]
    found = {}
    for index, size in shared.items():
        frame = capture.frames[index]
        for image, expected, got in zip((frame.color, frame.depth), usual, size, strict=True):
            if got != expected:
                found[index] = (
                    f"{image}: expected {_size(expected)} as most frames have, got {_size(got)}; images of several "
                    "sizes need intrinsics for each"
                )
                break
    return found


def _listing(lines: Sequence[str], count: int = 10) -> str:
    """The reasons, each once, with the number of frames that share it."""
    reasons = [line if times == 1 else f"{line} ({times} frames)" for line, times in Counter(lines).items()]
    more = len(reasons) - count
    shown = [*reasons[:count], f"and {more} more"] if more > 0 else reasons
    return "".join(f"\n  {line}" for line in shown)


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
