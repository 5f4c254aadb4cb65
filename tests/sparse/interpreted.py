"""The Triton kernels in Triton's interpreter, which runs them on tensors of the CPU, one program after another."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import pytest

import sparse_s4r.sparse

_KERNELS = ("gemm_kernels_triton", "kernel_map_triton", "gather_gemm_triton")


def interpreted_modules() -> dict[str, ModuleType]:
    """Copies of the modules with kernels, by name, made for the interpreter.

    What a kernel becomes is decided when its module is imported. So the copies are imported with the variable set,
    and neither they nor the variable stay where other tests, or what they start, would find them. It does not matter
    who imported Triton before: the kernels use nothing of it that is itself a jitted function.
    """
    package = sparse_s4r.sparse
    names = {name: f"{package.__name__}.{name}" for name in _KERNELS}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        for name, full in names.items():
            patch.delitem(sys.modules, full, raising=False)
            patch.delattr(package, name, raising=False)
        try:
            return {name: importlib.import_module(full) for name, full in names.items()}
        finally:
            # Undoing a deletion does not undo an import: what was absent before must be absent again.
            for name, full in names.items():
                sys.modules.pop(full, None)
                vars(package).pop(name, None)
