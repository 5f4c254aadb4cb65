"""Peak memory and time of one training step of a whole scene, with and without activation checkpointing.

Usage: python tools/train_memory.py SCENE [--out docs/results/train_memory.json] [--set section.key=value ...]
Each case runs in a fresh process; memory is all that the process had resident at its highest.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sparse_s4r.build import with_classes
from sparse_s4r.config import load_config
from sparse_s4r.data.scene_format import open_scene
from sparse_s4r.structures.memory import peak_memory_bytes
from sparse_s4r.training.step import Sealed, TrainingStep
from sparse_s4r.training.trainer import make_trainer

_WIDTHS = ((16, 32, 64, 96, 128), (16, 24, 32, 48, 64))
# Every term counts and the target's cells are kept: the most that a step of a training does.
_WHOLE = (
    "data.crop=null",
    "train.guide_steps=1000",
    "loss.depth.start=0",
    "loss.color.start=0",
    "loss.semantic.start=0",
)


@dataclass(frozen=True)
class Case:
    """One training to measure."""

    scene: str
    widths: tuple[int, ...]
    checkpointing: bool
    settings: tuple[str, ...]
    steps: int


@dataclass(frozen=True)
class Outcome:
    """What it took.

    Attributes:
        target_voxels: Of the scene's fuller scan.
        predicted_voxels: Of the last prediction.
        before_bytes: Peak before the first step: libraries, scene, weights.
        peak_bytes: Peak of all.
        seconds: Wall time of the last step.
        cpu_seconds: Time of all cores in it.
        threads: Of torch.
    """

    target_voxels: int
    predicted_voxels: int
    before_bytes: int
    peak_bytes: int
    seconds: float
    cpu_seconds: float
    threads: int


def run_case(case: Case) -> Outcome:
    """Train in this process; the first step also loads compiled loops and makes the optimiser's state."""
    scene = open_scene(case.scene)
    settings = [
        *_WHOLE,
        f"model.widths={list(case.widths)}",
        f"train.checkpoint_activations={str(case.checkpointing).lower()}",
        *case.settings,
    ]
    trainer = make_trainer(with_classes(load_config(None, settings), scene.class_names), [scene])
    sample = trainer.dataset.sample(0).to(trainer.fabric.device)
    model, optimizer = trainer.fabric.setup(TrainingStep(trainer.network, trainer.objective), trainer.optimizer)
    model.train()
    before = peak_memory_bytes(trainer.fabric.device)
    predicted = 0
    for step in range(case.steps):
        wall, cpu = time.perf_counter(), time.process_time()
        optimizer.zero_grad(set_to_none=True)
        sealed = Sealed([sample])
        trainer.fabric.backward(model(sealed, step))
        optimizer.step()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        predicted = len(sealed.results[0].prediction)
    peak = peak_memory_bytes(trainer.fabric.device)
    return Outcome(len(sample.target), predicted, before, peak, round(wall, 2), round(cpu, 2), torch.get_num_threads())


def measure(case: Case) -> Outcome:
    """``run_case`` in a fresh process."""
    command = [sys.executable, str(Path(__file__).resolve()), "--case", json.dumps(asdict(case))]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Outcome(**json.loads(done.stdout.splitlines()[-1]))


def table(cases: list[Case], outcomes: list[Outcome]) -> str:
    """The outcomes as a Markdown table."""
    lines = ["| widths | checkpointing | voxels | peak GiB | s/step | CPU s/step |", "|---|---|---|---|---|---|"]
    for case, outcome in zip(cases, outcomes, strict=True):
        lines.append(
            f"| {'-'.join(map(str, case.widths))} | {'yes' if case.checkpointing else 'no'} "
            f"| {outcome.predicted_voxels:,} | {outcome.peak_bytes / 2**30:.2f} | {outcome.seconds:.1f} "
            f"| {outcome.cpu_seconds:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure all cases, or the one that is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", nargs="?")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        fields = json.loads(arguments.case)
        fields["widths"], fields["settings"] = tuple(fields["widths"]), tuple(fields["settings"])
        case = Case(**fields)
        print(json.dumps(asdict(run_case(case))))
        return
    if arguments.scene is None:
        parser.error("expected a scene folder")
    cases = [
        Case(arguments.scene, widths, checkpointing, tuple(arguments.settings), arguments.steps)
        for widths in _WIDTHS
        for checkpointing in (False, True)
    ]
    outcomes = [measure(case) for case in cases]
    print(table(cases, outcomes))
    if arguments.out is not None:
        records = [
            # A scene's name, not where it lies on this machine.
            asdict(case) | {"scene": Path(case.scene).name} | asdict(outcome)
            for case, outcome in zip(cases, outcomes, strict=True)
        ]
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(records, indent=1) + "\n")


if __name__ == "__main__":
    main()
