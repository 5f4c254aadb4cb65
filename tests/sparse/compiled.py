"""Compile the Triton kernels for GPUs that need not be there, as they would be started: one line of JSON each.

To see registers and shared memory of all:  python -m tests.sparse.compiled
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from sparse_s4r.sparse import gather_gemm_triton, gemm_kernels_triton, kernel_map_triton

_TYPES = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16", torch.int32: "i32", torch.int64: "i64"}
_CUOBJDUMP = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
# Enough rows that tiles have their full height.
_ROWS = 1 << 16


@dataclass(frozen=True)
class Start:
    """One start of a kernel, caught instead of done: compile it with ``compiled``."""

    kernel: Any
    arguments: dict[str, Any]

    def compiled(self, architecture: int) -> Any:
        """The kernel for an NVIDIA architecture, specialised as at run time for addresses and sizes of 16."""
        names = self.kernel.arg_names
        constants = {p.name for p in self.kernel.params if p.is_constexpr}
        signature: dict[str, str] = {}
        attributes: dict[tuple[int], list[list[Any]]] = {}
        for position, name in enumerate(names):
            value = self.arguments[name]
            if isinstance(value, Tensor):
                signature[name] = "*" + _TYPES[value.dtype]
            else:
                signature[name] = "constexpr" if name in constants else "i32"
            if name not in constants and (isinstance(value, Tensor) or value % 16 == 0):
                attributes[(position,)] = [["tt.divisibility", 16]]
        source = ASTSource(
            self.kernel, signature, {(names.index(name),): self.arguments[name] for name in constants}, attributes
        )
        options = {name: value for name, value in self.arguments.items() if name not in names}
        return triton.compile(source, target=GPUTarget("cuda", architecture, 32), options=options)


class _Catcher:
    def __init__(self, kernel: Any, starts: list[Start]) -> None:
        self._kernel, self._starts = kernel, starts

    def __getitem__(self, grid: object) -> Callable[..., None]:
        def start(*values: Any, **named: Any) -> None:
            self._starts.append(Start(self._kernel, dict(zip(self._kernel.arg_names, values, strict=False)) | named))

        return start


def caught(work: Callable[[], object]) -> list[Start]:
    """What ``work`` starts, on tensors of any device; the kernels do not run, so results are arbitrary."""
    starts: list[Start] = []
    before = [(module, dict(vars(module))) for module in (gather_gemm_triton, kernel_map_triton)]
    try:
        for module, names in before:
            for name, value in names.items():
                if isinstance(value, triton.JITFunction):
                    setattr(module, name, _Catcher(value, starts))
        gather_gemm_triton.supports = lambda features: True  # type: ignore[assignment]
        work()
    finally:
        for module, names in before:
            vars(module).update(names)
    return starts


def convolution(dtype: torch.dtype, inputs: int, outputs: int) -> list[Start]:
    """The starts of one convolution, forward and for its weights."""
    table = torch.zeros(_ROWS, 27, dtype=torch.int32)
    features, gradient = torch.empty(_ROWS, inputs, dtype=dtype), torch.empty(_ROWS, outputs, dtype=dtype)
    weight = torch.empty(27, inputs, outputs, dtype=dtype)
    return caught(
        lambda: (
            gather_gemm_triton.gather_gemm(features, weight, table),
            gather_gemm_triton.weight_gradient(features, gradient, table),
        )
    )


def descent() -> list[Start]:
    """The start of a descent."""
    slots, child = torch.zeros(_ROWS, dtype=torch.int64), torch.zeros(8 * 16 + 8, dtype=torch.int32)
    return caught(lambda: kernel_map_triton.descend(slots, torch.zeros(16, 27, dtype=torch.int32), child))


def report(start: Start, architecture: int) -> dict[str, Any]:
    """What became of a kernel: registers, stack (spilled registers), shared memory, bytes; instructions by kind."""
    kernel = start.compiled(architecture)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(kernel.asm["cubin"])
        file.flush()
        usage = subprocess.run([_CUOBJDUMP, "-res-usage", file.name], capture_output=True, text=True, check=True)
    registers, stack = map(int, re.findall(r"REG:(\d+) STACK:(\d+)", usage.stdout + usage.stderr)[0])
    text = kernel.asm["ptx"]
    return {
        "kernel": start.kernel.__name__,
        "architecture": architecture,
        "blocks": {name: value for name, value in start.arguments.items() if name.startswith(("block", "num"))},
        "registers": registers,
        "stack": stack,
        "shared": kernel.metadata.shared,
        "tensor_core": len(re.findall(r"\b(?:wg)?mma\.\S*sync", text)),
        "copies_of_16_bytes": len(re.findall(r"cp\.async\.cg\.shared\.global .*0x10", text)),
        "atomics": len(re.findall(r"\b(?:atom|red)\.", text)),
    }


@dataclass(frozen=True)
class Case:
    """A convolution to compile."""

    dtype: str
    inputs: int
    outputs: int
    tf32: bool = False


# Each kernel, each way of multiplying, the widest tile, few channels and odd ones.
CASES = (
    Case("float16", 2, 16),
    Case("bfloat16", 128, 128),
    Case("float32", 17, 40),
    Case("float32", 64, 64),
    Case("float32", 128, 128, tf32=True),
)
ARCHITECTURES = (80, 90)


def main() -> None:
    """Print the report of every kernel of every case for every architecture."""
    assert isinstance(gemm_kernels_triton.gather_gemm_kernel, triton.JITFunction), "unset TRITON_INTERPRET"
    for start in descent():
        for architecture in ARCHITECTURES:
            print(json.dumps(report(start, architecture)))
    for case in CASES:
        torch.backends.cuda.matmul.allow_tf32 = case.tf32
        for start in convolution(getattr(torch, case.dtype), case.inputs, case.outputs):
            for architecture in ARCHITECTURES:
                print(json.dumps(asdict(case) | report(start, architecture)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
