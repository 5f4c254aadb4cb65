"""Train the small 2D segmenter on made rooms, and on captures that are labelled more coarsely.

    s4r synth --rooms 150 --seed 5000 --frames 24 --taxonomy homes --out rooms
    s4r synth --rooms 12 --seed 6000 --frames 24 --taxonomy homes --out held_out
    s4r synth-world small_house.world --taxonomy matterport11 --frames 300 --out house
    python tools/train_segmenter.py rooms --held-out held_out --world house --world-taxonomy matterport11 \\
        --test-box -20 -20 -2.55 20 --out runs/segmenter

A folder stands for the captures in it. Of the world, images taken inside of the test box and pixels that show it are
left out of the training and judged. Writes snapshots, ``log.json`` and, at the end, ``scores.json`` with every
taxonomy and class into the folder.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sparse_s4r.data.labelled_pictures import LabelledPictures, PlanBox, load_pictures
from sparse_s4r.evaluation.pictures import PictureScores, score_segmenter
from sparse_s4r.segmentation.label_map import LabelMap
from sparse_s4r.segmentation.room_net import RoomNet
from sparse_s4r.segmentation.room_segmenter import FINE, RoomSegmenter, RoomWeights, room_label_map, save_room_weights
from sparse_s4r.structures.errors import UserError
from sparse_s4r.training.segmenter import PictureSource, SegmenterOptions, SegmenterTraining

TAXONOMIES = (FINE, "matterport11", "scannet15", "scannet20")
# Judged during the training; the others at the end.
_WATCHED = (FINE, "matterport11")
# Of the samples, when there is a world; it has far fewer images than the rooms.
_WORLD_SHARE = 0.15
_WATCH_STEP = 5


@dataclass(frozen=True)
class HeldOut:
    """Pictures to judge on; ``taxonomy`` is that of their labels."""

    name: str
    pictures: LabelledPictures
    taxonomy: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the arguments, train, judge; the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    command = shlex.join(["python", "tools/train_segmenter.py", *(sys.argv[1:] if arguments is None else arguments)])
    try:
        _run(options, command)
    except UserError as error:
        Console(stderr=True).print(f"error: {error}", markup=False)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rooms", nargs="+", type=Path, help="captures in fine classes to learn from")
    parser.add_argument("--held-out", nargs="+", type=Path, required=True, help="captures in fine classes to judge on")
    parser.add_argument("--world", type=Path, help="capture in coarser classes")
    parser.add_argument("--world-taxonomy", default="matterport11", help="its taxonomy (default: %(default)s)")
    parser.add_argument(
        "--test-box",
        nargs=4,
        type=float,
        action="append",
        metavar=("X0", "Y0", "X1", "Y1"),
        default=None,
        help="part of the world that is not learnt from, metres seen from above; may be given several times",
    )
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--every", type=int, default=250, help="steps between two judgements (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results; must not exist")
    return parser


def _run(options: argparse.Namespace, command: str) -> None:
    if options.out.exists():
        raise UserError(f"--out {options.out}: expected a folder that does not exist yet; name another")
    console = Console()
    sources, held_out = _load(options)
    # Only now: pictures that cannot be read leave no folder behind.
    options.out.mkdir(parents=True)
    fine_names = sources[0].pictures.class_names
    for source in sources:
        console.print(f"learn from {len(source.pictures)} images, share {source.share:g}")
    numbers = SegmenterOptions(options.steps, batch=options.batch, seed=options.seed)
    training = SegmenterTraining(sources, len(fine_names), numbers)
    log: list[dict[str, object]] = []
    losses: list[float] = []
    start = time.monotonic()
    with _progress(console) as progress:
        task = progress.add_task("steps", total=options.steps)
        for found in training:
            losses.append(found.loss)
            progress.advance(task)
            if found.step % options.every and found.step != options.steps:
                continue
            weights = RoomWeights(training.average, fine_names, command, options.seed)
            save_room_weights(options.out / f"step_{found.step:06d}.safetensors", weights)
            entry = _watch(training.average, fine_names, held_out)
            mean_loss = sum(losses) / len(losses)
            log.append({"step": found.step, "seconds": time.monotonic() - start, "loss": mean_loss, **entry})
            (options.out / "log.json").write_text(json.dumps(log, indent=1), "utf-8")
            told = ", ".join(f"{name} {value:.3f}" for name, value in entry.items())
            console.print(f"step {found.step}: loss {mean_loss:.3f}, mIoU {told}")
            losses.clear()
    scores = judge(training.average, fine_names, held_out, TAXONOMIES)
    record = {
        "command": command,
        "seconds": time.monotonic() - start,
        "options": asdict(numbers),
        "scores": _plain(scores),
    }
    (options.out / "scores.json").write_text(json.dumps(record, indent=1), "utf-8")


def _load(options: argparse.Namespace) -> tuple[list[PictureSource], list[HeldOut]]:
    rooms = load_pictures(_captures(options.rooms))
    sources = [PictureSource(rooms, None, 1.0 if options.world is None else 1.0 - _WORLD_SHARE)]
    held_out = [HeldOut("rooms", load_pictures(_captures(options.held_out)), FINE)]
    if options.world is not None:
        boxes = [PlanBox((x0, y0), (x1, y1)) for x0, y0, x1, y1 in options.test_box or ()]
        world = load_pictures([options.world], boxes)
        coarse = room_label_map(options.world_taxonomy, rooms.class_names)
        sources.append(PictureSource(world, coarse, _WORLD_SHARE))
        if boxes:
            held_out.append(
                HeldOut("world", load_pictures([options.world], boxes, inside=True), options.world_taxonomy)
            )
    return sources, held_out


def _captures(folders: Sequence[Path]) -> list[Path]:
    """Folders of captures replaced by the captures in them."""
    found: list[Path] = []
    for folder in folders:
        inside = [] if (folder / "color").is_dir() else sorted(path.parent for path in folder.glob("[!.]*/color"))
        found += inside or [folder]
    return found


def _watch(network: RoomNet, fine_names: tuple[str, ...], held_out: Sequence[HeldOut]) -> dict[str, float]:
    """Mean IoU on a part of the images."""
    few = [HeldOut(one.name, one.pictures.every(_WATCH_STEP), one.taxonomy) for one in held_out]
    scores = judge(network, fine_names, few, _WATCHED)
    return {f"{name}/{taxonomy}": one.mean_iou for name, found in scores.items() for taxonomy, one in found.items()}


def judge(
    network: RoomNet, fine_names: tuple[str, ...], held_out: Sequence[HeldOut], taxonomies: Sequence[str]
) -> dict[str, dict[str, PictureScores]]:
    """Scores by name and taxonomy; labels that are coarser than a taxonomy cannot be judged in it."""
    result: dict[str, dict[str, PictureScores]] = {}
    for one in held_out:
        result[one.name] = {}
        for taxonomy in taxonomies:
            if one.taxonomy not in (FINE, taxonomy):
                continue
            label_map = room_label_map(taxonomy, fine_names)
            scores = score_segmenter(RoomSegmenter(network, label_map), one.pictures, _classes(one, label_map))
            result[one.name][taxonomy] = scores
    return result


def _plain(scores: dict[str, dict[str, PictureScores]]) -> dict[str, dict[str, dict[str, object]]]:
    return {name: {taxonomy: asdict(one) for taxonomy, one in found.items()} for name, found in scores.items()}


def _classes(one: HeldOut, label_map: LabelMap) -> torch.Tensor:
    if one.taxonomy == FINE:
        return torch.tensor(label_map.targets)
    return torch.arange(len(label_map.class_names))


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:>8}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


if __name__ == "__main__":
    sys.exit(main())
