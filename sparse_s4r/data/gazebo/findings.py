"""What was wrong with a world: every thing that is left out or replaced gets a line."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Problem(Enum):
    """Kinds of findings, in the order in which a report lists them."""

    MODEL = "model left out"
    GEOMETRY = "geometry left out"
    OUTSIDE = "path outside the world's folders"
    TEXTURE = "texture missing"
    PLACEMENT = "placement dropped"
    CLASS = "no class for"
    IGNORED = "not read"


@dataclass(frozen=True)
class Finding:
    """One line of a report.

    Attributes:
        problem: Its kind.
        subject: The file, model or element it is about.
        detail: What was expected and what came.
    """

    problem: Problem
    subject: str
    detail: str

    def __str__(self) -> str:
        return f"{self.problem.value}: {self.subject}: {self.detail}"


class Findings:
    """Gathers findings while a world is read; each is kept once, with the number of times it came up."""

    def __init__(self) -> None:
        self._counts: dict[Finding, int] = {}

    def add(self, problem: Problem, subject: str, detail: str) -> None:
        """Note one finding."""
        finding = Finding(problem, subject, detail)
        self._counts[finding] = self._counts.get(finding, 0) + 1

    def of(self, problem: Problem) -> tuple[Finding, ...]:
        """The findings of one kind, in the order in which they came up."""
        return tuple(finding for finding in self._counts if finding.problem is problem)

    def lines(self) -> tuple[str, ...]:
        """All findings as text, sorted by kind."""
        order = {problem: position for position, problem in enumerate(Problem)}
        sorted_counts = sorted(self._counts.items(), key=lambda item: order[item[0].problem])
        return tuple(f"{finding}{f' ({count} times)' if count > 1 else ''}" for finding, count in sorted_counts)
