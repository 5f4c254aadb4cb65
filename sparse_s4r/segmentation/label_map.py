"""Label maps: which class of a taxonomy each class of a 2D segmenter counts as, kept as data files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch
import yaml
from torch import Tensor

from sparse_s4r.structures import IGNORE_LABEL
from sparse_s4r.structures.errors import DataError

_SHOWN = 8


@dataclass(frozen=True)
class LabelMap:
    """From the U classes of a segmenter to the K classes of a taxonomy.

    Attributes:
        name: Name of the map.
        source_names: U names of the segmenter's classes.
        class_names: K names of the taxonomy's classes.
        targets: U classes of the taxonomy, ``IGNORE_LABEL`` for what it has no class for.
    """

    name: str
    source_names: tuple[str, ...]
    class_names: tuple[str, ...]
    targets: tuple[int, ...]


def shipped_label_maps() -> tuple[str, ...]:
    """Names of the label maps that come with the package."""
    folder = resources.files("sparse_s4r.segmentation") / "label_maps"
    return tuple(sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml")))


def load_label_map(source: str | Path, source_names: tuple[str, ...], class_names: tuple[str, ...]) -> LabelMap:
    """Read a label map and check it for gaps.

    Args:
        source: Name of a shipped map, e.g. ``mseg194-scannet15``, or the path of a YAML file with ``name``,
            ``classes`` (every class of the taxonomy with the list of the segmenter's classes that count as it,
            possibly empty) and ``ignored`` (the segmenter's other classes).
        source_names: Names of the segmenter's classes, in the order of its channels.
        class_names: Names of the taxonomy's classes.

    Raises:
        DataError: No such map; a class of the segmenter that is unknown, missing or named twice; a class of the
            taxonomy that is unknown or missing. The message names the classes.
    """
    content = _read(source)
    classes, ignored = _parts(content, source)
    _expect_same(source, "taxonomy", class_names, classes)
    listed = [name for names in classes.values() for name in names] + ignored
    doubled = sorted({name for name in listed if listed.count(name) > 1})
    if doubled:
        raise DataError(f"label map {source}: expected each source class once, got {_show(doubled)} more than once")
    _expect_same(source, "source", source_names, listed)
    target = dict.fromkeys(ignored, IGNORE_LABEL)
    for name, members in classes.items():
        target.update(dict.fromkeys(members, class_names.index(name)))
    return LabelMap(str(content["name"]), source_names, class_names, tuple(target[name] for name in source_names))


def map_probabilities(probabilities: Tensor, label_map: LabelMap) -> Tensor:
    """Probabilities of the taxonomy's classes.

    Args:
        probabilities: (B, U, H, W) float, those of the segmenter's classes.
        label_map: The map.

    Returns:
        (B, K, H, W) float32: for each class the sum over the classes that count as it, scaled to sum 1 per pixel; 0
        for all classes where more falls on ignored classes than on any single class of the taxonomy.

    Raises:
        ValueError: Another number of classes than the map's.
    """
    return drop_ignored(sum_targets(probabilities, label_map))


def sum_targets(probabilities: Tensor, label_map: LabelMap) -> Tensor:
    """(B, K + 1, H, W) float32 sums of ``probabilities`` (B, U, H, W) per class of the taxonomy; ignored ones last.

    It is linear, so it may be taken before probabilities are resized or averaged, where there are far fewer classes.

    Raises:
        ValueError: Another number of classes than the map's.
    """
    count, source_count = len(label_map.class_names), len(label_map.source_names)
    if probabilities.dim() != 4 or probabilities.shape[1] != source_count:
        raise ValueError(
            f"probabilities: expected (B, {source_count}, H, W) for {label_map.name}, got {tuple(probabilities.shape)}"
        )
    targets = torch.tensor(label_map.targets, device=probabilities.device)
    channels = torch.where(targets == IGNORE_LABEL, count, targets)
    batch, _, height, width = probabilities.shape
    sums = probabilities.new_zeros((batch, count + 1, height, width), dtype=torch.float32)
    return sums.index_add_(1, channels, probabilities.float())


def drop_ignored(sums: Tensor) -> Tensor:
    """(B, K, H, W) probabilities of sum 1 from the (B, K + 1, H, W) of ``sum_targets``; 0 where the last one wins."""
    classes, ignored = sums[:, :-1], sums[:, -1:]
    total = classes.sum(dim=1, keepdim=True)
    stated = (total > 0) & (classes.amax(dim=1, keepdim=True) >= ignored)
    return torch.where(stated, classes / total.clamp_min(torch.finfo(total.dtype).tiny), 0.0)


def _read(source: str | Path) -> dict[str, object]:
    if isinstance(source, str) and source in shipped_label_maps():
        text = (resources.files("sparse_s4r.segmentation") / "label_maps" / f"{source}.yaml").read_text("utf-8")
    elif Path(source).is_file():
        text = Path(source).read_text("utf-8")
    else:
        known = ", ".join(shipped_label_maps())
        raise DataError(f"label map {source}: expected one of {known} or the path of a YAML file, got neither")
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DataError(
            f"label map {source}: expected YAML, got a file that cannot be read as such ({error})"
        ) from error
    if not isinstance(content, dict) or set(content) != {"name", "classes", "ignored"}:
        keys = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise DataError(f"label map {source}: expected the keys name, classes and ignored, got {keys}")
    return content


def _parts(content: dict[str, object], source: str | Path) -> tuple[dict[str, list[str]], list[str]]:
    classes = content["classes"]
    if not isinstance(classes, dict):
        raise DataError(f"label map {source}: classes: expected taxonomy class: [source classes], got {classes!r}")
    read = {str(name): _names(members, f"{source}: {name}") for name, members in classes.items()}
    return read, _names(content["ignored"], f"{source}: ignored")


def _names(value: object, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise DataError(f"label map {where}: expected a list of names, [] for none, got {value!r}; quote odd names")
    return value


def _expect_same(source: str | Path, kind: str, expected: Iterable[str], listed: Iterable[str]) -> None:
    expected, listed = tuple(expected), tuple(listed)
    unknown = [name for name in listed if name not in expected]
    missing = [name for name in expected if name not in listed]
    if unknown:
        raise DataError(
            f"label map {source}: expected {kind} classes among {_show(expected)}, got the unknown {_show(unknown)}"
        )
    if missing:
        remedy = "list each in a class or in ignored" if kind == "source" else "give each a list, [] for none"
        raise DataError(
            f"label map {source}: expected all {len(expected)} {kind} classes, got none of {_show(missing)}; {remedy}"
        )


def _show(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
