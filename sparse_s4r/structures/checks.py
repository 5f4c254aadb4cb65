"""Argument checks shared by the value types: every message names the argument, the expectation and what came."""

from __future__ import annotations

import torch
from torch import Tensor


def expect_tensor(name: str, value: object, shape: tuple[int | str, ...], floating: bool | None = None) -> Tensor:
    """Return ``value`` if it is a tensor of ``shape``.

    Args:
        name: How the caller calls the argument; used in the message.
        value: The argument.
        shape: Expected sizes; a string stands for any size.
        floating: True for a floating type, False for an integer or bool type, None for either.

    Raises:
        TypeError: Not a tensor, or the wrong kind of element.
        ValueError: Another shape.
    """
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: expected a torch tensor of shape {_show(shape)}, got {type(value).__name__}")
    matches = value.dim() == len(shape) and all(
        isinstance(want, str) or want == have for want, have in zip(shape, value.shape, strict=True)
    )
    if not matches:
        raise ValueError(f"{name}: expected shape {_show(shape)}, got {tuple(value.shape)}")
    if floating is not None and value.dtype.is_floating_point != floating:
        kind = "a floating" if floating else "an integer or bool"
        raise TypeError(f"{name}: expected {kind} type, got {value.dtype}")
    return value


def expect_same_device(**tensors: Tensor | None) -> None:
    """Raise ValueError unless all given tensors live on one device."""
    devices: dict[str, torch.device] = {name: t.device for name, t in tensors.items() if t is not None}
    if len(set(devices.values())) > 1:
        listing = ", ".join(f"{name} on {device}" for name, device in devices.items())
        raise ValueError(f"expected all tensors on one device, got {listing}; move them with .to(device)")


def _show(shape: tuple[int | str, ...]) -> str:
    return "(" + ", ".join(str(size) for size in shape) + ("," if len(shape) == 1 else "") + ")"
