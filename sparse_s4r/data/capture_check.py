"""What is wrong with a capture, found before anything is decoded or written."""

from __future__ import annotations

from sparse_s4r.data.readers.capture import Capture
from sparse_s4r.structures.errors import DataError

# More bad frames than this share is no accident of tracking but a fault of the capture as a whole.
MAX_BAD_SHARE = 0.2


def usable_frames(capture: Capture, skip_bad_frames: bool = False) -> tuple[Capture, tuple[str, ...]]:
    """Check the cameras, the image sizes and all poses.

    Args:
        capture: The capture.
        skip_bad_frames: Leave out frames without a usable pose or with an unreadable image header.

    Returns:
        The capture without the bad frames, and one line for each of them.

    Raises:
        DataError: No frames, intrinsics that do not fit the images, images of differing sizes; bad frames, unless
            they may be skipped and are at most ``MAX_BAD_SHARE`` of all.
    """
    if len(capture) == 0:
        raise DataError(f"{capture.name}: expected posed RGB-D frames, got none; the capture is empty")
    good: list[int] = []
    bad: list[str] = []
    sizes: list[tuple[tuple[int, int], tuple[int, int]]] = []
    for index in range(len(capture)):
        try:
            capture.pose(index)
            sizes.append(capture.sizes(index))
        except DataError as error:
            bad.append(str(error))
            continue
        good.append(index)
    expect_few_bad(bad, len(capture), skip_bad_frames)
    usable = capture.select(good)
    _expect_sizes(usable, sizes)
    _expect_intrinsics(usable, *sizes[0])
    return usable, tuple(bad)


def expect_few_bad(bad: list[str], count: int, skip_bad_frames: bool) -> None:
    """Raise DataError, quoting the frames, if any of ``count`` is bad or, where they may be skipped, too many are."""
    if bad and not skip_bad_frames:
        raise DataError(
            f"{len(bad)} of {count} frames cannot be used; --skip-bad-frames leaves them out:{_listing(bad)}"
        )
    if len(bad) > MAX_BAD_SHARE * count:
        raise DataError(
            f"{len(bad)} of {count} frames cannot be used, more than the {MAX_BAD_SHARE:.0%} that may be skipped; "
            f"mend the capture:{_listing(bad)}"
        )


def _expect_sizes(capture: Capture, sizes: list[tuple[tuple[int, int], tuple[int, int]]]) -> None:
    first_color, first_depth = sizes[0]
    first = capture.frames[0]
    for frame, (color, depth) in zip(capture.frames, sizes, strict=True):
        if capture.calibration.depth is None and depth != color:
            raise DataError(
                f"{frame.depth}: expected the size of {frame.color}, {_size(color)}, got {_size(depth)}; if depth has "
                "a camera of its own, give its intrinsics in depth_intrinsics.txt"
            )
        if color != first_color:
            raise DataError(
                f"{frame.color}: expected the size of {first.color}, {_size(first_color)}, got {_size(color)}"
            )
        if depth != first_depth:
            raise DataError(
                f"{frame.depth}: expected the size of {first.depth}, {_size(first_depth)}, got {_size(depth)}"
            )


def _expect_intrinsics(capture: Capture, color: tuple[int, int], depth: tuple[int, int]) -> None:
    calibration = capture.calibration
    cameras = [("colour", calibration.color, color)]
    if calibration.depth is not None:
        cameras.append(("depth", calibration.depth, depth))
    for role, matrix, (width, height) in cameras:
        (fx, _, cx), (_, fy, cy), last = matrix.tolist()
        # NaN fails every comparison, so that it is caught here too.
        if not (fx > 0 and fy > 0 and 0 < cx < width and 0 < cy < height and last == [0, 0, 1]):
            raise DataError(
                f"{calibration.source}: expected {role} intrinsics [fx 0 cx; 0 fy cy; 0 0 1] for {width}x{height} "
                f"images, got {matrix.tolist()}; are they of another resolution?"
            )


def _listing(lines: list[str], count: int = 10) -> str:
    more = len(lines) - count
    shown = [*lines[:count], f"and {more} more"] if more > 0 else lines
    return "".join(f"\n  {line}" for line in shown)


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
