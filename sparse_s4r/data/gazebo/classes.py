"""From the names of models to classes: patterns in an editable data file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from sparse_s4r.structures import IGNORE_LABEL
from sparse_s4r.structures.errors import DataError


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    names: str
    scannet: str | None
    matterport: str | None


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    taxonomies: dict[str, tuple[str, ...]]
    rules: tuple[_Rule, ...]


@dataclass(frozen=True)
class ModelClasses:
    """Classes of models in one taxonomy.

    Attributes:
        taxonomy: Its name.
        class_names: Name of each label from 0.
        patterns: (regular expression, class or None), tried in this order.
    """

    taxonomy: str
    class_names: tuple[str, ...]
    patterns: tuple[tuple[re.Pattern[str], str | None], ...]

    def label(self, names: Iterable[str]) -> int | None:
        """Label by the first name that a pattern fits; ``IGNORE_LABEL`` where the taxonomy has none for it.

        Args:
            names: Names in any style, most telling first; "TVCabinet_01" is read as "tv cabinet".

        Returns:
            None if no pattern fits any name.
        """
        for name in names:
            words = split_words(name)
            for pattern, class_name in self.patterns:
                if pattern.search(words):
                    return IGNORE_LABEL if class_name is None else self.class_names.index(class_name)
        return None


def split_words(name: str) -> str:
    """A name in lower case, its words apart and without numbers: "NightStand_01" gives "night stand"."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return " ".join(re.sub(r"[^a-z]+", " ", spaced.lower()).split())


def load_classes(taxonomy: str, path: Path | None = None) -> ModelClasses:
    """Read the patterns.

    Args:
        taxonomy: One that the file lists, e.g. scannet15, scannet20, matterport11.
        path: A file of your own; None for the one that comes with the package.

    Raises:
        DataError: An unknown taxonomy, or a file that does not fit; the message names the entry.
    """
    source = "model_classes.yaml" if path is None else str(path)
    try:
        if path is None:
            text = (resources.files("sparse_s4r.data.gazebo") / "model_classes.yaml").read_text("utf-8")
        else:
            text = path.read_text("utf-8")
        content = _File.model_validate(yaml.safe_load(text))
    except ValidationError as error:
        problem = error.errors()[0]
        raise DataError(f"{source}: {'.'.join(map(str, problem['loc']))}: {problem['msg']}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{source}: expected a YAML file of classes, got none that can be read ({error})") from error
    if taxonomy not in content.taxonomies:
        raise DataError(f"taxonomy {taxonomy}: expected one of {', '.join(content.taxonomies)}, got another")
    return _of(taxonomy, content, source)


def _of(taxonomy: str, content: _File, source: str) -> ModelClasses:
    class_names = content.taxonomies[taxonomy]
    scannet = taxonomy.startswith("scannet")
    patterns = []
    for number, rule in enumerate(content.rules):
        try:
            pattern = re.compile(rf"\b(?:{rule.names})\b")
        except re.error as error:
            raise DataError(f"{source}: rule {number}: expected a regular expression, got {rule.names!r}") from error
        chosen = rule.scannet if scannet else rule.matterport
        if chosen is not None and chosen not in class_names:
            chosen = _fallback(chosen, class_names, taxonomy, f"{source}: rule {number}", content)
        patterns.append((pattern, chosen))
    return ModelClasses(taxonomy, class_names, tuple(patterns))


def _fallback(chosen: str, class_names: tuple[str, ...], taxonomy: str, where: str, content: _File) -> str:
    """ScanNet's five rarer classes are other furniture in the list of fifteen."""
    known = taxonomy.startswith("scannet") and chosen in content.taxonomies.get("scannet20", ())
    if known and "otherfurniture" in class_names:
        return "otherfurniture"
    raise DataError(f"{where}: expected a class of {taxonomy}, got {chosen!r}")
