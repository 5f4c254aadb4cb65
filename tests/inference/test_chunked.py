"""The dense baseline in chunks, against a loop over voxels."""

from __future__ import annotations

import itertools

import pytest
import torch

from sparse_s4r.inference.chunked import predict_chunked
from sparse_s4r.inference.predict import predict_scene
from sparse_s4r.models.dense_net import sparsify
from sparse_s4r.models.sites import SceneInput
from sparse_s4r.structures import SparseTSDF
from tests.models.scenes import GRID, make_room
from tests.models.test_dense_net import make_dense


def test_one_chunk_is_one_pass() -> None:
    room, network = make_room(), make_dense()
    chunked = predict_chunked(network, room.scene(), (32, 32, 32))
    (whole,) = network([room.scene()])
    assert torch.equal(chunked.coordinates, whole.coordinates)
    torch.testing.assert_close(chunked.tsdf, whole.tsdf, rtol=0, atol=1e-12)
    torch.testing.assert_close(chunked.color, whole.color, rtol=0, atol=1e-12)
    torch.testing.assert_close(chunked.semantic_logits, whole.semantic_logits, rtol=0, atol=1e-12)
    assert chunked.observed is not None
    assert whole.observed is not None
    assert torch.equal(chunked.observed, whole.observed)


def test_overlapping_chunks_blend_towards_their_middles() -> None:
    # 64 voxels along x in chunks of 32: boxes at 0, 16 and 32.
    near, far = make_room().scan, make_room(shift=(32, 0, 0)).scan
    assert near.color is not None
    assert far.color is not None
    scan = SparseTSDF(
        GRID,
        torch.cat([near.coordinates, far.coordinates]),
        torch.cat([near.tsdf, far.tsdf]),
        torch.cat([near.weight, far.weight]),
        torch.cat([near.color, far.color]),
    )
    network, scene = make_dense(), SceneInput(scan)
    chunked = predict_chunked(network, scene, (32, 32, 32))
    sums: dict[tuple[int, ...], tuple[float, float]] = {}
    with torch.no_grad():
        for start in (0, 16, 32):
            box = torch.tensor([start, 0, 0]), torch.tensor([start + 32, 32, 32])
            part = sparsify(network.fields(scan, box), scene, box, keep_observed=True)
            for cell, value in zip(part.coordinates.tolist(), part.tsdf.tolist(), strict=True):
                # A tent over each axis, 1 at the middle of the box.
                weight = 1.0
                for index, low in zip(cell, (start, 0, 0), strict=True):
                    weight *= 1 - abs(index - low - 15.5) / 16
                total, weights = sums.get(tuple(cell), (0.0, 0.0))
                sums[tuple(cell)] = total + weight * value, weights + weight
    assert {tuple(cell) for cell in chunked.coordinates.tolist()} == set(sums)
    expected = torch.tensor([sums[tuple(cell)][0] / sums[tuple(cell)][1] for cell in chunked.coordinates.tolist()])
    # The weights are float32.
    torch.testing.assert_close(chunked.tsdf, expected.double(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("chunk", [(32, 32, 32), (64, 32, 32)])
def test_every_voxel_of_the_scan_is_predicted(chunk: tuple[int, int, int]) -> None:
    corners = torch.tensor(list(itertools.product((-40, -1, 3), (0, 60), (20,))))
    count = len(corners)
    scan = SparseTSDF(GRID, corners, torch.zeros(count), torch.ones(count), torch.rand(count, 3))
    prediction = predict_chunked(make_dense(), SceneInput(scan), chunk)
    assert prediction.observed is not None
    found = {tuple(cell) for cell in prediction.coordinates[prediction.observed].tolist()}
    assert found == {tuple(cell) for cell in corners.tolist()}
    assert len(torch.unique(prediction.coordinates, dim=0)) == len(prediction)


def test_the_baseline_is_predicted_in_chunks() -> None:
    room = make_room()
    prediction = predict_scene(make_dense(), room.scan, room.scan_states)
    assert len(prediction) > 0
    assert prediction.occupancy == ()
    assert not prediction.tsdf.requires_grad


def test_refuses_what_it_cannot_cut() -> None:
    with pytest.raises(ValueError, match="chunk: expected multiples of 32 voxels"):
        predict_chunked(make_dense(), make_room().scene(), (32, 32, 48))
    empty = SparseTSDF(GRID, torch.empty(0, 3, dtype=torch.int64), torch.empty(0), torch.empty(0), torch.empty(0, 3))
    with pytest.raises(ValueError, match="scan: expected at least one voxel"):
        predict_chunked(make_dense(), SceneInput(empty))
    with pytest.raises(ValueError, match="scan: expected colour, got none"):
        predict_chunked(make_dense(), make_room(color=False).scene())
