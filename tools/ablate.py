"""Train variants of one configuration on the same scenes with the same budget, and judge all on scenes never seen.

Variants are a YAML file of names and settings (tools/ablations). What is finished in OUT is kept, so the same command
goes on where it was stopped.

    python tools/ablate.py --config configs/rooms.yaml --variants tools/ablations/loss_terms.yaml \\
        --scenes train/* --test test/* --out runs/ablation
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sparse_s4r.data.scene_format import open_scene
from sparse_s4r.evaluation.rooms import Method, SceneScores, score_scene
from sparse_s4r.evaluation.rooms_table import make_rows
from sparse_s4r.structures.errors import ConfigError
from tools.evaluate_rooms import document, record
from tools.plot_losses import plot_losses
from tools.trainings import RUN, predict_all, train_once


@dataclass(frozen=True)
class Variant:
    """A name and the settings that make it."""

    name: str
    settings: tuple[str, ...]

    @property
    def folder(self) -> str:
        """The name as a folder's."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


def read_variants(path: Path) -> tuple[Variant, ...]:
    """Variants of a YAML file, in its order.

    Raises:
        ConfigError: No file, or not a mapping from names to lists of settings.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: expected a file of variants, found none; see tools/ablations")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(content, Mapping) or not all(_is_settings(value) for value in content.values()):
        raise ConfigError(f"{path}: expected names with lists of section.key=value, got {content!r}")
    variants = tuple(Variant(str(name), tuple(settings)) for name, settings in content.items())
    if len({variant.folder for variant in variants}) < len(variants):
        raise ConfigError(f"{path}: expected names that differ in letters and digits, got {list(content)}")
    return variants


def _is_settings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) and "=" in item for item in value)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, predict and score; writes OUT/table.md, OUT/table.json and OUT/losses.png."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="configuration that is ablated")
    parser.add_argument("--variants", type=Path, required=True, help="YAML of names and settings")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="section.key=value for all")
    parser.add_argument("--scenes", nargs="+", type=Path, required=True, help="scene folders to train on")
    parser.add_argument("--test", nargs="+", type=Path, required=True, help="scene folders to judge on")
    parser.add_argument("--label-set", help="labels that the lifted rows take; default: the scenes' own")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    variants, console = read_variants(given.variants), Console()
    methods = []
    for variant in variants:
        folder = given.out / variant.folder
        console.rule(variant.name)
        checkpoint = train_once(given.config, [*given.settings, *variant.settings], given.scenes, folder)
        predict_all(checkpoint, given.test, folder / "predictions")
        methods.append(Method(variant.name, folder / "predictions"))
    scores: list[SceneScores] = []
    names: tuple[str, ...] = ()
    for path in given.test:
        scene = open_scene(path)
        names = scene.class_names or names
        scores.extend(score_scene(scene, methods, given.label_set))
    rows = make_rows(scores, seed=0)
    text = document(rows, names, len(given.test))
    (given.out / "table.md").write_text(text, encoding="utf-8")
    content = json.dumps(record(rows, scores, names), indent=1, allow_nan=False)
    (given.out / "table.json").write_text(content + "\n", encoding="utf-8")
    curves = {variant.name: given.out / variant.folder / RUN / "losses.jsonl" for variant in variants}
    plot_losses(curves, given.out / "losses.png")
    console.print(text, markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
