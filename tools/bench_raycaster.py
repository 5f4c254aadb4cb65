"""Time the raycaster on a furnished synthetic room: prepare, forward and backward per image size.

Example: python tools/bench_raycaster.py --json raycaster.json --search numba
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from sparse_s4r.render import Raycaster
from sparse_s4r.structures import Camera, GridSpec, ScenePrediction

ROOM = (6.5, 6.5, 2.7)
IMAGE_SIZES = ((320, 256), (160, 120))
# Boxes as (lower corner, upper corner), metres: a table, a shelf, a sofa and a bed.
FURNITURE = (
    ((2.0, 2.0, 0.0), (3.2, 2.8, 0.8)),
    ((0.0, 3.8, 0.0), (0.4, 5.8, 2.0)),
    ((3.8, 0.4, 0.0), (5.8, 1.3, 0.7)),
    ((4.5, 4.1, 0.0), (6.5, 6.1, 0.5)),
)


@dataclass(frozen=True)
class Record:
    """One measurement; ``peak_bytes`` is the memory of torch beyond what was held before the call."""

    renderer: str
    direction: str
    width: int
    height: int
    channels: int
    voxels: int
    median_ms: float
    peak_bytes: int


def make_room(size: tuple[float, float, float], voxel_size: float, classes: int) -> ScenePrediction:
    """The band of a room of ``size`` metres with furniture, random colours and logits, float32."""
    grid = GridSpec(voxel_size)
    counts = [round(length / voxel_size) + 8 for length in size]
    x, y = torch.meshgrid(torch.arange(-8, counts[0]), torch.arange(-8, counts[1]), indexing="ij")
    coordinates, distances = [], []
    for z in range(-8, counts[2]):
        layer = torch.stack([x, y, torch.full_like(x, z)], dim=-1).view(-1, 3)
        distance = _room_distance(grid.centers(layer), size)
        band = distance.abs() < 0.95 * grid.truncation
        coordinates.append(layer[band])
        distances.append(distance[band])
    tsdf = torch.cat(distances)
    return ScenePrediction(
        grid, torch.cat(coordinates), tsdf, torch.rand(len(tsdf), 3), torch.randn(len(tsdf), classes)
    )


def _room_distance(points: Tensor, size: tuple[float, float, float]) -> Tensor:
    walls = torch.minimum(points, torch.tensor(size) - points).amin(dim=1)
    for lower, upper in FURNITURE:
        outside = torch.maximum(torch.tensor(lower) - points, points - torch.tensor(upper))
        walls = torch.minimum(walls, outside.clamp(min=0).norm(dim=1) + outside.amax(dim=1).clamp(max=0))
    return walls


def room_camera(size: tuple[float, float, float], width: int, height: int) -> Camera:
    """A camera in one corner at eye height that looks across the room, 60 degrees wide."""
    eye = torch.tensor([0.9, 0.9, 1.6], dtype=torch.float64)
    target = torch.tensor([0.7 * size[0], 0.7 * size[1], 0.7], dtype=torch.float64)
    forward = torch.nn.functional.normalize(target - eye, dim=0)
    right = torch.linalg.cross(forward, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    right = torch.nn.functional.normalize(right, dim=0)
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = torch.stack([right, torch.linalg.cross(forward, right), forward], dim=1)
    pose[:3, 3] = eye
    focal = 0.866 * width
    intrinsics = torch.tensor(
        [[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]], dtype=torch.float64
    )
    return Camera(intrinsics, pose, width, height)


def measure(prediction: ScenePrediction, camera: Camera, raycaster: Raycaster, repeats: int) -> list[Record]:
    """Median times of preparing the field, of one render and of its backward pass."""
    assert prediction.color is not None
    assert prediction.semantic_logits is not None
    leaves = replace(
        prediction,
        tsdf=prediction.tsdf.clone().requires_grad_(),
        color=prediction.color.clone().requires_grad_(),
        semantic_logits=prediction.semantic_logits.clone().requires_grad_(),
    )
    field = raycaster.prepare(leaves)

    def render() -> Tensor:
        view = raycaster.render(field, camera)
        assert view.color is not None
        assert view.semantic_logits is not None
        return view.depth.sum() + view.color.sum() + view.semantic_logits.sum()

    def record(direction: str, times: list[float], peak: int) -> Record:
        return Record(
            raycaster.search,
            direction,
            camera.width,
            camera.height,
            prediction.semantic_logits.shape[1],  # type: ignore[union-attr]
            len(prediction),
            round(statistics.median(times), 2),
            peak,
        )

    prepare_times, prepare_peak = _time(lambda: raycaster.prepare(leaves), repeats, leaves.tsdf.device)
    forward_times, forward_peak = _time(render, repeats, leaves.tsdf.device)
    losses = iter([render() for _ in range(repeats + 2)])
    backward_times, backward_peak = _time(lambda: torch.autograd.backward(next(losses)), repeats, leaves.tsdf.device)
    return [
        record("prepare", prepare_times, prepare_peak),
        record("forward", forward_times, forward_peak),
        record("backward", backward_times, backward_peak),
    ]


def _time(action: Callable[[], object], repeats: int, device: torch.device) -> tuple[list[float], int]:
    """Milliseconds of every repeat after a first one, and the peak of torch's memory beyond what was there."""
    peak = _cuda_peak(action, device) if device.type == "cuda" else _cpu_peak(action)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append((time.perf_counter() - start) * 1e3)
    return times, peak


def _cuda_peak(action: Callable[[], object], device: torch.device) -> int:
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    action()
    return torch.cuda.max_memory_allocated(device) - before


def _cpu_peak(action: Callable[[], object]) -> int:
    # The process's resident memory would also count what the allocator keeps, so the allocations are summed up.
    with torch.autograd.profiler.profile(profile_memory=True) as profile:
        action()
    assert profile.kineto_results is not None
    changes = [(one.start_ns(), one.nbytes()) for one in profile.kineto_results.events() if one.name() == "[memory]"]
    total = peak = 0
    for _, change in sorted(changes):
        total += change
        peak = max(peak, total)
    return peak


def main() -> None:
    """Measure and print; write the records as JSON when asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the records")
    parser.add_argument("--search", choices=("torch", "numba"), default="numba")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--classes", type=int, default=15)
    parser.add_argument("--voxel-size", type=float, default=0.02, help="metres; 0.02 gives about 2.5 million voxels")
    arguments = parser.parse_args()
    size = ROOM
    with torch.device(arguments.device):
        room = make_room(size, arguments.voxel_size, arguments.classes)
    raycaster = Raycaster(search=arguments.search)
    records: list[Record] = []
    for width, height in IMAGE_SIZES:
        records += measure(room, room_camera(size, width, height), raycaster, arguments.repeats)
    for one in records:
        peak = one.peak_bytes / 2**20
        print(f"{one.renderer:6} {one.direction:9} {one.width}x{one.height} {one.median_ms:9.1f} ms {peak:7.0f} MiB")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([asdict(one) for one in records], indent=1) + "\n")


if __name__ == "__main__":
    main()
