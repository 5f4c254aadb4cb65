from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sparse_s4r.segmentation.dense import DenseOptions, dense_probabilities, resize_images, scaled_size
from sparse_s4r.segmentation.label_map import LabelMap
from sparse_s4r.structures import IGNORE_LABEL

# Three classes of the network: two count as the first class of the taxonomy, none is ignored unless said so.
ALL = LabelMap("all", ("a", "b", "c"), ("x", "y"), (0, 0, 1))
SOME = LabelMap("some", ("a", "b", "c"), ("x", "y"), (0, 1, IGNORE_LABEL))


@pytest.fixture
def pointwise() -> nn.Module:
    torch.manual_seed(3)
    return nn.Conv2d(3, 3, 1).requires_grad_(False)


def by_hand(images: Tensor, network: nn.Module, options: DenseOptions) -> Tensor:
    """Probabilities of ``ALL`` for a network without neighbourhood, pixel by pixel."""
    batch, _, height, width = images.shape
    result = torch.zeros(batch, 2, height, width)
    for item in range(batch):
        for row in range(height):
            for column in range(width):
                pixel = [
                    (float(value) - mean) / std
                    for value, mean, std in zip(images[item, :, row, column], options.mean, options.std, strict=True)
                ]
                logits = network(torch.tensor(pixel).view(1, 3, 1, 1)).flatten()
                a, b, c = (logits.exp() / logits.exp().sum()).tolist()
                result[item, :, row, column] = torch.tensor([a + b, c])
    return result


@pytest.mark.parametrize(
    "options",
    [
        DenseOptions(),
        DenseOptions(step=8, rest=1),
        DenseOptions(flip=True, tile=12, step=4),
        DenseOptions(tile=9, step=8, rest=1),
        DenseOptions(tile=5, flip=True),
    ],
)
def test_tiles_padding_and_mirror_images_change_nothing_for_a_network_without_neighbourhood(
    pointwise: nn.Module, options: DenseOptions
) -> None:
    images = torch.rand(2, 3, 14, 23, generator=torch.Generator().manual_seed(0))
    found = dense_probabilities(images, pointwise, ALL, options)
    torch.testing.assert_close(found, by_hand(images, pointwise, options))
    assert not found.requires_grad


def test_the_network_sees_what_the_size_rule_allows() -> None:
    seen: list[tuple[int, int]] = []

    def network(images: Tensor) -> Tensor:
        seen.append((images.shape[2], images.shape[3]))
        return images

    options = DenseOptions(short_side=20, scales=(0.5, 1.0, 2.0), tile=33, step=8, rest=1)
    assert dense_probabilities(torch.rand(1, 3, 10, 15), network, ALL, options).shape == (1, 2, 10, 15)
    # 10x15, 20x30, and 40x60, of which the tiles of 33 cover 0-33 and 7-40, and 0-33, 22-55, 27-60.
    assert seen == [(17, 17), (25, 33), *[(33, 33)] * 6]
    assert all((height - 1) % 8 == 0 and (width - 1) % 8 == 0 for height, width in seen)


def test_tiles_are_averaged_where_they_overlap() -> None:
    """A network that tells only which tile a pixel is in: the first sees ones, the second is sure of the other."""
    calls: list[int] = []

    def network(images: Tensor) -> Tensor:
        calls.append(1)
        sure = torch.tensor([40.0, 0.0, 0.0] if len(calls) == 1 else [0.0, 0.0, 40.0])
        return sure.view(1, 3, 1, 1).expand(images.shape)

    found = dense_probabilities(torch.rand(1, 3, 4, 9), network, ALL, DenseOptions(tile=6))
    assert len(calls) == 2
    expected = torch.tensor([1.0, 1, 1, 0.5, 0.5, 0.5, 0, 0, 0])
    torch.testing.assert_close(found[0, 0], expected.expand(4, 9))


def test_the_mirror_image_is_turned_back() -> None:
    def network(images: Tensor) -> Tensor:
        """Sure of the first class in the left half of whatever it sees, of the last in the right half."""
        left = torch.arange(images.shape[3]) < images.shape[3] / 2
        logits = torch.stack([40.0 * left, torch.zeros(images.shape[3]), 40.0 * ~left])
        return logits.view(1, 3, 1, -1).expand(images.shape)

    images = torch.rand(1, 3, 2, 6)
    once = dense_probabilities(images, network, ALL, DenseOptions())
    torch.testing.assert_close(once[0, 0, 0], torch.tensor([1.0, 1, 1, 0, 0, 0]))
    both = dense_probabilities(images, network, ALL, DenseOptions(flip=True))
    torch.testing.assert_close(both, torch.full((1, 2, 2, 6), 0.5))


def test_scales_are_averaged_as_probabilities() -> None:
    def network(images: Tensor) -> Tensor:
        """Sure of the first class in small images, undecided between two in large ones."""
        sure = torch.tensor([40.0, 0.0, 0.0] if images.shape[2] == 4 else [40.0, 0.0, 40.0])
        return sure.view(1, 3, 1, 1).expand(images.shape)

    found = dense_probabilities(torch.rand(1, 3, 4, 4), network, ALL, DenseOptions(scales=(1.0, 2.0)))
    torch.testing.assert_close(found[0, :, 0, 0], torch.tensor([0.75, 0.25]))


def test_coarse_logits_are_brought_to_the_tile_and_ignored_classes_win() -> None:
    def network(images: Tensor) -> Tensor:
        logits = torch.tensor([[40.0, 0.0], [0.0, 0.0], [0.0, 40.0]])
        return logits.view(1, 3, 1, 2)

    found = dense_probabilities(torch.rand(1, 3, 4, 8), network, SOME, DenseOptions())
    assert found.shape == (1, 2, 4, 8)
    torch.testing.assert_close(found[0, :, 0, 0], torch.tensor([1.0, 0.0]))
    assert float(found[0, :, :, 4:].abs().max()) == 0.0


@pytest.mark.parametrize(
    ("size", "short_side", "scale", "expected"),
    [
        ((480, 640), None, 1.0, (480, 640)),
        ((968, 1296), 480, 1.0, (480, 643)),
        ((1296, 968), 480, 0.5, (321, 240)),
        ((3, 300), 1, 0.1, (1, 100)),
    ],
)
def test_sizes(size: tuple[int, int], short_side: int | None, scale: float, expected: tuple[int, int]) -> None:
    assert scaled_size(size, short_side, scale) == expected


def test_resizing_keeps_pixel_centres() -> None:
    ramp = torch.arange(8.0).view(1, 1, 1, 8)
    torch.testing.assert_close(resize_images(ramp, (1, 4)), torch.tensor([0.5, 2.5, 4.5, 6.5]).view(1, 1, 1, 4))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"short_side": 0}, "short_side"),
        ({"scales": ()}, "scales"),
        ({"scales": (1.0, 0.0)}, "scales"),
        ({"tile": 712, "step": 8, "rest": 1}, "tile: expected a multiple of 8 plus 1, got 712"),
    ],
)
def test_options_out_of_range(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DenseOptions(**options)  # type: ignore[arg-type]
