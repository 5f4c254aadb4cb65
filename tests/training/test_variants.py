"""The shipped variants and baselines: the terms of each, the parts of the network it builds, and that these learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import sparse_s4r.build
import sparse_s4r.training.virtual
from sparse_s4r.build import build_dataset, build_network, build_optimizer, with_classes
from sparse_s4r.config import Config, load_config
from sparse_s4r.data.scene import open_scene
from sparse_s4r.render import VirtualViewOptions, VirtualViews
from sparse_s4r.render.view_quality import ViewQuality
from sparse_s4r.render.virtual_views import VirtualView
from sparse_s4r.segmentation.taxonomy import load_taxonomy
from sparse_s4r.structures import Camera, ObservationGrid, SceneSample, SceneTruth, SparseTSDF
from sparse_s4r.structures.errors import DataError
from sparse_s4r.training.step import StepResult, make_objective
from tests.small_scene import shared_scene

CONFIGS = Path(__file__).parents[2] / "configs"
VOLUME = {"occupancy_1", "occupancy_2", "occupancy_4", "occupancy_8", "occupancy_16", "tsdf"}
GEOMETRY = {"geometry_encoder", "fusion", "occupancy", "geometry_decoder", "heads"}
EVERYTHING = GEOMETRY | {"color_encoder", "color_decoder", "semantic_decoder"}
# Its occupancy is that of voxels alone, and every decoder ends in its own output.
DENSE = EVERYTHING - {"occupancy", "heads"}
# Terms and parts of the network.
VARIANTS: dict[str, tuple[set[str], set[str]]] = {
    "rooms": (VOLUME | {"depth", "color", "semantic", "lifted", "virtual"}, EVERYTHING),
    "variants/geometry_only": (VOLUME | {"depth"}, GEOMETRY),
    "variants/no_color_encoder": (
        VOLUME | {"depth", "color", "semantic", "lifted", "virtual"},
        EVERYTHING - {"color_encoder"},
    ),
    "variants/no_color_decoder": (VOLUME | {"depth", "semantic", "lifted"}, EVERYTHING - {"color_decoder"}),
    "variants/depth_only": (VOLUME | {"depth", "semantic", "lifted"}, GEOMETRY | {"semantic_decoder"}),
    "variants/labels_2d_truth": (VOLUME | {"depth", "color", "semantic", "lifted"}, EVERYTHING),
    "variants/supervised_3d": (VOLUME | {"semantic_3d"}, EVERYTHING - {"color_decoder"}),
    "dense": ({"occupancy_1", "tsdf", "depth", "color", "semantic"}, DENSE),
    "baselines/s4r": (VOLUME | {"depth", "color", "semantic", "virtual"}, EVERYTHING),
    "baselines/s4r_dense": ({"occupancy_1", "tsdf", "depth", "color", "semantic", "virtual"}, DENSE),
    "baselines/s4r_2d_gt": (VOLUME | {"depth", "color", "semantic"}, EVERYTHING),
    "baselines/cnn3d": (VOLUME | {"semantic_3d", "color"}, EVERYTHING),
    "baselines/scancomplete": (VOLUME | {"semantic_3d"}, GEOMETRY | {"semantic_decoder"}),
    "baselines/sgnn": (VOLUME, GEOMETRY),
    "baselines/spsg_sparse": (VOLUME | {"depth", "color"}, EVERYTHING - {"semantic_decoder"}),
    "baselines/spsg": ({"occupancy_1", "tsdf", "depth", "color"}, DENSE - {"semantic_decoder"}),
}
# Small; and everything from the first step on.
SIZES = (
    "model.widths=[4,4,6,6,8]",
    "model.bottleneck_blocks=1",
    "model.reach=1",
    "data.image_width=24",
    "data.crop=3",
    "data.input_variants=0",
    "segmenter.taxonomy=scannet15",
)
SETTINGS = (
    *SIZES,
    "train.guide_steps=5",
    "train.coarse_steps=0",
    "virtual.pool=4",
    "virtual.width=32",
    "virtual.height=24",
    *(f"loss.{name}.start=0" for name in ("tsdf", "depth", "color", "semantic", "virtual", "semantic_3d")),
)


class BrightnessSegmenter:
    """A class for every step of brightness."""

    def __init__(self, spec: str, taxonomy: str, label_map: Path | None, device: torch.device | str) -> None:
        self.class_names = load_taxonomy(taxonomy).class_names

    def probabilities(self, images: Tensor) -> Tensor:
        count = len(self.class_names)
        steps = (images.mean(1) * count).long().clamp(0, count - 1)
        return nn.functional.one_hot(steps, count).permute(0, 3, 1, 2).float()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_scene(tmp_path_factory)


@dataclass(frozen=True)
class RealViews:
    """Real cameras in place of virtual ones: at 16 cm, no block of voxels in this room is wholly free."""

    scan: SparseTSDF
    observation: ObservationGrid
    options: VirtualViewOptions

    def sample(self, cameras: Sequence[Camera], count: int, seed: int) -> VirtualViews:
        seen = ViewQuality(1.0, 0.0, 1.0)
        small = [camera.resized(self.options.width, self.options.height) for camera in cameras[:count]]
        return VirtualViews(tuple(VirtualView(camera, 0, camera.center, seen) for camera in small), count, ())


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse_s4r.build, "make_image_segmenter", BrightnessSegmenter)
    monkeypatch.setattr(sparse_s4r.training.virtual, "VirtualViewSampler", RealViews)


def with_truth(sample: SceneSample) -> SceneSample:
    """The sample with its target for the truth, every voxel of some class."""
    truth = SceneTruth(sample.target, torch.arange(len(sample.target)) % 3, sample.target.grid.truncation)
    return replace(sample, truth=truth)


def one_step(name: str, scene: Path, *settings: str, truth: bool = True) -> tuple[Config, nn.Module, StepResult]:
    """The result of a variant's first step, its gradients taken."""
    opened = open_scene(scene)
    config = with_classes(load_config(CONFIGS / f"{name}.yaml", [*SETTINGS, *settings]), opened.class_names)
    dataset = build_dataset(config, [opened])
    network = build_network(config).train()
    objective = make_objective(config, dataset, "cpu")
    sample = dataset.sample(0)
    (result,) = objective(network, [with_truth(sample) if truth else sample], 0)
    torch.autograd.backward(result.report.total)
    return config, network, result


def learning(network: nn.Module) -> set[str]:
    """Parts of the network in which some weight has a gradient."""
    return {
        name.split(".")[0]
        for name, weight in network.named_parameters()
        if weight.grad is not None and bool(weight.grad.any())
    }


@pytest.mark.parametrize("name", VARIANTS)
def test_terms_and_parts_of_every_variant(name: str, scene: Path) -> None:
    terms, parts = VARIANTS[name]
    _, network, result = one_step(name, scene)
    assert set(result.report.terms) == terms
    assert {
        name for name, _ in network.named_children() if any(True for _ in getattr(network, name).parameters())
    } == parts
    assert learning(network) == parts
    idle = [name for name, weight in network.named_parameters() if weight.grad is None]
    assert idle == []
    prediction = result.prediction
    assert (prediction.color is not None) == ("color_decoder" in parts)
    assert (prediction.semantic_logits is not None) == ("semantic_decoder" in parts)


def test_every_variant_is_listed() -> None:
    folders = ("variants", "baselines")
    found = {f"{folder}/{path.stem}" for folder in folders for path in (CONFIGS / folder).glob("*.yaml")}
    assert found == {name for name in VARIANTS if name.startswith(folders)}


@pytest.mark.parametrize("name", [name for name in VARIANTS if name.startswith("baselines/")])
def test_baselines_train_as_they_stand(name: str, scene: Path) -> None:
    """Two steps with their own starts, coarse levels and guide; heads that start at 0 pass nothing on in the first."""
    opened = open_scene(scene)
    config = with_classes(load_config(CONFIGS / f"{name}.yaml", SIZES), opened.class_names)
    dataset, network = build_dataset(config, [opened]), build_network(config).train()
    optimizer = build_optimizer(config, network)
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    objective = make_objective(config, dataset, "cpu")
    for step in range(2):
        optimizer.zero_grad()
        (result,) = objective(network, [with_truth(dataset.sample(step))], step)
        torch.autograd.backward(result.report.total)
        optimizer.step()
    changed = {
        name.split(".")[0] for name, weight in network.named_parameters() if not torch.equal(weight, before[name])
    }
    assert {"geometry_encoder", "fusion"} <= changed
    assert all(bool(torch.isfinite(weight).all()) for weight in network.parameters())


def test_baselines_follow_the_sources_that_they_name() -> None:
    sgnn, spsg = (load_config(CONFIGS / "baselines" / f"{name}.yaml") for name in ("sgnn", "spsg"))
    assert (sgnn.loss.occupancy.weight, sgnn.loss.tsdf.weight, sgnn.loss.missing_weight) == (1.0, 1.0, 5.0)
    assert (sgnn.loss.unknown_weight, sgnn.train.guide_steps, sgnn.model.class_names) == (0.0, 0, ())
    weights = {name: getattr(spsg.loss, name).weight for name in ("occupancy", "tsdf", "depth", "color", "semantic")}
    assert weights == {"occupancy": 1.0, "tsdf": 0.1, "depth": 1.0, "color": 1.0, "semantic": 0.0}
    assert [getattr(spsg.loss, name).start for name in ("occupancy", "tsdf", "depth", "color")] == [0, 667, 1001, 1001]
    assert spsg.model.network == "dense"
    paper = load_config(CONFIGS / "baselines" / "s4r.yaml").loss
    terms = (paper.tsdf, paper.depth, paper.color, paper.semantic, paper.virtual)
    assert [term.weight for term in terms] == [1.0] * 5
    assert paper.lifted.weight == paper.unknown_weight == 0


@pytest.mark.parametrize("name", [name for name in VARIANTS if name.startswith("variants/")])
def test_variants_change_only_what_they_say(name: str) -> None:
    base, variant = load_config(CONFIGS / "rooms.yaml"), load_config(CONFIGS / f"{name}.yaml")
    assert base != variant or name == "variants/labels_2d_truth"
    assert (variant.train, variant.render, variant.seed, variant.engine) == (
        base.train,
        base.render,
        base.seed,
        base.engine,
    )
    assert replace_labels(variant) == replace_labels(base)
    assert variant.model.widths == base.model.widths


def replace_labels(config: Config) -> object:
    """The data section but for where labels come from."""
    return config.data.model_copy(update={"labels": None})


def test_without_the_colour_encoder_nothing_depends_on_colour(scene: Path) -> None:
    opened = open_scene(scene)
    path = CONFIGS / "variants" / "no_color_encoder.yaml"
    config = with_classes(load_config(path, SETTINGS), opened.class_names)
    network, dataset = build_network(config).eval(), build_dataset(config, [opened])
    sample = dataset.sample(0)
    assert sample.input.color is not None
    inverted = replace(sample, input=replace(sample.input, color=1 - sample.input.color))
    objective = make_objective(config, dataset, "cpu")
    with torch.no_grad():
        one, other = (objective(network, [given], 0)[0].prediction for given in (sample, inverted))
    assert one.color is not None
    assert other.color is not None
    assert torch.equal(one.color, other.color)
    assert torch.equal(one.tsdf, other.tsdf)


def test_virtual_views_alone_teach_semantics_alone(scene: Path) -> None:
    others = ("occupancy", "tsdf", "depth", "color", "semantic", "lifted")
    _, network, result = one_step("rooms", scene, *(f"loss.{name}.weight=0" for name in others))
    assert set(result.report.terms) == {"virtual"}
    assert result.report.counts["virtual"] > 0
    assert result.views == ()
    learnt = learning(network)
    assert "semantic_decoder" in learnt
    assert learnt.isdisjoint({"color_decoder", "geometry_decoder", "occupancy"})
    heads = {
        name.split(".")[1]
        for name, weight in network.named_parameters()
        if name.startswith("heads.") and weight.grad is not None and bool(weight.grad.any())
    }
    assert heads == {"semantic"}


def test_full_supervision_needs_the_truth(scene: Path) -> None:
    with pytest.raises(DataError, match=r"expected the true scene \(truth\.safetensors\) to compare with, got none"):
        one_step("variants/supervised_3d", scene, truth=False)


def test_a_narrow_truth_does_not_say_what_is_empty(scene: Path) -> None:
    opened = open_scene(scene)
    config = with_classes(load_config(CONFIGS / "variants" / "supervised_3d.yaml", SETTINGS), opened.class_names)
    dataset = build_dataset(config, [opened])
    sample = with_truth(dataset.sample(0))
    assert sample.truth is not None
    narrow = replace(sample, truth=replace(sample.truth, band=0.5 * opened.load_scan("input").grid.voxel_size))
    objective, network = make_objective(config, dataset, "cpu"), build_network(config)
    with pytest.raises(DataError, match=r"expected the true distances within .* loss\.supervision=scan"):
        objective(network, [narrow], 0)
