"""What every reader's test asks of the frames it reads."""

from __future__ import annotations

import numpy as np

from sparse_s4r.data.readers import Capture
from tests.data.writers.room import off_surface, unprojected

# Colours are whole steps of up to 1.6 cm, and JPEG blurs them.
_COLOR_TOLERANCE = 0.05
_FEWEST_POINTS = 500


def off_room(
    capture: Capture, tolerance: float, to_room: np.ndarray | None = None, share: float = 0.99, width: int | None = None
) -> list[str]:
    """What is wrong with frames that should see the box room where it is; empty if nothing is.

    Args:
        capture: What was read.
        tolerance: Metres that a point may be off the room's planes.
        to_room: (4, 4) from the capture's world to the room's.
        share: Share of the points that must be within the tolerance; depth picked at an edge is on neither plane.
        width: Width at which the frames are read.
    """
    transform = np.eye(4) if to_room is None else to_room
    wrong = [] if len(capture) else ["no frames"]
    for index, name in enumerate(capture.names):
        points, told = unprojected(capture.read_frame(index, width))
        if len(points) <= _FEWEST_POINTS:
            wrong.append(f"{name}: {len(points)} points")
            continue
        points = points @ transform[:3, :3].T + transform[:3, 3]
        distance = off_surface(points)
        if np.mean(distance < tolerance) < share:
            wrong.append(
                f"{name}: {np.mean(distance < tolerance):.1%} on the walls, the last {distance.max():.3g} m off"
            )
        shift = np.median(np.linalg.norm(points - told, axis=1))
        if shift > _COLOR_TOLERANCE:
            wrong.append(f"{name}: {shift:.3g} m from where the colours say")
    return wrong
