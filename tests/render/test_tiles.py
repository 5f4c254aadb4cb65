from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_s4r.render.blocks import index_blocks
from sparse_s4r.render.field import make_search_field
from sparse_s4r.render.rays import cast_rays
from sparse_s4r.render.search import search
from sparse_s4r.render.search_numba import search_numba
from sparse_s4r.render.tiles_numba import TILE_BITS, tile_ranges
from tests.render.fields import box_distance, look_at, make_field

ROOM = make_field(
    lambda points: torch.minimum(
        -box_distance(points, (0.9, 0.7, 0.5)), box_distance(points - torch.tensor([0.3, 0.2, -0.3]), (0.2, 0.3, 0.2))
    ),
    1.0,
)
INDEX = index_blocks(ROOM.coordinates)
FIELD = make_search_field(INDEX, ROOM.tsdf, ROOM.grid.voxel_size, 7)
place = st.tuples(st.floats(-1.4, 1.4), st.floats(-1.2, 1.2), st.floats(-0.9, 0.9))


@settings(max_examples=40)
@given(place, place, st.floats(4, 60), st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_rays_that_start_at_their_tile_find_what_all_rays_find(
    eye: tuple[float, float, float], target: tuple[float, float, float], focal: float, size: tuple[int, int]
) -> None:
    # Cameras inside blocks, beside and behind walls, wide and narrow; torch knows no tiles.
    if torch.dist(torch.tensor(eye), torch.tensor(target)) < 1e-3:
        return
    cameras = [look_at(eye, target, size, focal), look_at(target, eye, (33, 17), focal)]
    rays = cast_rays(cameras, ROOM.grid, INDEX.lower, 0.02, 5.0)
    one, two = search(FIELD, rays), search_numba(FIELD, rays)
    assert torch.equal(one.slot, two.slot)
    torch.testing.assert_close(one.depth, two.depth, rtol=0, atol=1e-12, equal_nan=True)


def test_ranges_hold_all_hits_and_little_more() -> None:
    camera = look_at((-0.6, -0.4, 0.1), (0.4, 0.2, -0.2), (96, 80), 70)
    rays = cast_rays([camera], ROOM.grid, INDEX.lower, 0.02, 5.0)
    ranges, firsts = tile_ranges(rays, FIELD.blocks.numpy())
    assert firsts.tolist() == [0, 6 * 5]
    depth = search(FIELD, rays).depth.view(80, 96)
    edge = 1 << TILE_BITS
    tiles = depth.view(5, edge, 6, edge).permute(0, 2, 1, 3).reshape(30, -1)
    assert not torch.isnan(tiles).any()
    assert (torch.from_numpy(ranges[:, 0]) <= tiles.amin(1)).all()
    assert (torch.from_numpy(ranges[:, 1]) >= tiles.amax(1)).all()
    # The start lies before the nearest hit by at most a block's diagonal and what the tile sees of a slanted wall.
    assert float((tiles.amin(1) - torch.from_numpy(ranges[:, 0])).median()) < 0.5


def test_a_camera_that_looks_away_has_no_ranges() -> None:
    camera = look_at((3.0, 0, 0), (4.0, 0, 0), (32, 32), 30)
    ranges, _ = tile_ranges(cast_rays([camera], ROOM.grid, INDEX.lower, 0.02, 5.0), FIELD.blocks.numpy())
    assert (ranges[:, 0] > ranges[:, 1]).all()
