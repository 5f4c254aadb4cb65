"""SceneNet: its sites, its independence of engine, batch and place, and its gradients."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparse_s4r.models.scene_net import SceneNet, SceneNetShape
from sparse_s4r.models.sites import SceneInput
from sparse_s4r.structures import LevelOccupancy, ScenePrediction, SparseTSDF
from tests.models.scenes import GRID, SHAPE, make_network, make_room, row_set
from tests.sparse.scenes import ENGINES

Tolerance = Callable[[str, torch.dtype], Any]


def changed(**changes: Any) -> SceneNetShape:
    return dataclasses.replace(SHAPE, **changes)


def predict(network: nn.Module, scene: SceneInput) -> ScenePrediction:
    (prediction,) = network([scene])
    assert isinstance(prediction, ScenePrediction)
    return prediction


def ordered(prediction: ScenePrediction) -> ScenePrediction:
    """Rows by coordinates, as engines and batches differ in their order."""
    key = prediction.coordinates + 4096
    return prediction.select(torch.argsort((key[:, 0] * 8192 + key[:, 1]) * 8192 + key[:, 2]))


def expect_equal(first: ScenePrediction, second: ScenePrediction, **tolerance: float) -> None:
    first, second = ordered(first), ordered(second)
    assert torch.equal(first.coordinates, second.coordinates)
    assert first.observed is not None
    assert second.observed is not None
    assert torch.equal(first.observed, second.observed)
    for one, other in (
        (first.tsdf, second.tsdf),
        (first.color, second.color),
        (first.semantic_logits, second.semantic_logits),
    ):
        torch.testing.assert_close(one, other, **tolerance)


def test_predicts_every_attribute_in_its_range() -> None:
    room = make_room()
    prediction = predict(make_network(), room.scene())
    count = len(prediction)
    assert prediction.grid == GRID
    assert len(row_set(prediction.coordinates)) == count
    assert prediction.tsdf.dtype == torch.float64
    assert prediction.color is not None
    assert bool(((prediction.color > 0) & (prediction.color < 1)).all())
    assert prediction.semantic_logits is not None
    assert prediction.semantic_logits.shape == (count, 3)
    assert prediction.observed is not None
    assert row_set(prediction.coordinates[prediction.observed]) == row_set(room.scan.coordinates)
    assert count > len(room.scan)
    assert [level.stride for level in prediction.occupancy] == [16, 8, 4, 2, 1]


def test_finest_sites_are_candidates_with_a_positive_logit_or_of_the_scan() -> None:
    room = make_room()
    prediction = predict(make_network(), room.scene())
    level = prediction.occupancy[-1]
    seen = row_set(room.scan.coordinates)
    pairs = zip(level.coordinates.tolist(), level.logits.tolist(), strict=True)
    expected = {tuple(cell) for cell, logit in pairs if logit > 0 or tuple(cell) in seen}
    assert row_set(prediction.coordinates) == expected


def test_a_lower_probability_keeps_more_when_predicting_and_nothing_else_when_training() -> None:
    room, network = make_room(), make_network()
    half = predict(network, room.scene())
    network.shape = dataclasses.replace(network.shape, keep_probability=0.3)
    more = predict(network, room.scene())
    finest = more.occupancy[-1]
    seen = row_set(room.scan.coordinates)
    pairs = zip(finest.coordinates.tolist(), finest.logits.sigmoid().tolist(), strict=True)
    assert row_set(more.coordinates) == {tuple(cell) for cell, value in pairs if value > 0.3 or tuple(cell) in seen}
    assert len(more) > len(half)
    network.train()
    trained = network([room.scene()])[0]
    logits = trained.occupancy[-1].logits
    assert int((logits > 0).sum()) <= len(trained) < int((logits > torch.logit(torch.tensor(0.3))).sum())


def test_decoding_may_end_at_a_coarser_level() -> None:
    room, network = make_room(), make_network()
    whole = predict(network, room.scene(guide=True))
    part = predict(network, dataclasses.replace(room.scene(guide=True), finest=4))
    assert [level.stride for level in part.occupancy] == [16, 8, 4]
    for one, other in zip(part.occupancy, whole.occupancy[:3], strict=True):
        assert torch.equal(one.coordinates, other.coordinates)
        torch.testing.assert_close(one.logits, other.logits)
    assert len(part) == 0
    assert part.color is not None
    assert part.semantic_logits is not None
    assert (part.color.shape, part.semantic_logits.shape) == ((0, 3), (0, 3))


def test_nothing_is_generated_in_free_space() -> None:
    scene = make_room().scene(free=True)
    assert scene.free is not None
    network = make_network()
    prediction = predict(network, scene)
    for level in prediction.occupancy:
        assert not bool(scene.free.entirely_free(level.coordinates, level.stride).any())
    assert not bool(scene.free.entirely_free(prediction.coordinates, 1).any())
    without = predict(network, dataclasses.replace(scene, free=None))
    assert bool(scene.free.entirely_free(without.coordinates, 1).any())


def test_nothing_is_generated_beyond_the_box() -> None:
    lower, upper = torch.tensor([0, 0, 0]), torch.tensor([32, 32, 16])
    room = make_room()
    inside = ((room.scan.coordinates >= lower) & (room.scan.coordinates < upper)).all(dim=1)
    prediction = predict(make_network(), SceneInput(room.scan.select(inside), box=(lower, upper)))
    assert bool(((prediction.coordinates >= lower) & (prediction.coordinates < upper)).all())
    assert bool((predict(make_network(), room.scene()).coordinates >= upper).any())


def eager(network: SceneNet) -> SceneNet:
    """``network`` with a liking for surface."""
    with torch.no_grad():
        for head in network.occupancy:
            head.bias.fill_(3.0)  # type: ignore[operator, union-attr]
    return network


@pytest.mark.parametrize("keep_observed", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_the_budget_bounds_the_candidates_of_every_finer_level(keep_observed: bool, training: bool) -> None:
    budget = 4096
    room = make_room()
    free = predict(eager(make_network(changed(keep_observed=keep_observed))).train(training), room.scene())
    assert max(len(level.coordinates) for level in free.occupancy) > budget
    bound: dict[str, Any] = {"training_budget" if training else "voxel_budget": budget}
    network = eager(make_network(changed(keep_observed=keep_observed, **bound))).train(training)
    prediction = predict(network, room.scene())
    assert max(len(level.coordinates) for level in prediction.occupancy[1:]) <= budget
    assert 0 < len(prediction) <= budget
    # The other budget is for the other mode.
    other = predict(network.train(not training), room.scene())
    assert max(len(level.coordinates) for level in other.occupancy) > budget


def test_within_the_budget_the_guide_and_the_scan_come_first() -> None:
    room = make_room()
    whole = predict(make_network(), room.scene(guide=True))
    coarse = len(row_set(room.target.coordinates // 2))
    # Room for the cells of the target and a few more at stride 2, the tightest level.
    network = make_network(changed(voxel_budget=8 * (coarse + 20)))
    prediction = predict(network, room.scene(guide=True))
    assert len(prediction.occupancy[-1].coordinates) < len(whole.occupancy[-1].coordinates)
    assert row_set(room.target.coordinates) <= row_set(prediction.coordinates)


def test_without_keep_observed_the_scan_may_be_dropped() -> None:
    network = make_network(changed(keep_observed=False))
    with torch.no_grad():
        network.occupancy[0].bias.fill_(-1000.0)  # type: ignore[operator, union-attr]
    assert len(predict(network, make_room().scene())) == 0


def test_an_empty_prediction_has_every_attribute_and_a_gradient() -> None:
    network = make_network(changed(keep_observed=False)).train()
    with torch.no_grad():
        network.occupancy[-1].bias.fill_(-1000.0)  # type: ignore[operator, union-attr]
    prediction = predict(network, make_room().scene())
    assert len(prediction) == 0
    assert prediction.color is not None
    assert prediction.semantic_logits is not None
    assert prediction.semantic_logits.shape == (0, 3)
    total = prediction.tsdf.sum() + sum(level.logits.sum() for level in prediction.occupancy)
    torch.autograd.backward(total)
    head = network.occupancy[-1]
    assert isinstance(head, nn.Linear)
    assert head.weight.grad is not None
    assert head.weight.grad.any()


def test_cells_of_the_guide_are_kept_at_every_level() -> None:
    room = make_room()
    network = make_network()
    with torch.no_grad():
        for head in network.occupancy:
            head.bias.fill_(-1000.0)  # type: ignore[operator, union-attr]
    alone = predict(network, room.scene())
    assert row_set(alone.coordinates) == row_set(room.scan.coordinates)
    guided = predict(network, room.scene(guide=True))
    assert row_set(guided.coordinates) == row_set(room.target.coordinates)
    assert len(guided) > len(alone)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("engine", ENGINES[1:])
def test_engines_agree(engine: str, training: bool, tolerance: Tolerance) -> None:
    one, other = (_run(name, make_network().state_dict(), training) for name in ("builtin", engine))
    forward, backward = (vars(tolerance(kind, torch.float64)) for kind in ("forward", "gradient"))
    expect_equal(one.prediction, other.prediction, **forward)
    assert [level.stride for level in one.prediction.occupancy] == [16, 8, 4, 2, 1]
    for level, its in zip(one.prediction.occupancy, other.prediction.occupancy, strict=True):
        assert level.stride == its.stride
        torch.testing.assert_close(_by_cell(level), _by_cell(its), **forward)
    torch.testing.assert_close(one.input_gradients, other.input_gradients, **backward)
    torch.testing.assert_close(one.gradients, other.gradients, **backward)
    torch.testing.assert_close(one.buffers, other.buffers, **forward)


@dataclasses.dataclass
class Run:
    prediction: ScenePrediction
    input_gradients: list[Tensor]
    gradients: dict[str, Tensor]
    buffers: dict[str, Tensor]


def _run(engine: str, weights: dict[str, Any], training: bool) -> Run:
    """Prediction and gradients of a network with ``weights`` on ``engine``."""
    network = make_network(engine=engine).train(training)
    network.load_state_dict(weights)
    room = make_room()
    assert room.scan.color is not None
    inputs = [room.scan.tsdf.requires_grad_(), room.scan.color.requires_grad_()]
    prediction = predict(network, room.scene(free=True, guide=True))
    first = ordered(prediction)
    assert first.color is not None
    assert first.semantic_logits is not None
    total = (first.tsdf**2).sum() + (first.color**2).sum() + (first.semantic_logits**2).sum()
    # Means, so that gradients are of order one.
    total = total / len(first) + sum((level.logits**2).mean() for level in prediction.occupancy)
    torch.autograd.backward(total)
    gradients = {name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None}
    assert len(gradients) == len(list(network.parameters()))
    of_inputs = [values.grad for values in inputs if values.grad is not None]
    assert len(of_inputs) == 2
    return Run(prediction, of_inputs, gradients, dict(network.named_buffers()))


def _by_cell(level: LevelOccupancy) -> dict[tuple[int, ...], Tensor]:
    return {tuple(cell): logit for cell, logit in zip(level.coordinates.tolist(), level.logits, strict=True)}


def test_scenes_of_a_batch_equal_each_alone(tolerance: Tolerance) -> None:
    network = make_network()
    scenes = [make_room(seed=0).scene(free=True), make_room(seed=4, shift=(-32, 16, 0)).scene()]
    together = network(scenes)
    for scene, prediction in zip(scenes, together, strict=True):
        alone = predict(network, scene)
        expect_equal(prediction, alone, **vars(tolerance("forward", torch.float64)))
        for level, own in zip(prediction.occupancy, alone.occupancy, strict=True):
            assert row_set(level.coordinates) == row_set(own.coordinates)


@pytest.mark.parametrize("shift", [(16, 0, 0), (-48, 32, -16), (0, -1600, 160)])
def test_a_shift_by_whole_cells_shifts_the_prediction(shift: tuple[int, int, int], tolerance: Tolerance) -> None:
    network = make_network()
    here, there = (predict(network, make_room(shift=by).scene(free=True)) for by in ((0, 0, 0), shift))
    moved = dataclasses.replace(here, coordinates=here.coordinates + torch.tensor(shift))
    expect_equal(moved, there, **vars(tolerance("forward", torch.float64)))


def test_color_blind_and_class_less_variants() -> None:
    blind = predict(
        make_network(changed(color_encoder=False, color_decoder=False, classes=0)), make_room(color=False).scene()
    )
    assert blind.color is None
    assert blind.semantic_logits is None
    assert len(blind) > 0
    colored = predict(make_network(changed(color_encoder=False)), make_room(color=False).scene())
    assert colored.color is not None


def test_a_color_blind_encoder_does_not_look_at_color() -> None:
    network = make_network(changed(color_encoder=False, color_decoder=False))
    room = make_room()
    assert room.scan.color is not None
    black = dataclasses.replace(room.scan, color=torch.zeros_like(room.scan.color))
    first, second = predict(network, room.scene()), predict(network, SceneInput(black))
    assert torch.equal(first.tsdf, second.tsdf)
    seeing = make_network()
    assert not torch.equal(predict(seeing, room.scene()).tsdf[:50], predict(seeing, SceneInput(black)).tsdf[:50])


def test_a_new_residual_network_predicts_the_scan() -> None:
    room = make_room()
    network = SceneNet(SHAPE, make_network().make_voxels).double().eval()
    prediction = ordered(predict(network, room.scene()))
    assert torch.equal(prediction.coordinates, room.scan.coordinates)
    torch.testing.assert_close(prediction.tsdf, room.scan.tsdf, rtol=0, atol=1e-12)
    assert room.scan.color is not None
    # Colours nearer to 0 or 1 than 0.02 have no finite logit and are kept that far inside.
    torch.testing.assert_close(prediction.color, room.scan.color.clamp(0.02, 0.98), rtol=0, atol=1e-12)


def test_gradients_reach_every_weight() -> None:
    network = make_network().train()
    prediction = predict(network, make_room().scene(guide=True))
    assert prediction.color is not None
    assert prediction.semantic_logits is not None
    terms: list[Tensor] = [(level.logits**2).mean() for level in prediction.occupancy]
    terms += [(values**2).mean() for values in (prediction.tsdf, prediction.color, prediction.semantic_logits)]
    torch.autograd.backward(torch.stack(terms).sum())
    dead = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert dead == []


@pytest.mark.parametrize("training", [True, False])
def test_a_step_leaves_the_scan_alone(training: bool) -> None:
    room = make_room()
    before = copy.deepcopy(room.scan)
    predict(make_network().train(training), room.scene(free=True, guide=True))
    assert torch.equal(before.tsdf, room.scan.tsdf)
    assert torch.equal(before.coordinates, room.scan.coordinates)


def test_refuses_what_it_cannot_work_on() -> None:
    network = make_network()
    empty = SparseTSDF(GRID, torch.empty(0, 3, dtype=torch.int64), torch.empty(0), torch.empty(0), torch.empty(0, 3))
    with pytest.raises(ValueError, match="scenes: expected at least one, got none"):
        network([])
    with pytest.raises(ValueError, match="scan: expected at least one voxel, got none"):
        network([SceneInput(empty)])
    with pytest.raises(ValueError, match=r"scan: expected colour, got none.*color_encoder: false"):
        network([make_room(color=False).scene()])


def test_a_prediction_that_meets_its_budget_says_so() -> None:
    network = eager(make_network(changed(voxel_budget=4096)))
    with pytest.warns(UserWarning, match=r"voxel budget: of [\d,]+ cells at stride \d+ only [\d,]+ are kept"):
        predict(network, make_room().scene())
