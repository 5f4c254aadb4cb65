"""One step up to the loss, with a network that notes what it is given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from sparse_s4r.build import build_dataset, build_loss, build_network, build_raycaster, with_classes
from sparse_s4r.config import load_config
from sparse_s4r.data.scene import open_scene
from sparse_s4r.models.sites import SceneInput
from sparse_s4r.structures import ScenePrediction, SceneSample
from sparse_s4r.training.step import SceneObjective
from tests.small_scene import TINY, shared_scene


class Recorder:
    """Predicts the scan and keeps what it was given."""

    def __init__(self) -> None:
        self.given: list[SceneInput] = []

    def __call__(self, scenes: Sequence[SceneInput]) -> list[ScenePrediction]:
        self.given += scenes
        scan = scenes[0].scan
        tsdf = scan.tsdf.clone().requires_grad_()
        return [ScenePrediction(scan.grid, scan.coordinates, tsdf, scan.color, observed=torch.ones_like(tsdf) > 0)]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SceneSample:
    scene: Path = shared_scene(tmp_path_factory)
    return build_dataset(load_config(None, [*TINY, "data.views=2"]), [open_scene(scene)]).sample(0)


def make_objective(use_free_space: bool = True) -> SceneObjective:
    config = load_config(None, TINY)
    return SceneObjective(build_raycaster(config), build_loss(config), use_free_space, guide_steps=5)


def test_the_network_is_guided_at_first(sample: SceneSample) -> None:
    network = Recorder()
    for step in (0, 4, 5):
        make_objective()(network, [sample], step)
    assert [scene.guide is not None for scene in network.given] == [True, True, False]
    assert all(scene.free is not None and scene.scan is sample.input for scene in network.given)


def test_free_space_can_be_withheld(sample: SceneSample) -> None:
    network = Recorder()
    make_objective(use_free_space=False)(network, [sample], 0)
    assert network.given[0].free is None


def test_views_are_rendered_once_they_count(sample: SceneSample) -> None:
    early, late = (make_objective()(Recorder(), [sample], step)[0] for step in (1, 2))
    assert early.views == ()
    assert "depth" not in early.report.terms
    assert len(late.views) == 2
    assert {"depth", "color"} <= set(late.report.terms)
    for view, frame in late.views:
        assert torch.equal(view.camera.camera_to_world, frame.camera.camera_to_world)
        assert view.depth.shape == frame.depth.shape
        assert bool(view.hit.any())
    torch.autograd.backward(late.report.total)
    assert late.prediction.tsdf.grad is not None
    assert late.prediction.tsdf.grad.any()


def test_coarse_steps_compare_occupancy_alone(sample: SceneSample) -> None:
    config = load_config(None, [*TINY, "train.coarse_steps=4", "train.coarse_stride=4", "train.guide_steps=5"])
    network = build_network(with_classes(config, ()))
    objective = SceneObjective(
        build_raycaster(config), build_loss(config), True, 5, coarse_steps=config.train.coarse_steps, coarse_stride=4
    )
    coarse, whole = (objective(network, [sample], step)[0] for step in (3, 4))
    names = {name for name, count in coarse.report.counts.items() if count}
    assert names == {"occupancy_16", "occupancy_8", "occupancy_4"}
    assert coarse.views == ()
    assert {"occupancy_1", "tsdf", "depth"} <= {name for name, count in whole.report.counts.items() if count}
    torch.autograd.backward(coarse.report.total)
    learned = {name.split(".")[0] for name, weight in network.named_parameters() if weight.grad is not None}
    assert {"geometry_encoder", "fusion", "occupancy", "geometry_decoder"} <= learned
