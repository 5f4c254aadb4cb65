"""What current compilers, torch and Python need changed in MinkowskiEngine 0.5.4, and the two defects that bite.

Each edit is a piece of text that stands exactly once in the published source; if it does not, nothing is built.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Edit:
    """Put ``new`` in the place of ``old`` in the file ``path``, because of ``reason``.

    With ``to_end``, everything from ``old`` to the end of the file is replaced; with ``until``, everything from
    ``old`` up to the next place where that text stands. All edits are made for every build: what concerns CUDA is in
    files that a CPU build does not read, and what concerns one CUDA release is guarded in the text itself.
    """

    path: str
    old: str
    new: str
    reason: str
    to_end: bool = False
    until: str = ""


class EditError(Exception):
    """The source is not the one that the edits were written for."""


def apply_edits(source: Path, edits: tuple[Edit, ...]) -> None:
    """Change the files below ``source``.

    Raises:
        EditError: A text stands there never or more than once, or the end of what it replaces is missing; the
            message names the file and the text.
    """
    for edit in edits:
        file = source / edit.path
        text = file.read_text() if file.exists() else ""
        if text.count(edit.old) != 1:
            raise EditError(f"{edit.path}: expected {edit.old!r} once, found it {text.count(edit.old)} times")
        before, after = text.split(edit.old)
        if edit.until not in after:
            raise EditError(f"{edit.path}: expected {edit.until!r} after {edit.old!r}, found it nowhere")
        kept = "" if edit.to_end else after[after.index(edit.until) :]
        file.write_text(before + edit.new + kept)


_SEQUENCE = "Python 3.10 moved Sequence to collections.abc"
_PYTHON = (
    *(
        Edit(f"MinkowskiEngine/{file}.py", "from collections import Sequence\n", line, _SEQUENCE)
        for line in ["from collections.abc import Sequence\n"]
        for file in ["MinkowskiCommon", "MinkowskiCoordinateManager", "MinkowskiTensorField", "utils/quantization"]
    ),
    Edit(
        "MinkowskiEngine/MinkowskiKernelGenerator.py",
        "from collections import Sequence, namedtuple\n",
        "from collections import namedtuple\nfrom collections.abc import Sequence\n",
        _SEQUENCE,
    ),
    Edit(
        "setup.py",
        'run_command("pip", "uninstall", "MinkowskiEngine", "-y")\n',
        "",
        "even a query for metadata removed the installed engine",
    ),
    Edit(
        "MinkowskiEngine/utils/gradcheck.py",
        "from torch.types import _TensorOrTensors\n",
        "\n\ndef gradcheck(func, inputs, **options):\n"
        "    return torch.autograd.gradcheck(func.apply, inputs, **options)\n",
        "it used parts of torch that are gone; torch's own check does the same for a function with apply",
        to_end=True,
    ),
)

_DEFECTS = (
    Edit(
        "src/coordinate_map_manager.cpp",
        "      return detail::empty_map_functor<",
        "      return m_kernel_maps[kernel_map_key] = detail::empty_map_functor<",
        "a convolution on an empty tensor returned a reference to a temporary: a crash with gcc 8 and later",
    ),
    Edit(
        "src/coordinate_map_manager.cpp",
        'coordinate_map_key_type merged_map_key(merged_map_tensor_stride, "merge");',
        'coordinate_map_key_type merged_map_key =\n      get_random_string_id(merged_map_tensor_stride, "merge");',
        "the second union of one manager got the coordinates of the first",
    ),
)

_HASH = "src/3rdparty/concurrent_unordered_map.cuh"
_THRUST = "thrust of CUDA 12 and 13 no longer includes its other headers on the side"
_PREFETCH = """
#if CUDART_VERSION >= 13000
inline cudaError_t cudaMemPrefetchAsync(void const *pointer, size_t count, int device, cudaStream_t stream)
{
  return cudaMemPrefetchAsync(pointer, count, cudaMemLocation{cudaMemLocationTypeDevice, device}, 0u, stream);
}
#endif
"""


def _include(*headers: str) -> str:
    return "".join(f"#include <{header}>\n" for header in headers)


def _thrust(*names: str) -> str:
    return _include(*(f"thrust/{name}.h" for name in names))


_ITERATORS = ("iterator/constant_iterator", "iterator/counting_iterator", "iterator/zip_iterator", "tuple")

_CUDA = (
    Edit(
        _HASH,
        "#include <cudf/detail/nvtx/ranges.hpp>\n",
        _include("thrust/execution_policy.h"),
        "the profiler ranges of this old cudf do not compile with the nvtx of CUDA 12 and 13; " + _THRUST,
    ),
    Edit(_HASH, "    CUDF_FUNC_RANGE();\n", "", "as above"),
    Edit(
        _HASH,
        "    return std::unique_ptr<Self, std::function<void(Self*)>>{\n",
        "    return std::shared_ptr<Self>{\n",
        "C++20 does not convert this deleter; every caller keeps a shared_ptr",
    ),
    Edit(
        _HASH,
        _include("type_traits"),
        _include("type_traits") + _PREFETCH,
        "CUDA 13 names the device of a prefetch by a location",
    ),
    Edit(
        "src/coordinate_map_functors.cuh",
        "struct find_coordinate\n    : public thrust::unary_function<uint32_t,\n"
        "                                    thrust::pair<uint32_t, uint32_t>> {\n",
        "struct find_coordinate {\n",
        "thrust::unary_function is gone; nothing uses the types that it defined",
    ),
    Edit("src/coordinate_map_functors.cuh", _thrust("pair"), _thrust("pair", "tuple"), _THRUST),
    Edit(
        "src/coordinate_map_gpu.cu",
        _thrust("sort"),
        _thrust("fill", "for_each", *_ITERATORS, "reduce", "remove", "scan", "sequence", "sort", "transform", "unique"),
        _THRUST,
    ),
    Edit("src/kernel_map.cuh", _thrust("sort"), _thrust("sort", *_ITERATORS[2:], "host_vector", "reduce"), _THRUST),
    Edit(
        "src/spmm.cu",
        _include("ATen/cuda/CUDAContext.h"),
        _thrust("execution_policy", "functional", *_ITERATORS, "reduce", "sort")
        + _include("ATen/ATen.h", "ATen/cuda/CUDAContext.h"),
        _THRUST + "; torch's CUDA headers no longer bring ATen with them and need it first",
    ),
    Edit(
        "src/spmm.cuh",
        _include("ATen/cuda/CUDAContext.h"),
        _include("ATen/ATen.h", "ATen/cuda/CUDAContext.h"),
        "as in spmm.cu",
    ),
)

EDITS: tuple[Edit, ...] = (*_PYTHON, *_DEFECTS, *_CUDA)
