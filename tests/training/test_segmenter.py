"""Training of the small segmenter on a few pictures."""

from __future__ import annotations

import pytest
import torch

from sparse_s4r.data.labelled_pictures import LabelledPictures
from sparse_s4r.segmentation.label_map import LabelMap
from sparse_s4r.structures import IGNORE_LABEL
from sparse_s4r.training.picture_augment import PictureAugmentation
from sparse_s4r.training.segmenter import PictureSource, SegmenterOptions, SegmenterTraining

FINE = ("red", "green", "lime")
COARSE = LabelMap("coarse", FINE, ("greens", "red"), (1, 0, 0))
_SMALL = PictureAugmentation(32, 32, (0.8, 1.2), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def _pictures(classes: tuple[str, ...], greens: tuple[int, ...]) -> LabelledPictures:
    """Left red, right one of the greens; ``greens`` are their labels, red's comes from ``classes``."""
    color = torch.zeros(2, 3, 40, 40, dtype=torch.uint8)
    labels = torch.full((2, 40, 40), classes.index("red"), dtype=torch.uint8)
    color[:, 0, :, :20] = 200
    for index, label in enumerate(greens):
        color[index, 1, :, 20:] = (100, 220)[index]
        labels[index, :, 20:] = label
    return LabelledPictures(color, labels, classes)


FINELY = _pictures(FINE, (1, 2))
COARSELY = _pictures(COARSE.class_names, (0, 0))


def _options(steps: int, seed: int = 0) -> SegmenterOptions:
    return SegmenterOptions(steps, batch=4, warmup=2, seed=seed, averaging=0.8, augmentation=_SMALL)


def test_the_loss_falls_and_the_classes_are_learnt() -> None:
    sources = [PictureSource(FINELY, None, 0.5), PictureSource(COARSELY, COARSE, 0.5)]
    training = SegmenterTraining(sources, 3, _options(40))
    losses = [found.loss for found in training]
    assert sum(losses[-5:]) < 0.3 * sum(losses[:5])
    labels = training.average(FINELY.color.float() / 255).argmax(1)
    # Only fine labels can tell the greens apart, only they and coarse ones together red.
    agree = labels == FINELY.labels
    assert float(agree.float().mean()) > 0.9


def test_a_seed_is_a_training() -> None:
    runs = [
        [found.loss for found in SegmenterTraining([PictureSource(FINELY, None, 1.0)], 3, _options(3, seed))]
        for seed in (0, 0, 1)
    ]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_coarse_labels_alone_leave_their_classes_open() -> None:
    training = SegmenterTraining([PictureSource(COARSELY, COARSE, 1.0)], 3, _options(30))
    list(training)
    probabilities = training.average(COARSELY.color.float() / 255).softmax(1)
    greens, red = probabilities[:, 1:].sum(1), probabilities[:, 0]
    assert float(greens[..., 24:].mean()) > 0.8
    assert float(red[..., :16].mean()) > 0.8


def test_pixels_without_label_teach_nothing() -> None:
    empty = LabelledPictures(FINELY.color, torch.full_like(FINELY.labels, IGNORE_LABEL), FINE)
    training = SegmenterTraining([PictureSource(empty, None, 1.0)], 3, _options(2))
    assert [found.loss for found in training] == [0.0, 0.0]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_shares_decide_what_is_seen(share: float) -> None:
    # The coarse pictures are unlabelled: without them there is a loss, with nothing else there is none.
    empty = LabelledPictures(COARSELY.color, torch.full_like(COARSELY.labels, IGNORE_LABEL), COARSE.class_names)
    sources = [PictureSource(FINELY, None, 1.0 - share), PictureSource(empty, COARSE, share)]
    losses = [found.loss for found in SegmenterTraining(sources, 3, _options(2))]
    assert (max(losses) == 0.0) == (share == 1.0)
