"""Many homes, one folder each: what is finished is kept, the rest is made, on several processes if wanted."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from sparse_s4r.data.homes.capture import VERSION, HomeOptions, HomeSummary, write_home
from sparse_s4r.data.homes.classes import LabelMap
from sparse_s4r.data.homes.floor_plan import MAX_ROOMS
from sparse_s4r.structures.errors import DataError, UserError


@dataclass(frozen=True)
class HomeJob:
    """One home to make: its seed, its rooms and its folder."""

    seed: int
    rooms: int
    folder: Path


@dataclass(frozen=True)
class HomeDone:
    """A home that is there: whether it was ``kept`` from an earlier run, and what is in it."""

    job: HomeJob
    kept: bool
    summary: HomeSummary


def plan_jobs(out: Path, rooms: int, per_home: int, seed: int) -> list[HomeJob]:
    """Homes of ``per_home`` rooms with ``rooms`` rooms in all; the last may have fewer. Seeds count up from ``seed``.

    Raises:
        UserError: A number out of range.
    """
    if rooms < 1:
        raise UserError(f"rooms: expected at least 1, got {rooms}")
    if not 1 <= per_home <= MAX_ROOMS:
        raise UserError(f"rooms per home: expected 1 to {MAX_ROOMS}, got {per_home}")
    if seed < 0:
        raise UserError(f"seed: expected a number >= 0, got {seed}")
    jobs: list[HomeJob] = []
    left = rooms
    while left > 0:
        count = min(per_home, left)
        number = seed + len(jobs)
        jobs.append(HomeJob(number, count, out / f"home-{number:06d}-{count}"))
        left -= count
    return jobs


def make_homes(jobs: list[HomeJob], options: HomeOptions, labels: LabelMap, processes: int = 1) -> Iterator[HomeDone]:
    """Make all homes that are not there yet, in the order in which they get ready.

    Args:
        jobs: Which.
        options: How.
        labels: Classes of label images and truth.
        processes: How many homes are made at the same time.

    Raises:
        DataError: A folder of that name holds something else, or a home that was made otherwise.
        UserError: ``processes`` < 1.
    """
    if processes < 1:
        raise UserError(f"jobs: expected at least 1, got {processes}")
    kept = {job: _finished(job, options) for job in jobs if job.folder.exists()}
    for job, summary in kept.items():
        yield HomeDone(job, True, summary)
    left = [job for job in jobs if job not in kept]
    if processes == 1 or len(left) < 2:
        for job in left:
            yield HomeDone(job, False, write_home(job.seed, job.rooms, job.folder, options, labels))
        return
    # Open3D's and torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(left)), context) as pool:
        started: dict[Future[HomeSummary], HomeJob] = {
            pool.submit(write_home, job.seed, job.rooms, job.folder, options, labels): job for job in left
        }
        try:
            for future in as_completed(started):
                yield HomeDone(started[future], False, future.result())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _finished(job: HomeJob, options: HomeOptions) -> HomeSummary:
    """What an earlier run wrote, if it is what this run would write."""
    path = job.folder / "truth" / "home.json"
    try:
        found = json.loads(path.read_text("utf-8"))
        same = (found["version"], found["seed"], len(found["rooms"])) == (VERSION, job.seed, job.rooms)
        summary = HomeSummary(**{**found["summary"], "class_area": tuple(found["summary"]["class_area"])})
        written = found["options"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{job.folder}: expected a home that s4r synth made, got something else ({error}); name another --out"
        ) from error
    differing = [key for key, value in options.record.items() if written.get(key) != value]
    if not same or differing:
        what = ", ".join(differing) or "seed or version"
        raise DataError(
            f"{job.folder}: expected a home made with these options, got others ({what}); name another --out"
        )
    return summary
