from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sparse_s4r.segmentation import mseg
from sparse_s4r.segmentation.class_list import load_class_list
from sparse_s4r.segmentation.mseg import (
    MULTI_SCALE,
    MSegSegmenter,
    load_mseg_network,
    load_mseg_segmenter,
    make_mseg_network,
    mseg_options,
)
from sparse_s4r.segmentation.taxonomy import load_taxonomy
from sparse_s4r.structures.errors import CheckpointError, ConfigError

PARAMETERS = 65_985_554


class SmallNet(nn.Module):
    """Takes MSeg's place where the network itself does not matter: its last layer has the same name and outputs."""

    def __init__(self, classes: int = 194) -> None:
        super().__init__()
        self.last_layer = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, classes, 1))

    def forward(self, images: Tensor) -> Tensor:
        assert (images.shape[2] - 1) % 8 == 0
        assert (images.shape[3] - 1) % 8 == 0
        logits: Tensor = self.last_layer(images)
        return logits


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> SmallNet:
    monkeypatch.setattr(mseg, "make_mseg_network", SmallNet)
    torch.manual_seed(0)
    return SmallNet()


@pytest.fixture(scope="module")
def real() -> nn.Module:
    """The network itself, where its package is installed; with S4R_REQUIRE_MSEG=1 it must be."""
    if importlib.util.find_spec("mseg_semantic") is None and os.environ.get("S4R_REQUIRE_MSEG") != "1":
        pytest.skip("mseg_semantic is not installed: python third_party/mseg/install.py")
    torch.manual_seed(0)
    return make_mseg_network()


def save_as_published(path: Path, network: nn.Module, prefix: str = "module.") -> Path:
    """The form of the authors' files: weights of a DataParallel module and what training left."""
    weights = {f"{prefix}{name}": weight for name, weight in network.state_dict().items()}
    momentum = {"state": {0: {"momentum_buffer": torch.zeros(3)}}, "param_groups": [{"lr": 0.01, "params": [0]}]}
    content = {"epoch": 3, "state_dict": weights, "optimizer": momentum, "current_iter": 10, "max_iter": 20}
    torch.save(content, path)
    return path


def test_a_published_checkpoint_is_read(tmp_path: Path, small: SmallNet) -> None:
    loaded = load_mseg_network(save_as_published(tmp_path / "mseg.pth", small))
    assert not loaded.training
    for name, weight in small.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight), name


def test_an_image_of_any_size(tmp_path: Path, small: SmallNet) -> None:
    path = save_as_published(tmp_path / "mseg.pth", small)
    loaded = load_mseg_segmenter(path, "scannet20", scales=(0.5, 1.0))
    assert (loaded.options.scales, loaded.options.short_side) == ((0.5, 1.0), 480)
    segmenter = MSegSegmenter(loaded.network, loaded.label_map, mseg_options((0.5, 1.0), short_side=40))
    assert segmenter.class_names == load_taxonomy("scannet20").class_names
    assert segmenter.label_map.source_names == load_class_list("mseg194").names
    found = segmenter.probabilities(torch.rand(2, 3, 21, 34))
    assert found.shape == (2, 20, 21, 34)
    total = found.sum(dim=1)
    stated = total > 0
    torch.testing.assert_close(total[stated], torch.ones(int(stated.sum())))


def test_probabilities_of_a_pixel_by_hand(small: SmallNet) -> None:
    """An image of one colour: padding, tiles and scales do not matter, the colours' normalisation and the sum do."""
    names, target = load_class_list("mseg194").names, load_taxonomy("matterport11").class_names
    segmenter = MSegSegmenter(small, mseg.choose_label_map(names, "matterport11"), mseg_options((1.0,), 17))
    with torch.no_grad():
        small.last_layer[3].bias[[80, 169, 191, 192]] += torch.tensor([5.0, 4.0, 6.0, 5.5])
        color = torch.tensor([0.2, 0.9, 0.4])
        seen = (color * 255 - torch.tensor([123.675, 116.28, 103.53])) / torch.tensor([58.395, 57.12, 57.375])
        shares = small.eval()(seen.view(1, 3, 1, 1).expand(1, 3, 9, 9))[0, :, 0, 0].softmax(0)
    window = sum(float(shares[names.index(name)]) for name in ("curtain_other", "window", "window_blind"))
    wall = sum(float(shares[names.index(name)]) for name in ("door", "wall"))
    found = segmenter.probabilities(color.view(1, 3, 1, 1).expand(1, 3, 20, 30))[0, :, 10, 20]
    assert float(found[target.index("wall")] / found[target.index("window")]) == pytest.approx(wall / window, rel=1e-3)
    assert float(found.sum()) == pytest.approx(1.0, abs=1e-5)


def test_multi_scale_options() -> None:
    options = mseg_options(MULTI_SCALE)
    assert (options.scales, options.short_side, options.flip) == ((0.5, 0.75, 1.0, 1.25, 1.5, 1.75), 480, True)
    assert [options.fitting(side) for side in (1, 9, 10, 256, 320, 713)] == [9, 9, 17, 257, 321, 713]


def _without(name: str) -> Callable[[dict[str, Tensor]], None]:
    return lambda weights: weights.pop(name)  # type: ignore[return-value]


def _bare(weights: dict[str, Tensor]) -> None:
    for name in list(weights):
        weights[name.removeprefix("module.")] = weights.pop(name)


def _other(name: str, weight: Tensor) -> Callable[[dict[str, Tensor]], None]:
    return lambda weights: weights.update({name: weight})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without("module.last_layer.0.bias"), "got 1 missing: last_layer.0.bias"),
        (_other("module.aux.weight", torch.zeros(1)), "got 1 unknown: aux.weight"),
        (_other("module.last_layer.0.bias", torch.zeros(5)), "got 1 of another shape: last_layer.0.bias"),
        (
            _other("module.last_layer.3.weight", torch.zeros(150, 4, 1, 1)),
            "MSeg's 194 universal classes, got one of 150",
        ),
        (
            _other("last_layer.0.bias", torch.zeros(4)),
            r"start with 'module\.', got 1 of 10 without, such as last_layer",
        ),
        (_bare, r"start with 'module\.', got 9 of 9 without"),
        (dict.clear, r"start with 'module\.', got none"),
    ],
)
def test_a_wrong_checkpoint_says_what_is_wrong(
    tmp_path: Path, small: SmallNet, change: Callable[[dict[str, Tensor]], None], message: str
) -> None:
    path = save_as_published(tmp_path / "mseg.pth", small)
    content = torch.load(path)
    change(content["state_dict"])
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=message):
        load_mseg_network(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning", "got a web page; Google Drive asks"),
        (b"<HTML>sign in", "got a web page"),
        (b"", "cannot be read as one"),
        (b"PK\x03\x04 cut off", "cannot be read as one.*is the download whole"),
        (b"cos\nsystem\n(S'echo'\ntR.", "cannot be read as one"),
    ],
)
def test_a_file_that_is_no_checkpoint(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "mseg.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        load_mseg_network(path)


def test_another_content_is_named(tmp_path: Path, small: SmallNet) -> None:
    path = tmp_path / "mseg.pth"
    torch.save(small.state_dict(), path)
    with pytest.raises(
        CheckpointError, match=r"a dict with state_dict, as MSeg publishes it, got last_layer\.0\.weight"
    ):
        load_mseg_network(path)
    torch.save([1], path)
    with pytest.raises(CheckpointError, match="got list"):
        load_mseg_network(path)
    with pytest.raises(CheckpointError, match="got no such file"):
        load_mseg_network(tmp_path / "none.pth")


def test_a_missing_package_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mseg_semantic", None)
    path = save_as_published(tmp_path / "mseg.pth", SmallNet())
    with pytest.raises(ConfigError, match=r"python third_party/mseg/install\.py"):
        load_mseg_segmenter(path, "matterport11")
    with pytest.raises(ConfigError, match="scales: expected one or more factors"):
        load_mseg_segmenter(path, "matterport11", scales=(0.0,))


def test_the_real_network(real: nn.Module) -> None:
    assert sum(weight.numel() for weight in real.parameters()) == PARAMETERS
    assert len(real.state_dict()) == 1839
    with torch.no_grad():
        assert real.eval()(torch.rand(1, 3, 65, 97)).shape == (1, 194, 65, 97)


def test_the_real_network_from_a_published_checkpoint(tmp_path: Path, real: nn.Module) -> None:
    path = save_as_published(tmp_path / "mseg.pth", real)
    segmenter = load_mseg_segmenter(path, "matterport11")
    assert all(torch.equal(a, b) for a, b in zip(real.parameters(), segmenter.network.parameters(), strict=True))
    small = MSegSegmenter(segmenter.network, segmenter.label_map, mseg_options((0.5, 1.0), short_side=128))
    found = small.probabilities(torch.rand(1, 3, 256, 320))
    assert found.shape == (1, 11, 256, 320)
    assert bool(torch.isfinite(found).all())
    with pytest.raises(CheckpointError, match=r"start with 'module\.', got 1839 of 1839 without"):
        load_mseg_network(save_as_published(path, real, prefix="net."))
