"""Random changes of images: labels move with the pixels, and nothing else about them changes."""

from __future__ import annotations

import torch

from sparse_s4r.structures import IGNORE_LABEL
from sparse_s4r.training.picture_augment import CELL, PictureAugmentation

# What moves pixels, without anything that changes colours; the tone is always changed.
_PLAIN = PictureAugmentation(64, 96, zoom=(0.5, 2.0), recolor=0.0, blur=0.0, coarse=0.0, noise=0.0, erased=0.0)


def _picture() -> tuple[torch.Tensor, torch.Tensor]:
    """Four quarters of four classes, each of its own brightness, and one corner without a label."""
    labels = torch.zeros(80, 120, dtype=torch.uint8)
    labels[:40, 60:], labels[40:, :60], labels[40:, 60:] = 1, 2, 3
    color = (labels * 80).expand(3, 80, 120).clone()
    labels[:8, :8] = IGNORE_LABEL
    return color, labels


def test_sizes_and_ranges() -> None:
    color, labels = _picture()
    generator = torch.Generator().manual_seed(0)
    seen: set[int] = set()
    for _ in range(40):
        image, small = PictureAugmentation(64, 96)(color, labels, generator)
        assert image.shape == (3, 64, 96)
        assert small.shape == (64 // CELL, 96 // CELL)
        assert small.dtype == torch.uint8
        assert 0.0 <= float(image.min()) <= float(image.max()) <= 1.0
        seen |= set(small.unique().tolist())
    assert seen == {0, 1, 2, 3, IGNORE_LABEL}


def test_a_seed_is_a_change() -> None:
    color, labels = _picture()
    first, again = (PictureAugmentation()(color, labels, torch.Generator().manual_seed(3)) for _ in range(2))
    other = PictureAugmentation()(color, labels, torch.Generator().manual_seed(4))
    torch.testing.assert_close(first, again, atol=0.0, rtol=0.0)
    assert not torch.equal(first[0], other[0])


def test_labels_move_with_the_pixels() -> None:
    color, labels = _picture()
    generator = torch.Generator().manual_seed(0)
    compared = 0
    for _ in range(40):
        image, small = _PLAIN(color, labels, generator)
        # The change of tone keeps the order of greys: brightness tells the class.
        grey = image.mean(0).unfold(0, CELL, CELL).unfold(1, CELL, CELL)
        flat = grey.amax((2, 3)) - grey.amin((2, 3)) < 1e-3
        bright = {int(label): grey[(small == label) & flat].mean() for label in small.unique() if label < 4}
        order = [float(bright[label]) for label in sorted(bright) if not torch.isnan(bright[label])]
        assert order == sorted(order)
        for label, mean in bright.items():
            inside = grey[(small == label) & flat]
            # All cells of a class look alike.
            assert bool(((inside - mean).abs() < 2e-3).all()), label
            compared += len(inside)
    assert compared > 10_000


def test_beyond_the_edge_there_are_no_labels() -> None:
    color, labels = _picture()
    far = PictureAugmentation(64, 96, zoom=(0.25, 0.25), tilt=0.0, erased=0.0)
    _, small = far(color, torch.where(labels == IGNORE_LABEL, 0, labels), torch.Generator().manual_seed(0))
    # The image covers 20 x 30 of 64 x 96 pixels at most, give or take the change of aspect.
    assert 0.02 < float((small != IGNORE_LABEL).float().mean()) < 0.15


def test_missing_patches_have_one_colour_and_no_label() -> None:
    color, labels = _picture()
    holed = PictureAugmentation(64, 96, (2.0, 2.0), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, erased=1.0)
    found = 0
    for seed in range(20):
        image, small = holed(color, torch.zeros_like(labels), torch.Generator().manual_seed(seed))
        cells = image.unfold(1, CELL, CELL).unfold(2, CELL, CELL)
        holes = small == IGNORE_LABEL
        if not bool(holes.any()) or bool(holes.all()):
            continue
        inside = cells[:, holes].flatten(1)
        assert float((inside.amax(1) - inside.amin(1)).max()) < 1e-6
        wide = holes.repeat_interleave(CELL, 0).repeat_interleave(CELL, 1)
        torch.testing.assert_close(inside[:, 0], image[:, ~wide].mean(1))
        found += 1
    assert found > 10


def test_tone_of_strength_zero_changes_no_colour() -> None:
    # A picture of one colour stays so wherever it moves.
    color = torch.tensor([40, 120, 200], dtype=torch.uint8).view(3, 1, 1).expand(3, 80, 120)
    still = PictureAugmentation(64, 96, (0.5, 2.0), 0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    toned = PictureAugmentation(64, 96, (0.5, 2.0), 0.1, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    expected = color[:, :64, :96].float() / 255
    labels = torch.zeros(80, 120, dtype=torch.uint8)
    torch.testing.assert_close(still(color, labels, torch.Generator().manual_seed(1))[0], expected, atol=1e-5, rtol=0)
    assert float((toned(color, labels, torch.Generator().manual_seed(1))[0] - expected).abs().max()) > 0.02
