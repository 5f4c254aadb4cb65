"""Learning fine classes from labels of which some are coarse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_s4r.segmentation.label_map import LabelMap
from sparse_s4r.structures import IGNORE_LABEL


@dataclass(frozen=True)
class ClassSets:
    """Sets of fine classes, each of which can be the label of a pixel.

    Attributes:
        members: (S, F) bool: which of the F fine classes belong to set s. The first F sets hold one class each.
        starts: Position of the first set of every label map, in their order.
    """

    members: Tensor
    starts: tuple[int, ...]

    def of_labels(self, labels: Tensor, source: int | None) -> Tensor:
        """Sets of ``labels``.

        Args:
            labels: Integer classes of any shape, ``IGNORE_LABEL`` for none.
            source: Which of the label maps' taxonomies they are in; None for the fine classes.

        Returns:
            uint8 sets of the same shape; ``IGNORE_LABEL`` for none and for a class that no fine class counts as.
        """
        table = torch.full((IGNORE_LABEL + 1,), IGNORE_LABEL, dtype=torch.uint8)
        start, stop = 0, self.members.shape[1]
        if source is not None:
            start = self.starts[source]
            stop = self.starts[source + 1] if source + 1 < len(self.starts) else len(self.members)
        sets = torch.arange(start, stop)
        table[: stop - start] = torch.where(self.members[start:stop].any(1), sets, IGNORE_LABEL).to(torch.uint8)
        # numpy looks up bytes as they are; torch would first make eight bytes of each.
        return torch.from_numpy(table.numpy()[labels.numpy()])


def class_sets(fine_count: int, maps: Sequence[LabelMap]) -> ClassSets:
    """The fine classes themselves, and the classes of every map's taxonomy as sets of fine classes.

    Raises:
        ValueError: A map from another number of classes, or more sets than a byte can tell apart.
    """
    rows = [torch.eye(fine_count, dtype=torch.bool)]
    starts, count = [], fine_count
    for one in maps:
        if len(one.source_names) != fine_count:
            raise ValueError(f"label map {one.name}: expected {fine_count} fine classes, got {len(one.source_names)}")
        targets = torch.tensor(one.targets)
        rows.append(targets[None, :] == torch.arange(len(one.class_names))[:, None])
        starts.append(count)
        count += len(one.class_names)
    if count > IGNORE_LABEL:
        raise ValueError(f"label maps: expected at most {IGNORE_LABEL} sets of classes, got {count}")
    return ClassSets(torch.cat(rows), tuple(starts))


def partial_cross_entropy(logits: Tensor, sets: Tensor, members: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean over labelled pixels of -log of the probability that the pixel's set holds the true class.

    For a set of one class this is the cross entropy.

    Args:
        logits: (B, F, H, W) of the fine classes.
        sets: (B, H, W) integer sets, ``IGNORE_LABEL`` for none.
        members: (S, F) bool, see ``ClassSets``.
        weights: (S,) weight of a pixel with each set.

    Returns:
        The mean, a number; 0 where no pixel has a label.
    """
    known = sets != IGNORE_LABEL
    labels = sets[known].long()
    rows = logits.float().movedim(1, -1)[known].log_softmax(-1)
    inside = rows.masked_fill(~members[labels], -torch.inf).logsumexp(-1)
    weight = weights[labels]
    return -(weight * inside).sum() / weight.sum().clamp_min(torch.finfo(weight.dtype).tiny)


def balanced_weights(counts: Tensor, power: float = 0.5, most: float = 5.0) -> Tensor:
    """Weights (S,) that fall with how often a set occurs, so that rare ones are learnt too.

    Args:
        counts: (S,) pixels of each set.
        power: 0 weighs all pixels alike, 1 all sets.
        most: Largest weight; the weight of the mean pixel is 1 before this limit.
    """
    counts = counts.double()
    raw = counts.clamp_min(1).pow(-power)
    mean = (raw * counts).sum() / counts.sum().clamp_min(1)
    return (raw / mean.clamp_min(torch.finfo(mean.dtype).tiny)).clamp_max(most).float()
