"""Virtual views in training: the pool, and a segmenter that tells red from the rest."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor

from sparse_s4r.losses.image import LabelledView, virtual_loss
from sparse_s4r.render import Raycaster, VirtualViewOptions
from sparse_s4r.structures import (
    IGNORE_LABEL,
    Camera,
    ObservationGrid,
    SampleMotion,
    ScenePrediction,
    SceneSample,
    SparseTSDF,
)
from sparse_s4r.training.log import virtual_picture
from sparse_s4r.training.virtual import PoolView, VirtualLabels, VirtualViewPool
from tests.render.observed_room import Room, make_room

OPTIONS = VirtualViewOptions(width=48, height=36, check_width=32)
# The part of the room with x >= 1.28 and y < 1.92 metres, of voxels of 4 cm.
BOX = (torch.tensor([32, -16, -16]), torch.tensor([144, 48, 96]))
SIZE = 4


@dataclass(frozen=True)
class Fields:
    target: SparseTSDF
    target_observation: ObservationGrid


@dataclass
class Source:
    """One scene, seen by its cameras; notes how often it is loaded."""

    fields: Fields
    real: tuple[Camera, ...]
    loaded: list[int] = field(default_factory=list)

    def scene_fields(self, index: int) -> Fields:
        self.loaded.append(index)
        return self.fields

    def cameras(self, index: int) -> Sequence[Camera]:
        return self.real


@dataclass
class RedSegmenter:
    """Class 1 where there is more red than ``above``, class 0 where less than ``below``, else no statement."""

    below: float = 0.5
    above: float = 0.5
    sure: float = 1.0
    class_names: tuple[str, ...] = ("other", "red")
    seen: list[Tensor] = field(default_factory=list)

    def probabilities(self, images: Tensor) -> Tensor:
        self.seen.append(images)
        red = images[:, 0]
        return torch.stack([red < self.below, red > self.above], dim=1).float() * self.sure


@pytest.fixture(scope="module")
def room() -> Room:
    return make_room()


@pytest.fixture(scope="module")
def scan(room: Room) -> SparseTSDF:
    """The room's scan, half of it red, with some green everywhere."""
    centers = room.scan.grid.centers(room.scan.coordinates)
    red = (centers[:, 0] > 2.4).float()
    return replace(room.scan, color=torch.stack([red, 0.25 * (centers[:, 2] % 1), 0 * red], dim=1))


@pytest.fixture(scope="module")
def pool(room: Room, scan: SparseTSDF) -> VirtualViewPool:
    return VirtualViewPool(Source(Fields(scan, room.observation), room.cameras), OPTIONS, SIZE, seed=3)


def make_sample(pool: VirtualViewPool, crop: bool = False, motion: SampleMotion | None = None) -> SceneSample:
    """The pool's scene as a sample whose input is its target, moved as a data set would."""
    fields = pool._scenes.scene_fields(0)
    move = motion or SampleMotion()
    target, box = move.scan(fields.target), move.box(BOX) if crop else None
    if box is not None:
        target = target.select(((target.coordinates >= box[0]) & (target.coordinates < box[1])).all(1))
    seen = fields.target_observation
    return SceneSample("room", target, target, seen, seen, (), box, scene_index=0, motion=motion)


def make_prediction(sample: SceneSample) -> ScenePrediction:
    """The target itself, with logits that say what the segmenter will, all of it to be trained."""
    scan = sample.target
    assert scan.color is not None
    logits = 100 * (scan.color[:, :1] - 0.5) * torch.tensor([[-1.0, 1.0]])
    parts = [part.clone().requires_grad_() for part in (scan.tsdf, scan.color, logits)]
    return ScenePrediction(scan.grid, scan.coordinates, parts[0], parts[1], parts[2])


def make_labels(
    pool: VirtualViewPool, segmenter: RedSegmenter, count: int = 1, min_overlap: float = 0.1, sure: float = 0.0
) -> VirtualLabels:
    return VirtualLabels(Raycaster(), segmenter, pool, count, min_overlap, sure)


def same_cameras(one: Sequence[PoolView], other: Sequence[PoolView]) -> bool:
    pairs = zip(one, other, strict=True)
    return all(torch.equal(a.camera.camera_to_world, b.camera.camera_to_world) for a, b in pairs)


def test_the_pool_is_drawn_once_and_follows_from_the_seed(room: Room, scan: SparseTSDF, pool: VirtualViewPool) -> None:
    source = Source(Fields(scan, room.observation), room.cameras)
    again, other = (VirtualViewPool(source, OPTIONS, SIZE, seed) for seed in (3, 4))
    views = again.views(0)
    assert len(views) == SIZE
    assert same_cameras(views, pool.views(0))
    assert again.views(0) is views
    assert source.loaded == [0]
    assert not same_cameras(other.views(0)[:1], views[:1])
    # Another scene of the same shape has other views.
    assert not same_cameras(again.views(1)[:1], views[:1])


def test_the_surface_of_a_view_is_what_its_camera_sees(room: Room, pool: VirtualViewPool) -> None:
    for view in pool.views(0):
        points = room.scan.grid.centers(view.surface, dtype=torch.float64)
        pixels, depth = view.camera.project(points)
        assert bool((depth > 0).all())
        # Nearest voxels: off by up to half a voxel, some pixels from near.
        inside = (pixels > -4) & (pixels < torch.tensor([OPTIONS.width + 3, OPTIONS.height + 3]))
        assert float(inside.double().mean()) > 0.98
        assert float(room.distance(points).abs().max()) < room.scan.grid.voxel_size


def test_overlap_by_hand(pool: VirtualViewPool) -> None:
    surface = torch.tensor([[32, 0, 0], [31, 0, 0], [143, 47, 0], [143, 48, 0], [50, 0, 0]])
    view = PoolView(pool.views(0)[0].camera, surface)
    assert view.overlap(make_sample(pool)) == 1.0
    assert view.overlap(make_sample(pool, crop=True)) == pytest.approx(3 / 5)
    # The box moves with the scene.
    for motion in (SampleMotion(1, False, (5, -16, 3)), SampleMotion(2, True)):
        assert view.overlap(make_sample(pool, crop=True, motion=motion)) == pytest.approx(3 / 5)


def test_views_are_chosen_among_those_that_see_the_sample(pool: VirtualViewPool) -> None:
    crop = make_sample(pool, crop=True)
    shares = sorted(view.overlap(crop) for view in pool.views(0))
    least = (shares[1] + shares[2]) / 2
    chosen = [pool.choose(crop, SIZE, least, step) for step in range(6)]
    seeing = {id(view) for view in pool.views(0) if view.overlap(crop) >= least}
    assert all({id(view) for view in views} == seeing and len(views) == 2 for views in chosen)
    assert pool.choose(crop, SIZE, 1.0, 0) == ()
    firsts = {id(pool.choose(crop, 1, 0.0, step)[0]) for step in range(30)}
    assert len(firsts) == SIZE
    assert pool.choose(crop, 2, 0.0, 5) == pool.choose(crop, 2, 0.0, 5)


def test_a_scene_without_views_is_named_once(room: Room, scan: SparseTSDF) -> None:
    far = replace(OPTIONS, min_median_depth=9.0, tries=2)
    lonely = VirtualViewPool(Source(Fields(scan, room.observation), room.cameras), far, SIZE, seed=0)
    sample = make_sample(lonely)
    with pytest.warns(UserWarning, match="room: its scene trains without virtual views: .*surfaces too close"):
        assert lonely.choose(sample, 1, 0.1, 0) == ()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert lonely.choose(sample, 1, 0.1, 1) == ()
        assert make_labels(lonely, RedSegmenter())(make_prediction(sample), sample, 2) == ()


def test_a_sample_of_no_scene_is_refused(pool: VirtualViewPool) -> None:
    with pytest.raises(ValueError, match="sample room: expected the index of its scene, got -1"):
        pool.choose(replace(make_sample(pool), scene_index=-1), 1, 0.1, 0)


def test_the_segmenter_is_shown_the_rendered_colour(pool: VirtualViewPool) -> None:
    sample, segmenter = make_sample(pool), RedSegmenter()
    prediction = make_prediction(sample)
    labelled = make_labels(pool, segmenter, count=3)(prediction, sample, step=7)
    assert len(labelled) == 3
    (images,) = segmenter.seen
    assert images.shape == (3, 3, OPTIONS.height, OPTIONS.width)
    assert not images.requires_grad
    for view, image, chosen in zip(labelled, images, pool.choose(sample, 3, 0.1, 7), strict=True):
        expected = Raycaster()(prediction, chosen.camera)
        assert expected.color is not None
        torch.testing.assert_close(image.permute(1, 2, 0)[expected.hit], expected.color[expected.hit].detach())
        # Where nothing is, the mean of the rest.
        blank = image.permute(1, 2, 0)[~expected.hit]
        torch.testing.assert_close(blank, expected.color[expected.hit].mean(0).detach().expand(len(blank), 3))
        assert torch.equal(view.picture, image.permute(1, 2, 0))
        assert torch.equal(view.counts, expected.hit)
        assert torch.equal(view.labels, (image[0] > 0.5).long())


def test_a_prediction_that_says_what_the_segmenter_says_has_no_loss(pool: VirtualViewPool) -> None:
    # No statement near the seam, where colour and logits are between the two.
    sample, segmenter = make_sample(pool, crop=True), RedSegmenter(below=0.2, above=0.8)
    prediction = make_prediction(sample)
    assert prediction.semantic_logits is not None
    labels = make_labels(pool, segmenter, count=SIZE, min_overlap=0.0)
    views = labels(prediction, sample, 0)
    assert {label for view in views for label in view.labels.unique().tolist()} == {0, 1, IGNORE_LABEL}
    parts = [virtual_loss(view) for view in views]
    assert sum(count for _, count in parts) > 200
    assert all(float(value.detach()) < 1e-6 for value, _ in parts)
    wrong = replace(prediction, semantic_logits=-prediction.semantic_logits.detach())
    assert all(float(value) > 10 for value, count in map(virtual_loss, labels(wrong, sample, 0)) if count)


def test_the_gradient_reaches_the_semantics_alone(pool: VirtualViewPool) -> None:
    sample = make_sample(pool, crop=True)
    prediction = make_prediction(sample)
    (labelled,) = make_labels(pool, RedSegmenter())(prediction, sample, 0)
    value, _ = virtual_loss(labelled)
    value.backward()
    assert prediction.semantic_logits is not None
    assert prediction.color is not None
    assert prediction.semantic_logits.grad is not None
    assert bool(prediction.semantic_logits.grad.any())
    assert prediction.tsdf.grad is None
    assert prediction.color.grad is None


def test_labels_that_are_not_sure_are_none(pool: VirtualViewPool) -> None:
    sample = make_sample(pool)
    for sure, least, given in ((0.6, 0.6, True), (0.6, 0.7, False), (0.0, 0.0, False)):
        (labelled,) = make_labels(pool, RedSegmenter(sure=sure), sure=least)(make_prediction(sample), sample, 0)
        assert bool((labelled.labels != IGNORE_LABEL).any()) == given


def test_around_a_crop_stands_the_scan(pool: VirtualViewPool) -> None:
    whole, crop = make_sample(pool), make_sample(pool, crop=True)
    labels = make_labels(pool, RedSegmenter(), min_overlap=0.0, count=SIZE)
    around, alone = (labels(make_prediction(sample), sample, 0) for sample in (crop, whole))
    partly = 0
    for one, other in zip(around, alone, strict=True):
        # A prediction that equals the scan makes no seam.
        torch.testing.assert_close(one.picture, other.picture, rtol=0, atol=1e-5)
        assert torch.equal(one.view.hit, other.view.hit)
        # Only pixels whose nearest voxel lies in the box count.
        nearest = whole.target.coordinates[other.view.voxel.clamp(min=0)]
        inside = ((nearest >= BOX[0]) & (nearest < BOX[1])).all(-1) & other.view.hit
        assert torch.equal(one.counts, inside)
        partly += bool(inside.any()) and not bool(inside.all())
    assert partly >= 2


@pytest.mark.parametrize("crop", [False, True], ids=["whole", "crop"])
@pytest.mark.parametrize(
    "motion",
    [SampleMotion(1), SampleMotion(3, False, (7, -3, 2)), SampleMotion(0, True), SampleMotion(1, True, (0, 5, 0))],
)
def test_a_moved_sample_gives_the_moved_picture(pool: VirtualViewPool, motion: SampleMotion, crop: bool) -> None:
    def look(motion: SampleMotion | None) -> LabelledView:
        sample = make_sample(pool, crop, motion)
        return make_labels(pool, RedSegmenter())(make_prediction(sample), sample, 11)[0]

    turn: Callable[[Tensor], Tensor] = lambda image: image.flip(1) if motion.mirror else image  # noqa: E731
    still, moved = look(None), look(motion)
    same = turn(moved.view.hit) == still.view.hit
    assert float(same.double().mean()) > 0.999
    # Rays that graze an edge may decide otherwise after rounding.
    close = (turn(moved.picture) - still.picture).abs().amax(-1) < 1e-3
    assert float(close.double().mean()) > 0.995
    assert float((turn(moved.counts) == still.counts).double().mean()) > 0.995
    assert float((turn(moved.labels) == still.labels).double().mean()) > 0.995


def test_predictions_without_colour_are_refused(pool: VirtualViewPool) -> None:
    sample = make_sample(pool)
    with pytest.raises(ValueError, match="expected a prediction with colour and logits"):
        make_labels(pool, RedSegmenter())(replace(make_prediction(sample), color=None), sample, 0)


def test_an_empty_prediction_has_nothing_to_compare(pool: VirtualViewPool) -> None:
    for crop in (False, True):
        sample = make_sample(pool, crop)
        nothing = make_prediction(sample).select(torch.zeros(0, dtype=torch.int64))
        (labelled,) = make_labels(pool, RedSegmenter())(nothing, sample, 0)
        value, count = virtual_loss(labelled)
        assert (float(value.detach()), count) == (0.0, 0)
        assert bool(labelled.view.hit.any()) == crop


def test_the_picture_for_the_log(pool: VirtualViewPool) -> None:
    sample = make_sample(pool, crop=True)
    (labelled,) = make_labels(pool, RedSegmenter())(make_prediction(sample), sample, 0)
    picture = virtual_picture(labelled)
    assert picture.shape == (OPTIONS.height, 3 * OPTIONS.width + 8, 3)
    shown = (labelled.picture * 255).round().to(torch.uint8)
    assert torch.equal(picture[:, : OPTIONS.width], shown)
    given, rendered = picture[:, OPTIONS.width + 4 : 2 * OPTIONS.width + 4], picture[:, 2 * OPTIONS.width + 8 :]
    # Equal where they are compared, as the prediction agrees; grey elsewhere.
    close = labelled.counts & ((labelled.picture[..., 0] - 0.5).abs() > 0.3)
    assert torch.equal(rendered[close], given[close])
    assert rendered[~labelled.counts].unique().tolist() == [40]
