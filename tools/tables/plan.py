"""What a run of the tables needs, what of it is there, and which command makes the rest."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sparse_s4r.config import load_config
from sparse_s4r.data.prediction_format import PREDICTION_NAME
from sparse_s4r.data.scene_format import ScanName
from tools.tables.budget import with_budget
from tools.tables.measures import GIVEN
from tools.tables.rows import Dataset, TableMethod, TableSet
from tools.tables.scenes import TableScene
from tools.trainings import is_trained, steps_and_seconds


@dataclass(frozen=True)
class Choices:
    """What the command line settles.

    Attributes:
        dataset: Name of the data set.
        tables: Numbers of the tables.
        out: Folder of everything that is made.
        label_set: Name of the pseudo-labels.
        segmenter: What makes them, as ``s4r label`` takes it.
        steps: Steps of every training; None: as each configuration says.
        settings: ``section.key=value`` for all trainings.
        seed: Of trainings and of intervals.
        skip: Methods to leave out.
        command: This command, for its user to repeat.
    """

    dataset: str
    tables: tuple[int, ...]
    out: Path
    label_set: str
    segmenter: str
    steps: int | None
    settings: tuple[str, ...]
    seed: int
    skip: tuple[str, ...] = ()
    command: str = ""


@dataclass(frozen=True)
class Need:
    """A thing that a run needs.

    Attributes:
        kind: What it is: raw frames, scene, labels, training or prediction.
        name: Which.
        there: Whether it is there.
        problem: Why it cannot be made, if that is so.
        command: What makes it.
    """

    kind: str
    name: str
    there: bool
    problem: str = ""
    command: str = ""


@dataclass(frozen=True)
class Plan:
    """The tables, the scenes and the choices of a run."""

    table_set: TableSet
    scenes: tuple[TableScene, ...]
    choices: Choices

    @property
    def dataset(self) -> Dataset:
        """The data set."""
        return self.table_set.datasets[self.choices.dataset]

    @property
    def train(self) -> tuple[TableScene, ...]:
        """Scenes to train on."""
        return tuple(scene for scene in self.scenes if scene.role == "train")

    @property
    def test(self) -> tuple[TableScene, ...]:
        """Scenes to judge on."""
        return tuple(scene for scene in self.scenes if scene.role == "test")

    @cached_property
    def methods(self) -> dict[str, tuple[str, ...]]:
        """Methods to train and judge, each once, with the protocols that judge them."""
        needed = self.table_set.needed(self.choices.tables)
        return {name: protocols for name, protocols in needed.items() if name not in self.choices.skip}

    def method(self, name: str) -> TableMethod:
        """What methods.yaml says of a method."""
        return self.table_set.methods[name]

    def folder(self, name: str) -> Path:
        """Where everything of a method is kept."""
        return self.choices.out / "methods" / name

    def predictions(self, name: str, given: ScanName) -> Path:
        """Folder with a prediction per scene, made from the scan ``given``."""
        return self.folder(name) / "predictions" / given

    def given(self, name: str) -> tuple[ScanName, ...]:
        """The scans that the protocols of a method predict from."""
        return tuple(dict.fromkeys(GIVEN[protocol] for protocol in self.methods[name]))

    def settings(self, name: str) -> list[str]:
        """All settings of a method's training."""
        choices, method = self.choices, self.method(name)
        words = {"labels": choices.label_set, "segmenter": choices.segmenter, "taxonomy": self.dataset.taxonomy}
        settings = [*method.resolved_settings(choices.dataset, words), f"seed={choices.seed}"]
        if choices.steps is not None:
            settings = with_budget(method.config_file(), settings, choices.steps)
        return [*settings, *choices.settings]

    def unavailable(self, name: str) -> str:
        """Why a method cannot be trained or lifted on the scenes as they are; empty if it can."""
        method = self.method(name)
        if method.kind == "train" and not method.config_file().is_file():
            return f"{method.config} does not exist"
        if method.needs_truth(self.choices.dataset):
            without = [s.name for s in self.train if s.imported and not (s.folder / "truth.safetensors").is_file()]
            if without:
                return f"learns from the true scene, and {len(without)} training scenes have none, e.g. {without[0]}"
        if method.labels:
            scenes = self.train if method.kind == "train" else self.test
            without = [s.name for s in scenes if not s.has_labels(self.choices.label_set)]
            if without:
                return f"takes labels {self.choices.label_set}, which {len(without)} scenes lack, e.g. {without[0]}"
        return ""

    def needs(self) -> Iterator[Need]:
        """Everything that the run needs, in the order in which it is made."""
        yield from self._scene_needs()
        yield from self._label_needs()
        for name in self.methods:
            yield from self._method_needs(name)

    def import_command(self, scene: TableScene) -> list[str]:
        """``s4r import`` of a scene's raw frames."""
        dataset = self.dataset
        parts = ["import", str(scene.capture), "--out", str(scene.folder), "--format", dataset.layout]
        return [*parts, "--taxonomy", dataset.taxonomy, "--seed", str(self.choices.seed), *dataset.import_options]

    def label_command(self, scenes: Sequence[TableScene]) -> list[str]:
        """``s4r label`` of scenes."""
        choices = self.choices
        parts = ["label", *(str(scene.folder) for scene in scenes), "--segmenter", choices.segmenter]
        return [*parts, "--taxonomy", self.dataset.taxonomy, "--name", choices.label_set]

    def labelled(self) -> tuple[TableScene, ...]:
        """Scenes that need the label set: those to train on, and those whose labels are lifted."""
        methods = [self.method(name) for name in self.methods]
        train = any(method.labels and method.kind == "train" for method in methods)
        test = any(method.labels and method.kind == "lift" for method in methods)
        return (self.train if train else ()) + (self.test if test else ())

    def _scene_needs(self) -> Iterator[Need]:
        listed = bool(self.dataset.lists)
        for scene in self.scenes:
            if listed and not scene.imported:
                yield Need("raw frames", scene.name, not scene.problems, "; ".join(scene.problems))
            if not listed:
                problem = "" if scene.imported else "no scene there; make it with s4r import"
                yield Need("scene", str(scene.folder), scene.imported, problem)
                continue
            command = "" if scene.problems else _shown(self.import_command(scene))
            yield Need("scene", str(scene.folder), scene.imported, "raw frames" if scene.problems else "", command)

    def _label_needs(self) -> Iterator[Need]:
        name = self.choices.label_set
        for scene in self.labelled():
            yield Need(
                f"labels {name}", scene.name, scene.has_labels(name), command=_shown(self.label_command([scene]))
            )

    def _method_needs(self, name: str) -> Iterator[Need]:
        folder, method = self.folder(name), self.method(name)
        if method.kind == "train":
            done = is_trained(folder)
            problem = "" if done else self.unavailable(name)
            yield Need("training", name, done, problem, self.choices.command)
        if method.kind == "scan":
            return
        for given in self.given(name):
            places = [self.predictions(name, given) / scene.name / PREDICTION_NAME for scene in self.test]
            there = sum(place.is_file() for place in places)
            command = self.choices.command
            yield Need(
                f"predictions from {given}", f"{name}: {there} of {len(places)}", there == len(places), "", command
            )


def estimate(plan: Plan) -> Mapping[str, str]:
    """The work that is left, in counts; and in hours where something of its kind has been done and timed."""
    trained = [name for name in plan.methods if plan.method(name).kind == "train"]
    done = {name: steps_and_seconds(plan.folder(name)) for name in trained}
    steps = sum(_steps(plan, name) - done[name][0] for name in trained if plan.method(name).config_file().is_file())
    measured, seconds = sum(count for count, _ in done.values()), sum(time for _, time in done.values())
    predicted = [
        place / "prediction.json"
        for name in trained
        for given in plan.given(name)
        for place in (plan.predictions(name, given) / scene.name for scene in plan.test)
    ]
    times = [json.loads(path.read_text(encoding="utf-8"))["seconds"] for path in predicted if path.is_file()]
    left = len(predicted) - len(times)
    return {
        "scenes to import": str(sum(not scene.imported for scene in plan.scenes)),
        "scenes to label": str(sum(not scene.has_labels(plan.choices.label_set) for scene in plan.labelled())),
        "training steps": f"{steps:,}{_hours(steps, measured, seconds)}",
        "predictions": f"{left:,}{_hours(left, len(times), sum(times))}",
    }


def _steps(plan: Plan, name: str) -> int:
    return load_config(plan.method(name).config_file(), plan.settings(name)).train.steps


def _hours(left: int, measured: int, seconds: float) -> str:
    if not left:
        return ""
    if not measured:
        return ", no time known until one is done"
    return f", about {left * seconds / measured / 3600:.1f} h at {seconds / measured:.1f} s each, as {measured:,} took"


def _shown(arguments: Sequence[str]) -> str:
    return f"s4r {shlex.join(arguments)}"
