"""Training of the small 2D segmenter from labelled pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sparse_s4r.data.labelled_pictures import LabelledPictures
from sparse_s4r.segmentation.label_map import LabelMap
from sparse_s4r.segmentation.partial_labels import ClassSets, balanced_weights, class_sets, partial_cross_entropy
from sparse_s4r.segmentation.room_net import RoomNet
from sparse_s4r.structures import IGNORE_LABEL
from sparse_s4r.training.picture_augment import PictureAugmentation
from sparse_s4r.training.schedule import rate_factor


@dataclass(frozen=True)
class SegmenterOptions:
    """Numbers of the training.

    Attributes:
        steps: Optimiser steps.
        batch: Pictures per step.
        learning_rate: Its peak.
        weight_decay: Of AdamW.
        warmup: Steps of linear rise.
        seed: Of the weights, the order of pictures and their changes.
        averaging: Weight of the past in the running mean of weights that is evaluated and kept.
        balance: 0 weighs all pixels alike, 1 all classes.
        augmentation: How pictures are changed.
    """

    steps: int
    batch: int = 16
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    warmup: int = 100
    seed: int = 0
    averaging: float = 0.995
    balance: float = 0.3
    augmentation: PictureAugmentation = field(default_factory=PictureAugmentation)


@dataclass(frozen=True)
class PictureSource:
    """Pictures to learn from.

    Attributes:
        pictures: With labels in any classes.
        label_map: From the fine classes to those of the labels; None if the labels are fine classes.
        share: Share of all samples that come from here, relative to the other sources.
    """

    pictures: LabelledPictures
    label_map: LabelMap | None
    share: float


@dataclass(frozen=True)
class SegmenterStep:
    """What a step found: its number from 1, and the loss of its batch."""

    step: int
    loss: float


class SegmenterTraining:
    """Network, data and optimiser; iterate over it to train.

    Args:
        sources: What to learn from.
        fine_count: Number of fine classes.
        options: Numbers of the training.

    Attributes:
        average: The network with the running mean of weights, in evaluation mode: the result.
    """

    def __init__(self, sources: Sequence[PictureSource], fine_count: int, options: SegmenterOptions) -> None:
        torch.manual_seed(options.seed)
        self.options = options
        self.network = RoomNet(fine_count).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = RoomNet(fine_count)
        self.average.load_state_dict(self.network.state_dict())
        self.average.eval().requires_grad_(False)
        maps = [source.label_map for source in sources if source.label_map is not None]
        self._sets = class_sets(fine_count, maps)
        self._pictures = [source.pictures.color for source in sources]
        self._labels = list(_set_labels(sources, self._sets))
        self._shares = torch.tensor([source.share for source in sources])
        counts = _set_counts(self._labels, self._shares, len(self._sets.members))
        self._weights = balanced_weights(counts, options.balance)
        self._optimizer = torch.optim.AdamW(
            self.network.parameters(), options.learning_rate, weight_decay=options.weight_decay, foreach=True
        )

    def __iter__(self) -> Iterator[SegmenterStep]:
        """Train, and say after every step how it went."""
        generator = torch.Generator().manual_seed(self.options.seed)
        for step in range(self.options.steps):
            rate = rate_factor(step, self.options.steps, self.options.warmup, "cosine")
            for group in self._optimizer.param_groups:
                group["lr"] = self.options.learning_rate * rate
            loss = self._loss(*self._batch(generator))
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
            self._optimizer.step()
            self._blend(step)
            yield SegmenterStep(step + 1, float(loss.detach()))

    def _loss(self, images: Tensor, sets: Tensor) -> Tensor:
        self.network.train()
        # Half the time on processors that know bfloat16; weights and the loss stay in full precision.
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.network.quarter_logits(images)
        return partial_cross_entropy(logits, sets, self._sets.members, self._weights)

    def _batch(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        images, labels = [], []
        chosen = torch.multinomial(self._shares, self.options.batch, replacement=True, generator=generator)
        for source in chosen.tolist():
            index = int(torch.randint(len(self._pictures[source]), (), generator=generator))
            image, label = self.options.augmentation(
                self._pictures[source][index], self._labels[source][index], generator
            )
            images.append(image)
            labels.append(label)
        return torch.stack(images), torch.stack(labels)

    @torch.no_grad()
    def _blend(self, step: int) -> None:
        """Move the mean towards the weights; early on the mean is short, as the first weights are worthless."""
        past = min(self.options.averaging, (step + 1) / (step + 10))
        for mean, value in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - past)
            else:
                mean.copy_(value)


def _set_labels(sources: Sequence[PictureSource], sets: ClassSets) -> Iterator[Tensor]:
    """Labels of every source as sets of fine classes."""
    position = 0
    for source in sources:
        mapped = None if source.label_map is None else position
        position += source.label_map is not None
        yield sets.of_labels(source.pictures.labels, mapped)


def _set_counts(labels: Sequence[Tensor], shares: Tensor, count: int) -> Tensor:
    """Pixels of each set as they will be met: every source's share of them counts, not its size."""
    total = torch.zeros(count, dtype=torch.float64)
    for one, share in zip(labels, shares.tolist(), strict=True):
        found = torch.bincount(one.flatten(), minlength=IGNORE_LABEL + 1)[:count].double()
        total += found / max(float(found.sum()), 1.0) * share * 1e9
    return total
