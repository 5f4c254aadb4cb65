"""Scores of many scenes, one file per scene, in one process or in several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import torch

from sparse_s4r.data.scene_format import open_scene
from sparse_s4r.evaluation.rooms import Method, SceneScores, score_scene
from sparse_s4r.evaluation.score_files import load_scores, save_scores, scene_key
from sparse_s4r.structures.errors import UserError

Scored = tuple[Path, tuple[SceneScores, ...]]


def score_scenes(
    folders: Sequence[Path], methods: Sequence[Method], kept: Path, label_set: str | None = None, jobs: int = 1
) -> Iterator[Scored]:
    """Score scenes, or take the scores that ``kept`` has of them.

    Args:
        folders: Scene folders, of different names.
        methods: Predictions to judge.
        kept: Folder with one file per scene, written as soon as a scene is done.
        label_set: Labels that are lifted; None: the scenes' own.
        jobs: Number of scenes that are scored at once, each in its own process; 1: in this one.

    Yields:
        A scene's folder and its scores, kept ones first, others as they are done.

    Raises:
        UserError: Less than one job, two scenes of one name; and what ``score_scene`` raises. Scenes that are being
            scored then are finished and kept.
    """
    if jobs < 1:
        raise UserError(f"jobs: expected at least 1, got {jobs}")
    names = [folder.resolve().name for folder in folders]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"scenes: expected folders of different names, got {twice} more than once; rename one")
    left = []
    for folder, name in zip(folders, names, strict=True):
        found = load_scores(kept / f"{name}.json", scene_key(folder, methods, label_set))
        if found is None:
            left.append((folder, kept / f"{name}.json"))
        else:
            yield folder, found
    if jobs == 1 or len(left) < 2:
        for folder, file in left:
            yield _score(folder, tuple(methods), label_set, file)
    else:
        yield from _score_in_processes(left, tuple(methods), label_set, min(jobs, len(left)))


def _score_in_processes(
    left: Sequence[tuple[Path, Path]], methods: tuple[Method, ...], label_set: str | None, jobs: int
) -> Iterator[Scored]:
    threads = max(1, torch.get_num_threads() // jobs)
    # A forked process would inherit torch's and Open3D's threads in a state that they do not recover from.
    executor = ProcessPoolExecutor(jobs, get_context("spawn"), torch.set_num_threads, (threads,))
    try:
        futures = [executor.submit(_score, folder, methods, label_set, file) for folder, file in left]
        for future in as_completed(futures):
            yield future.result()
    finally:
        executor.shutdown(cancel_futures=True)


def _score(folder: Path, methods: tuple[Method, ...], label_set: str | None, file: Path) -> Scored:
    # Before it is read: what changes while it is scored must not look as if it had been.
    key = scene_key(folder, methods, label_set)
    scores = tuple(score_scene(open_scene(folder), methods, label_set))
    save_scores(file, key, scores)
    return folder, scores
