"""Whether colour lies on depth: edges of depth are looked for in the colour image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d

from sparse_s4r.data.report.facts import ColorFacts
from sparse_s4r.structures import RGBDFrame

_WIDTH = 240
_FRAMES = 24
# Depth that jumps by more than this share within two pixels is an edge, not a slant.
_JUMP = 0.08
# Sensors lose depth beside edges; so many pixels are taken from the farther side.
_LOST = 4
# Colour edges are judged against their surroundings of this many pixels, so that rich texture counts no more.
_AROUND = 31
_FLOOR = 0.02
_STRONGEST = 4.0
_SCALES = (0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2)
_REACH = _WIDTH // 12
# With fewer pixels of edges in all, or weaker ones, nothing can be said.
_FEWEST = 500
_WEAKEST = 0.2
# Colour this far off, as a share of the width, is another camera's; registered captures stay within one per cent.
_TOLERANCE = 0.0125
# The place as given must be this much worse than the best one.
_WORSE = 0.7
_SUPPORT = 0.7


@dataclass(frozen=True)
class _Edges:
    """Edges of depth (H, W) in {0, 1}, and of colour (H, W), zero on average."""

    depth: Tensor
    color: Tensor


def color_facts(frames: Sequence[RGBDFrame]) -> ColorFacts:
    """Move and scale the edges of depth over those of colour, all frames together, and see where they agree best.

    Texture has edges where depth has none, but not in the same place against depth in every frame, so that it
    averages out.

    Args:
        frames: Spread over the capture.
    """
    step = max(1, len(frames) // _FRAMES)
    edges = [_edges(frame) for frame in frames[::step][:_FRAMES]]
    edges = [pair for pair in edges if bool(pair.depth.any())]
    if not edges or sum(float(pair.depth.sum()) for pair in edges) < _FEWEST:
        return ColorFacts("cannot be told", (0.0, 0.0), 1.0, 0.0, 0.0, len(edges), 0)
    maps = {scale: _agreement(edges, scale) for scale in _SCALES}
    best = max(maps, key=lambda scale: float(maps[scale].max()))
    row, column = divmod(int(maps[best].argmax()), 2 * _REACH + 1)
    given, top = float(maps[1.0][_REACH, _REACH]), float(maps[best].max())
    shift = (column - _REACH, row - _REACH)
    width = edges[0].depth.shape[1]
    moved = [(_strength(pair, best, shift), _strength(pair, 1.0, (0, 0))) for pair in edges]
    supporting = sum(other > now for other, now in moved)
    relative = (shift[0] / width, shift[1] / width)
    far = best != 1.0 or max(abs(relative[0]), abs(relative[1])) > _TOLERANCE
    if top < _WEAKEST:
        return ColorFacts("cannot be told", relative, best, given, top, len(edges), supporting)
    shifted = far and given < _WORSE * top and supporting >= _SUPPORT * len(edges)
    return ColorFacts("shifted" if shifted else "registered", relative, best, given, top, len(edges), supporting)


def _edges(frame: RGBDFrame) -> _Edges:
    height, width = frame.depth.shape
    if width > _WIDTH:
        size = (max(1, round(height * _WIDTH / width)), _WIDTH)
        depth = interpolate(frame.depth[None, None], size, mode="nearest-exact")[0, 0]
        color = interpolate(frame.color.permute(2, 0, 1)[None], size, mode="area")[0].permute(1, 2, 0)
    else:
        depth, color = frame.depth, frame.color
    return _Edges(_depth_edges(depth), _color_edges(color))


def _depth_edges(depth: Tensor) -> Tensor:
    for _ in range(_LOST):
        depth = torch.where(depth > 0, depth, max_pool2d(depth[None, None], 3, 1, 1)[0, 0])
    edges = torch.zeros_like(depth)
    across = _jumps(depth[:, :-2], depth[:, 2:])
    along = _jumps(depth[:-2], depth[2:])
    edges[:, 1:-1] = across
    edges[1:-1] = torch.maximum(edges[1:-1], along)
    return edges


def _jumps(one: Tensor, other: Tensor) -> Tensor:
    nearest = torch.minimum(one, other)
    return ((nearest > 0) & ((one - other).abs() > _JUMP * nearest)).float()


def _color_edges(color: Tensor) -> Tensor:
    grey = color.mean(dim=-1)
    strength = torch.zeros_like(grey)
    strength[:, 1:-1] = (grey[:, 2:] - grey[:, :-2]).abs()
    strength[1:-1] = torch.maximum(strength[1:-1], (grey[2:] - grey[:-2]).abs())
    # Across, then along: the mean over a square.
    usual = strength[None, None]
    for size in ((1, _AROUND), (_AROUND, 1)):
        usual = avg_pool2d(usual, size, 1, (size[0] // 2, size[1] // 2), count_include_pad=False)
    edges = (strength / (usual[0, 0] + _FLOOR)).clamp(max=_STRONGEST)
    return edges - edges.mean()


def _scaled(edges: Tensor, scale: float) -> Tensor:
    """Edges (H, W) moved away from the middle of the image by ``scale``; several may fall into one pixel."""
    if scale == 1.0:
        return edges
    middle = torch.tensor([(size - 1) / 2 for size in edges.shape])
    place = torch.round((torch.nonzero(edges) - middle) * scale + middle).long()
    inside = ((place >= 0) & (place < torch.tensor(edges.shape))).all(dim=1)
    moved = torch.zeros_like(edges)
    row, column = place[inside].unbind(dim=1)
    return moved.index_put_((row, column), torch.ones(len(row)), accumulate=True)


def _agreement(edges: Sequence[_Edges], scale: float) -> Tensor:
    """Mean strength (2R+1, 2R+1) of colour at the edges of depth for every shift (down, right) of up to R pixels."""
    total: Tensor | None = None
    count = 0.0
    size = (0, 0)
    for pair in edges:
        depth = _scaled(pair.depth, scale)
        size = (depth.shape[0] + 2 * _REACH, depth.shape[1] + 2 * _REACH)
        product = torch.fft.rfft2(depth, size).conj() * torch.fft.rfft2(pair.color, size)
        total = product if total is None or total.shape != product.shape else total + product
        count += float(depth.sum())
    if total is None or count == 0:
        return torch.zeros((2 * _REACH + 1, 2 * _REACH + 1))
    around = torch.roll(torch.fft.irfft2(total, size), (_REACH, _REACH), (0, 1))
    return around[: 2 * _REACH + 1, : 2 * _REACH + 1] / count


def _strength(pair: _Edges, scale: float, shift: tuple[int, int]) -> float:
    """Mean strength of one frame's colour at its edges of depth, scaled and shifted (right, down)."""
    place = torch.nonzero(_scaled(pair.depth, scale)) + torch.tensor([shift[1], shift[0]])
    inside = ((place >= 0) & (place < torch.tensor(pair.color.shape))).all(dim=1)
    row, column = place[inside].unbind(dim=1)
    return float(pair.color[row, column].mean()) if len(row) else -torch.inf
