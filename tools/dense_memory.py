"""Memory of the paper's dense network on a box, computed: what cannot be run can still be told."""

from __future__ import annotations

from collections.abc import Sequence

from sparse_s4r.models.scene_net import SceneNetShape
from sparse_s4r.structures import CELL

_FLOAT = 4
# Inputs: distance and a mask; colour and a mask.
_GEOMETRY_IN, _COLOR_IN = 2, 4


def training_bytes(box: Sequence[int], shape: SceneNetShape) -> int:
    """Bytes of the activations that one training step of ``DenseNet`` keeps for its backward pass, float32.

    With V_l = V / 8^l cells and w_l channels at level l = 0 ... 4, E encoders, D decoders and b blocks, values are:

        block at level l            4 w_l V_l: its input, the second norm's input, both inputs of convolutions
        encoder                     c_in V_0, sum over l of 4 b w_l V_l, and per step down w_l V_l + w_(l+1) V_(l+1)
        fusion                      (E + 1 + 4 b' + 1) w_4 V_4, b' blocks of the bottleneck
        decoder, to level l         ((1 + E) + 1 + 4 b + 1) w_l V_l
        colour                      3 V_0, what the sigmoid gave

    The code w_4 V_4 is kept once for all decoders; the sums per channel of the norms are left out. It is a lower
    bound of the step's peak: gradients, the loss and what the convolution routines take for themselves come on top.

    Args:
        box: Edges in voxels, multiples of 16.
        shape: Of the network.
    """
    cells = _cells_per_level(box)
    widths, blocks = shape.widths, shape.blocks
    encoders, decoders = _counts(shape)
    kept = sum(4 * blocks * width * count for width, count in zip(widths, cells, strict=True)) * encoders
    kept += encoders * sum(widths[level] * cells[level] for level in range(4))
    kept += encoders * sum(widths[level] * cells[level] for level in range(1, 5))
    kept += (_GEOMETRY_IN + (_COLOR_IN if shape.color_encoder else 0)) * cells[0]
    kept += (encoders + 1 + 4 * shape.bottleneck_blocks + 1) * widths[4] * cells[4]
    per_decoder = sum((encoders + 1 + 1 + 4 * blocks + 1) * widths[level] * cells[level] for level in range(4))
    kept += decoders * per_decoder
    if shape.color_decoder:
        kept += 3 * cells[0]
    return kept * _FLOAT


def forward_bytes(box: Sequence[int], shape: SceneNetShape) -> int:
    """Bytes that a forward pass of ``DenseNet`` without gradient holds at its highest, float32.

    That is in a block at the finest level of the last decoder: the skips of all levels, E w_l V_l; there, the skips
    with the raised features, (1 + E) w_0 V_0, the coarser features w_1 V_1, the block's input and two more tensors,
    3 w_0 V_0; the code; and the values that the earlier decoders gave. See ``training_bytes`` for the letters and for
    what comes on top.
    """
    cells = _cells_per_level(box)
    widths = shape.widths
    encoders, decoders = _counts(shape)
    held = encoders * sum(width * count for width, count in zip(widths, cells, strict=True))
    held += ((1 + encoders) + 3) * widths[0] * cells[0] + widths[1] * cells[1] + widths[4] * cells[4]
    earlier = [2, 3 if shape.color_decoder else 0, shape.classes][:decoders]
    held += sum(earlier[:-1]) * cells[0]
    return held * _FLOAT


def _cells_per_level(box: Sequence[int]) -> list[int]:
    if len(box) != 3 or any(edge <= 0 or edge % CELL for edge in box):
        raise ValueError(f"box: expected three multiples of {CELL} voxels, got {tuple(box)}")
    volume = box[0] * box[1] * box[2]
    return [volume >> (3 * level) for level in range(5)]


def _counts(shape: SceneNetShape) -> tuple[int, int]:
    encoders = 2 if shape.color_encoder else 1
    return encoders, 1 + int(shape.color_decoder) + int(shape.classes > 0)
