"""Poses and numbers of SDF elements."""

from __future__ import annotations

import math
from xml.etree.ElementTree import Element

import numpy as np
from scipy.spatial.transform import Rotation

from sparse_s4r.structures.errors import DataError


def numbers(text: str | None, count: int, what: str) -> np.ndarray:
    """``count`` finite float64 numbers from text.

    Raises:
        DataError: Other than ``count`` numbers, or one that is not finite.
    """
    words = (text or "").split()
    try:
        values = np.array([float(word) for word in words])
    except ValueError:
        values = np.array([])
    if len(values) != count or not np.isfinite(values).all():
        raise DataError(f"{what}: expected {count} finite numbers, got {(text or '').strip()[:80]!r}")
    return values


def parse_pose(element: Element | None, what: str) -> np.ndarray:
    """Matrix (4, 4) of a ``<pose>``: x y z in metres and roll, pitch, yaw in radians about fixed axes.

    Args:
        element: The element; None or an empty one means no motion. ``degrees="true"`` and
            ``rotation_format="quat_xyzw"`` are understood.
        what: Name for errors.

    Raises:
        DataError: Not the expected numbers.

    Source:
        The SDFormat specification of ``<pose>``.
    """
    matrix = np.eye(4)
    if element is None or not (element.text or "").strip():
        return matrix
    if element.get("rotation_format") == "quat_xyzw":
        values = numbers(element.text, 7, what)
        if np.linalg.norm(values[3:]) < 1e-9:
            raise DataError(f"{what}: expected a quaternion other than zero, got {values[3:].tolist()}")
        rotation = Rotation.from_quat(values[3:])
    else:
        values = numbers(element.text, 6, what)
        degrees = element.get("degrees", "false").lower() in ("true", "1")
        rotation = Rotation.from_euler("xyz", values[3:] * (math.pi / 180 if degrees else 1.0))
    matrix[:3, :3] = rotation.as_matrix()
    matrix[:3, 3] = values[:3]
    return matrix


class Frames:
    """Poses of the links, models and frames of one SDF scope, some of which are given relative to others.

    Args:
        scope: A ``<model>`` or ``<world>``.
        what: Its name, for errors.
    """

    def __init__(self, scope: Element, what: str) -> None:
        self._what = what
        self._elements: dict[str, Element] = {}
        for child in scope:
            if child.tag in ("link", "model", "frame", "joint", "include"):
                name = child.get("name") or child.findtext("name") or ""
                self._elements.setdefault(name, child)

    def pose(self, element: Element, default: np.ndarray | None = None) -> np.ndarray:
        """Matrix (4, 4) from the element's frame to the scope's.

        Args:
            element: A child of the scope.
            default: Pose of an element without a ``<pose>``.

        Raises:
            DataError: A bad pose, a frame that is not there, or frames that lean on each other.
        """
        return self._pose(element, default, 0)

    def _pose(self, element: Element, default: np.ndarray | None, depth: int) -> np.ndarray:
        given = element.find("pose")
        what = f"{self._what}: pose of {element.tag} {element.get('name', '')}"
        if given is None or not (given.text or "").strip():
            own = np.eye(4) if default is None else default
        else:
            own = parse_pose(given, what)
        # A frame is attached to another element, and without relative_to its pose counts from there.
        to = given.get("relative_to") or given.get("frame") if given is not None else None
        to = to or (element.get("attached_to") if element.tag == "frame" else None)
        if not to or to in ("world", "__model__"):
            return own
        if to not in self._elements:
            raise DataError(f"{what}: expected a frame of the same model, got {to!r}")
        if depth > len(self._elements):
            raise DataError(f"{what}: expected frames that end at the model, got frames that lean on each other")
        combined: np.ndarray = self._pose(self._elements[to], None, depth + 1) @ own
        return combined
