"""Messages of the argument checks, and the value types that rely on them."""

from __future__ import annotations

import pytest
import torch

from sparse_s4r.structures import (
    BLOCK,
    GridSpec,
    Mesh,
    ObservationGrid,
    RGBDFrame,
    ScenePrediction,
    SparseTSDF,
)
from sparse_s4r.structures.checks import expect_same_device, expect_tensor
from tests.structures.test_camera import make_camera

GRID = GridSpec(0.02)


def test_returns_what_fits() -> None:
    value = torch.zeros(4, 3)
    assert expect_tensor("points", value, ("P", 3), floating=True) is value
    assert expect_tensor("points", value.long(), ("P", 3), floating=False).dtype == torch.int64


def test_messages_name_argument_expectation_and_what_came() -> None:
    with pytest.raises(TypeError, match=r"points: expected a torch tensor of shape \(P, 3\), got list"):
        expect_tensor("points", [1.0], ("P", 3))
    with pytest.raises(ValueError, match=r"points: expected shape \(P, 3\), got \(4, 2\)"):
        expect_tensor("points", torch.zeros(4, 2), ("P", 3))
    with pytest.raises(ValueError, match=r"weight: expected shape \(5,\), got \(4,\)"):
        expect_tensor("weight", torch.zeros(4), (5,))
    with pytest.raises(ValueError, match=r"expected shape \(P, 3\), got \(3,\)"):
        expect_tensor("points", torch.zeros(3), ("P", 3))
    with pytest.raises(TypeError, match=r"labels: expected an integer or bool type, got torch.float32"):
        expect_tensor("labels", torch.zeros(4), ("N",), floating=False)
    with pytest.raises(TypeError, match=r"tsdf: expected a floating type, got torch.int64"):
        expect_tensor("tsdf", torch.zeros(4).long(), ("N",), floating=True)


def test_devices_must_agree() -> None:
    expect_same_device(a=torch.zeros(1), b=None)
    with pytest.raises(ValueError, match=r"a on cpu, b on meta; move them with .to\(device\)"):
        expect_same_device(a=torch.zeros(1), b=torch.zeros(1, device="meta"))


def scan(count: int = 2, color: bool = True) -> SparseTSDF:
    coordinates = torch.arange(count * 3).view(count, 3)
    return SparseTSDF(GRID, coordinates, torch.zeros(count), torch.ones(count), torch.rand(count, 3) if color else None)


def test_scans_select_all_their_attributes() -> None:
    whole = scan(3)
    assert len(whole) == 3
    part = whole.select(torch.tensor([True, False, True]))
    assert part.coordinates.tolist() == [[0, 1, 2], [6, 7, 8]]
    assert whole.color is not None
    assert part.color is not None
    assert torch.equal(part.color, whole.color[[0, 2]])
    assert scan(3, color=False).select(torch.tensor([1])).color is None
    with pytest.raises(ValueError, match=r"SparseTSDF.tsdf: expected shape \(3,\), got \(2,\)"):
        SparseTSDF(GRID, whole.coordinates, torch.zeros(2), torch.ones(3))


def test_predictions_select_all_their_attributes() -> None:
    whole = ScenePrediction(
        GRID,
        torch.arange(9).view(3, 3),
        torch.tensor([0.0, 0.1, 0.2]),
        torch.rand(3, 3),
        torch.rand(3, 4),
        torch.tensor([True, False, True]),
    )
    part = whole.select(torch.tensor([2]))
    assert len(part) == 1
    assert part.tsdf.tolist() == pytest.approx([0.2])
    assert part.semantic_logits is not None
    assert part.semantic_logits.shape == (1, 4)
    assert part.observed is not None
    assert part.observed.tolist() == [True]
    with pytest.raises(ValueError, match=r"ScenePrediction\.color"):
        ScenePrediction(GRID, whole.coordinates, whole.tsdf, torch.rand(2, 3))


def test_a_scan_is_a_field_to_render() -> None:
    field = ScenePrediction.from_scan(scan(3))
    assert len(field) == 3
    assert field.observed is None
    assert field.occupancy == ()


def test_frames_fit_their_camera() -> None:
    camera = make_camera()
    frame = RGBDFrame("one", camera, torch.zeros(6, 8, 3), torch.zeros(6, 8), torch.zeros(6, 8).long())
    assert frame.to("cpu").name == "one"
    with pytest.raises(ValueError, match=r"depth of frame one: expected shape \(6, 8\)"):
        RGBDFrame("one", camera, torch.zeros(6, 8, 3), torch.zeros(8, 6))
    with pytest.raises(TypeError, match="labels of frame one: expected an integer"):
        RGBDFrame("one", camera, torch.zeros(6, 8, 3), torch.zeros(6, 8), torch.zeros(6, 8))


def test_the_confidence_of_labels_fits_the_camera_and_lies_where_the_labels_do() -> None:
    color, depth = torch.zeros(6, 8, 3), torch.zeros(6, 8)
    frame = RGBDFrame("one", make_camera(), color, depth, depth.long(), torch.full((6, 8), 0.5)).to("cpu")
    assert frame.confidence is not None
    assert float(frame.confidence.min()) == 0.5
    with pytest.raises(ValueError, match="confidence on meta"):
        RGBDFrame("one", make_camera(), color, depth, depth.long(), torch.zeros(6, 8, device="meta"))
    with pytest.raises(ValueError, match=r"confidence of frame one: expected shape \(6, 8\)"):
        RGBDFrame("one", make_camera(), color, depth, depth.long(), torch.zeros(8, 6))
    with pytest.raises(TypeError, match="confidence of frame one: expected a floating"):
        RGBDFrame("one", make_camera(), color, depth, depth.long(), depth.long())


def test_observations_have_states_for_their_mixed_blocks() -> None:
    blocks = torch.tensor([[0, 0, 0], [0, 0, 1]])
    state = torch.tensor([1, ObservationGrid.MIXED], dtype=torch.uint8)
    voxels = torch.zeros(1, BLOCK**3, dtype=torch.uint8)
    assert ObservationGrid(GRID, blocks, state, voxels).to("cpu").block_state.tolist() == [1, 255]
    with pytest.raises(ValueError, match=r"voxel_state: expected shape \(1, 512\), got \(0, 512\)"):
        ObservationGrid(GRID, blocks, state, voxels[:0])


def test_meshes_have_attributes_per_vertex() -> None:
    with pytest.raises(ValueError, match=r"Mesh.labels: expected shape \(2,\)"):
        Mesh(torch.zeros(2, 3), torch.zeros(0, 3).long(), labels=torch.zeros(3).long())
