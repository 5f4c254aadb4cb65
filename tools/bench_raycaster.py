"""Time the raycaster beside Open3D's on a furnished synthetic room: preparing, forward, backward; time and memory.

One run covers the image and the number of classes that training uses, then images from small to large, then the same
view in scenes from small to large. In every part the renderers take turns.

Example: python tools/bench_raycaster.py --json raycaster.json --picture raycaster.png
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sparse_s4r.cli.environment import SETTINGS

# As the s4r command runs; torch reads it when it is imported.
os.environ.update({**SETTINGS, **os.environ})

import torch

from sparse_s4r.structures import Camera
from tools.bench_renderers import OPEN3D, Job, Record
from tools.bench_views import make_room, part_in_view, room_camera, row_of_rooms, with_classes
from tools.plot_raycaster import plot_rates

SIZE = (320, 256)
IMAGES = ((80, 64), (160, 128), (640, 512), (1280, 1024))
# The reference in torch operations is timed up to so many pixels: larger images take it seconds.
TORCH_PIXELS = 160 * 128
CLASSES, MORE_CLASSES = 15, 40
ROOMS = (2, 4)


def jobs(voxel_size: float, device: str, scale: int = 1) -> Iterator[Job]:
    """What to time; every edge of an image is divided by ``scale``."""
    on_cpu = torch.device(device).type == "cpu"
    ours = ("numba",) if on_cpu else ("torch",)
    beside = tuple(OPEN3D) if on_cpu else ()
    with torch.device(device):
        room = make_room(voxel_size, CLASSES)
    camera = _camera(SIZE, scale, device)
    yield Job(room, camera, (*ours, "spsg", *beside), ("prepare", "forward", "backward"))
    # As many channels as Open3D renders, and a longer list of classes.
    for classes in (0, MORE_CLASSES):
        yield Job(with_classes(room, classes), camera, ours)
    for size in IMAGES:
        reference = ("torch",) if on_cpu and size[0] * size[1] <= TORCH_PIXELS else ()
        yield Job(room, _camera(size, scale, device), (*ours, *reference, *beside))
    yield Job(part_in_view(room, camera), camera, (*ours, *beside))
    for count in ROOMS:
        yield Job(row_of_rooms(room, count), camera, (*ours, *beside))


def _camera(size: tuple[int, int], scale: int, device: str) -> Camera:
    return room_camera(size[0] // scale, size[1] // scale).to(device)


def line(record: Record) -> str:
    """A record as text."""
    pixels = record.width * record.height
    rate = "" if record.direction == "prepare" else f"{pixels / record.median_ms / 1e3:8.2f}"
    return (
        f"{record.renderer:9} {record.direction:9} {record.width:4}x{record.height:<4} {record.channels:8} "
        f"{record.voxels:10,} {record.median_ms:10.2f} {rate:8} {record.peak_bytes / 2**20:9.1f}"
    )


def verdict(records: Sequence[Record]) -> str:
    """How the first renderer's forward pass stands to the others', one line each, at the first image and scene."""
    first = [one for one in records if _like(one, records[0])]
    times = {one.renderer: one.median_ms for one in first if one.direction == "forward"}
    mine, own = next(iter(times.items()))
    return "\n".join(f"{name} / {mine}, forward: {value / own:.2f}" for name, value in times.items() if name != mine)


def _like(one: Record, other: Record) -> bool:
    sizes = [(of.width, of.height, of.channels, of.voxels) for of in (one, other)]
    return sizes[0] == sizes[1]


def main() -> None:
    """Measure and print; write the records as JSON and the picture when asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the records")
    parser.add_argument("--picture", type=Path, help="PNG file for rays per second against image and scene")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--voxel-size", type=float, default=0.02, help="metres; 0.02 gives about 2.5 million voxels")
    parser.add_argument("--quick", action="store_true", help="small images, to see that all runs")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, {torch.get_num_threads()} threads of torch, device {arguments.device}")
    print("renderer  direction image     channels     voxels         ms  Mrays/s       MiB")
    records: list[Record] = []
    for job in jobs(arguments.voxel_size, arguments.device, 8 if arguments.quick else 1):
        found = job.run(arguments.repeats)
        print("\n".join(map(line, found)), flush=True)
        records += found
    print(verdict(records))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([asdict(one) for one in records], indent=1) + "\n")
    if arguments.picture is not None:
        plot_rates(records, arguments.picture)


if __name__ == "__main__":
    main()
