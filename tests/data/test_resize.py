import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_s4r.data.resize import resize_area, resize_frame
from sparse_s4r.structures import Camera, RGBDFrame


def make_frame(width: int, height: int) -> RGBDFrame:
    k = torch.tensor([[20.0, 0, width / 2], [0, 20.0, height / 2], [0, 0, 1]], dtype=torch.float64)
    camera = Camera(k, torch.eye(4, dtype=torch.float64), width, height)
    depth = torch.arange(width * height).reshape(height, width).float()
    return RGBDFrame("a", camera, torch.rand((height, width, 3)), depth, depth.long() % 7)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 12), st.integers(1, 12))
def test_area_average_keeps_the_mean(width: int, height: int, new_width: int, new_height: int) -> None:
    image = torch.rand((height, width, 2), dtype=torch.float64, generator=torch.Generator().manual_seed(width))
    resized = resize_area(image, new_width, new_height)
    assert resized.shape == (new_height, new_width, 2)
    torch.testing.assert_close(resized.mean(dim=(0, 1)), image.mean(dim=(0, 1)))


def test_area_average_with_a_fractional_ratio() -> None:
    # 3 pixels to 2: each new pixel is one old pixel and half of the middle one.
    image = torch.tensor([[[0.0], [0.3], [0.9]]])
    torch.testing.assert_close(resize_area(image, 2, 1), torch.tensor([[[0.1], [0.7]]]))


def test_depth_and_labels_are_picked_not_mixed() -> None:
    frame = make_frame(9, 6)
    small = resize_frame(frame, width=4)
    assert (small.camera.width, small.camera.height) == (4, 3)
    assert bool(torch.isin(small.depth, frame.depth).all())
    assert small.labels is not None
    assert torch.equal(small.labels, small.depth.long() % 7)


def test_third_of_the_size_picks_centres() -> None:
    frame = make_frame(9, 6)
    assert torch.equal(resize_frame(frame, width=3).depth, frame.depth[1::3, 1::3])


def test_same_size_is_the_same_frame() -> None:
    frame = make_frame(9, 6)
    assert resize_frame(frame) is frame
    assert resize_frame(frame, 9, 6) is frame


def test_empty_size_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1x1"):
        resize_frame(make_frame(9, 6), 0, 3)
