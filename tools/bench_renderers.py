"""The renderers that are timed against each other, each as calls to measure."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sparse_s4r.render import Raycaster
from sparse_s4r.structures import BLOCK, Camera, RenderedView, ScenePrediction
from tools.bench_process import Call, measure
from tools.open3d_fields import BlockGridCaster

NEAR, FAR = 0.1, 10.0
# What the raycaster is asked for under each name.
OPTIONS: dict[str, dict[str, Any]] = {
    "numba": {"backend": "numba"},
    "torch": {"backend": "torch"},
    "spsg": {"mode": "spsg"},
}
# Edge of a block, and the distance of voxels that are absent, in truncations. The first shows the most exact pictures,
# the second has the library's own size of block and takes absent voxels for free space, which makes longer steps.
OPEN3D: dict[str, tuple[int, float]] = {"open3d": (BLOCK, 0.0), "open3d-16": (16, 1.0)}


@dataclass(frozen=True)
class Record:
    """One measurement.

    Attributes:
        renderer: One of ``OPTIONS`` or ``OPEN3D``. Ours render depth, normal, colour and logits; Open3D's
            ``VoxelBlockGrid.ray_cast`` depth, normal and colour.
        direction: "prepare", from voxels to what can be searched; "forward", one image, with what backward needs; or
            "backward", gradients of depth, colour and logits to all voxels.
        width: Pixels.
        height: Pixels.
        channels: Semantic logits per voxel.
        voxels: Of the scene.
        median_ms: Wall time.
        peak_bytes: Memory at its highest during a call beyond that held before, the result included; on the CPU of the
            whole process, as the system counts it.
    """

    renderer: str
    direction: str
    width: int
    height: int
    channels: int
    voxels: int
    median_ms: float
    peak_bytes: int


@dataclass(frozen=True)
class Job:
    """Renderers to time in turn on one scene and camera; ``directions`` those of ours."""

    scene: ScenePrediction
    camera: Camera
    renderers: tuple[str, ...]
    directions: tuple[str, ...] = ("forward", "backward")

    def run(self, repeats: int) -> list[Record]:
        """Measure all: every round times each renderer once, so that what else the machine does meets all alike."""
        calls = [(name, direction, call) for name in self.renderers for direction, call in self._calls(name)]
        device = self.scene.tsdf.device
        # Each is called before it is timed, by what measures its memory.
        peaks = [measure(call, 1, device).peak_bytes for _, _, call in calls]
        times: list[list[float]] = [[] for _ in calls]
        for _ in range(repeats):
            for (_, _, call), mine in zip(calls, times, strict=True):
                mine.append(_milliseconds(call, device))
        logits = self.scene.semantic_logits
        size = (self.camera.width, self.camera.height, 0 if logits is None else logits.shape[1], len(self.scene))
        return [
            Record(name, direction, *size, round(statistics.median(mine), 3), peak)
            for (name, direction, _), mine, peak in zip(calls, times, peaks, strict=True)
        ]

    def _calls(self, name: str) -> list[tuple[str, Call]]:
        if name in OPEN3D:
            return [("forward", _open3d_call(name, self.scene, self.camera))]
        offered = _own_calls(name, self.scene, self.camera)
        return [(direction, offered[direction]) for direction in self.directions]


def _own_calls(name: str, scene: ScenePrediction, camera: Camera) -> dict[str, Call]:
    raycaster = Raycaster(near=NEAR, far=FAR, **OPTIONS[name])
    learned = replace(
        scene,
        tsdf=scene.tsdf.detach().requires_grad_(),
        color=None if scene.color is None else scene.color.detach().requires_grad_(),
        semantic_logits=None if scene.semantic_logits is None else scene.semantic_logits.detach().requires_grad_(),
    )
    leaves = [value for value in (learned.tsdf, learned.color, learned.semantic_logits) if value is not None]
    field = raycaster.prepare(learned)
    given = [torch.randn_like(image) for image in _images(raycaster.render(field, camera))]
    return {
        "prepare": Call(lambda: learned, raycaster.prepare, len(scene)),
        "forward": Call(lambda: field, lambda ready: raycaster.render(ready, camera), len(scene)),
        "backward": Call(
            lambda: _images(raycaster.render(field, camera)),
            lambda images: torch.autograd.grad(images, leaves, given),
            len(scene),
        ),
    }


def _images(view: RenderedView) -> list[Tensor]:
    return [image for image in (view.depth, view.color, view.semantic_logits) if image is not None]


def _open3d_call(name: str, scene: ScenePrediction, camera: Camera) -> Call:
    caster = BlockGridCaster(scene, *OPEN3D[name])
    attributes = ("depth", "normal", "color")
    return Call(lambda: caster, lambda ready: ready.cast(camera, NEAR, FAR, attributes), len(scene))


def _milliseconds(call: Call, device: torch.device) -> float:
    given = call.prepare()
    _wait(device)
    started = time.perf_counter()
    result = call.run(given)
    _wait(device)
    taken = (time.perf_counter() - started) * 1e3
    del result
    return taken


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
