"""The paper's tables on data of one's own: trains every method once, predicts, scores, and writes the tables.

Everything is kept in OUT, and the same command goes on where it was stopped. What the tables hold is in tools/tables.

    python tools/reproduce_tables.py --table 1 2 --dataset synth --scenes train/* --test test/* --out runs/tables
    python tools/reproduce_tables.py --table 1 2 3 4 5 --dataset scannet --root DATA --out runs/tables --dry-run
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sparse_s4r.data.scene_format import open_scene
from sparse_s4r.structures.errors import UserError
from sparse_s4r.training.trainer import CHECKPOINT_NAME
from tools.tables import work
from tools.tables.document import markdown, record
from tools.tables.plan import Choices, Plan, estimate
from tools.tables.rows import TableSet, load_tables
from tools.tables.scenes import TableScene, listed_scenes, named_scenes
from tools.tables.scores import score_all
from tools.trainings import RUN, is_trained

PHASES = ("prepare", "train", "predict", "score")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the phases; 1 if a row lacks its figures, or if ``--dry-run`` finds something missing."""
    table_set = load_tables()
    given = _parser(table_set).parse_args(arguments)
    words = sys.argv[1:] if arguments is None else arguments
    plan = _plan(
        table_set, given, shlex.join(["python", "tools/reproduce_tables.py", *words]).replace(" --dry-run", "")
    )
    console = Console()
    if given.dry_run:
        return show_needs(plan, console)
    phases = given.phase or PHASES
    reasons: dict[str, str] = {}
    if "prepare" in phases:
        work.prepare(plan, console)
    if "train" in phases:
        reasons |= work.train(plan, console)
    if "predict" in phases:
        # Why something was not trained says more than that it cannot be predicted then.
        reasons = work.predict(plan, _checkpoint(plan), console) | reasons
    return write_tables(plan, reasons, given.rescore, console) if "score" in phases else int(bool(reasons))


def show_needs(plan: Plan, console: Console) -> int:
    """Print what is there, what is missing and how it is made; 1 if something is missing."""
    needs = list(plan.needs())
    for need in needs:
        text = f"{'there  ' if need.there else 'MISSING'}  {need.kind}: {need.name}"
        console.print(
            f"{text}: {need.problem}" if need.problem else text, markup=False, highlight=False, soft_wrap=True
        )
    missing = [need for need in needs if not need.there]
    commands = dict.fromkeys(need.command for need in missing if need.command)
    if commands:
        console.print("\nWhat makes them (the last command makes all that can be made):", highlight=False)
        for command in commands:
            console.print(f"  {command}", markup=False, highlight=False, soft_wrap=True)
    console.print("\nWork that is left:", highlight=False)
    for kind, text in estimate(plan).items():
        console.print(f"  {kind}: {text}", markup=False, highlight=False)
    console.print(f"\n{len(missing)} of {len(needs)} are missing", highlight=False)
    return int(bool(missing))


def write_tables(plan: Plan, reasons: dict[str, str], again: bool, console: Console) -> int:
    """Score, and write OUT/table_N.json and OUT/table_N.md; 1 if a row lacks its figures."""
    for name in plan.methods:
        if reason := reasons.get(name) or plan.unavailable(name):
            reasons[name] = reason
    scored, unscored = score_all(plan, [name for name in plan.methods if name not in reasons], again)
    reasons |= unscored
    for name in plan.choices.skip:
        reasons[name] = "left out by --skip"
    plan.choices.out.mkdir(parents=True, exist_ok=True)
    class_names = open_scene(plan.test[0].folder).class_names or ()
    for number in plan.choices.tables:
        content = record(plan, number, scored, reasons, class_names)
        text = markdown(content)
        base = plan.choices.out / f"table_{number}"
        base.with_suffix(".json").write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        heading = f"## Table {number}. {content['title']}\n\n"
        base.with_suffix(".md").write_text(heading + text, encoding="utf-8")
        console.print(heading + text, markup=False, highlight=False, soft_wrap=True)
    return int(any(name not in plan.choices.skip for name in reasons))


def _checkpoint(plan: Plan) -> Callable[[str], Path | None]:
    def of(name: str) -> Path | None:
        folder = plan.folder(name)
        return folder / RUN / CHECKPOINT_NAME if is_trained(folder) else None

    return of


def _plan(table_set: TableSet, given: argparse.Namespace, command: str) -> Plan:
    dataset = table_set.datasets[given.dataset]
    if given.taxonomy is not None:
        dataset = dataset.model_copy(update={"taxonomy": given.taxonomy})
        table_set = table_set.model_copy(update={"datasets": {**table_set.datasets, given.dataset: dataset}})
    scenes: tuple[TableScene, ...]
    if dataset.lists:
        if given.root is None or given.scenes or given.test:
            raise UserError(f"--dataset {given.dataset}: expected --root DIR, and neither --scenes nor --test")
        scenes = listed_scenes(dataset, given.root, given.split_dir, given.imported or given.out / "scenes")
    else:
        if given.root is not None or given.split_dir is not None:
            raise UserError(f"--dataset {given.dataset}: expected --scenes and --test, and no --root or --split-dir")
        scenes = named_scenes(given.scenes, given.test)
    unknown = sorted(set(given.skip) - set(table_set.methods))
    if unknown:
        raise UserError(f"--skip: expected methods of {', '.join(table_set.methods)}, got {', '.join(unknown)}")
    if given.steps is not None and given.steps < 1:
        raise UserError(f"--steps: expected at least 1, got {given.steps}")
    choices = Choices(
        dataset=given.dataset,
        tables=tuple(dict.fromkeys(given.table)),
        out=given.out,
        label_set=given.label_set or given.segmenter.partition(":")[0],
        segmenter=given.segmenter,
        steps=given.steps,
        settings=tuple(given.settings),
        seed=given.seed,
        skip=tuple(given.skip),
        command=command,
    )
    return Plan(table_set, scenes, choices)


def _parser(table_set: TableSet) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--table", nargs="+", type=int, choices=list(table_set.tables), required=True, help="tables to make")
    add("--dataset", choices=list(table_set.datasets), required=True)
    add("--scenes", nargs="*", type=Path, default=[], help="synth, house: scene folders to train on")
    add("--test", nargs="*", type=Path, default=[], help="synth, house: scene folders to judge on")
    add("--root", type=Path, help="scannet, matterport3d: folder of the data set")
    add("--split-dir", type=Path, help="folder of the official lists of scenes; default: below --root")
    add("--imported", type=Path, help="folder of imported scenes; default: OUT/scenes")
    add("--segmenter", default="shipped", help="what labels frames and virtual views, as s4r label takes it")
    add("--taxonomy", help="classes of the labels, those of the scenes; default: the data set's")
    add("--label-set", help="name of these labels; default: the kind of segmenter")
    add("--steps", type=int, help="steps of every training; default: as each configuration says")
    add("--set", dest="settings", action="append", default=[], help="section.key=value for all trainings")
    add("--seed", type=int, default=0, help="of imports, trainings and intervals")
    add("--skip", nargs="+", default=[], metavar="METHOD", help="methods of tools/tables/methods.yaml to leave out")
    add("--phase", nargs="+", choices=PHASES, help="only these; default: all")
    add("--rescore", action="store_true", help="score again what has been scored")
    add("--dry-run", action="store_true", help="say what is there and what is missing; 1 if something is")
    add("--out", type=Path, required=True, help="folder of everything that is made")
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f"error: {error}")
