"""Which kernels the builtin engine uses: compiled ones where there are any for the device, else torch operations.

All compute the same. Only sums differ in their last bits, as the order of their terms does.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType

from torch import Tensor

BACKENDS = ("torch", "numba", "triton")
_held: str | None = None


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Hold the builtin engine to one kind of kernels, "torch" for the reference; for tests and benchmarks.

    Raises:
        ValueError: Another name.
    """
    global _held
    if name not in BACKENDS:
        raise ValueError(f"backend: expected one of {', '.join(BACKENDS)}, got {name!r}")
    before, _held = _held, name
    try:
        yield
    finally:
        _held = before


def backend_of(tensor: Tensor) -> str:
    """Kernels for tensors of this device: the held ones, else numba on a CPU, Triton on a GPU if it is installed."""
    if _held is not None:
        return _held
    if tensor.device.type == "cpu":
        return "numba"
    return "triton" if tensor.device.type == "cuda" and _has_triton() else "torch"


def kernels(name: str, tensor: Tensor) -> ModuleType:
    """The module ``<name>_<backend>`` of this package that serves ``tensor``, by its device and type.

    Each such module has a function ``supports``; a backend without the module, or whose module does not support the
    tensor, is stood in for by torch.
    """
    backend = backend_of(tensor)
    if backend != "torch":
        module = _module(f"{__package__}.{name}_{backend}")
        if module is not None and module.supports(tensor):
            return module
    reference = _module(f"{__package__}.{name}_torch")
    if reference is None:
        raise RuntimeError(f"{name}: no reference kernels")
    return reference


@cache
def _module(name: str) -> ModuleType | None:
    # Imported here: numba and Triton take half a second, which commands without a network should not wait for.
    return importlib.import_module(name) if importlib.util.find_spec(name) else None


@cache
def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None
