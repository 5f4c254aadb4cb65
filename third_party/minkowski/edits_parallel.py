"""What lets MinkowskiEngine 0.5.4 use all cores in its CPU loops, for comparisons with an engine that does too.

The published convolution gathers and scatters its rows on one core, and its threads append the pairs of a kernel map
in the order in which they happen to come. These edits follow those of ``edits.py`` in the build with ``--parallel``.
"""

from __future__ import annotations

from edits import Edit

_CONVOLUTION = "src/convolution_kernel.hpp"
_PARALLEL = "#pragma omp parallel for\n"
_GATHER = "rows are copied on all cores; row i of the buffer is written by the thread that has i"
_SCATTER = """\
rows are added on all cores; under one offset of the kernel no two pairs share an output, nor an input, so that no two
threads write the same row, and each row gets its sums in the order of the offsets"""

_MAPS = "src/coordinate_map_cpu.hpp"
_KERNEL_MAP = """\
      // The cells by their rows, which may have gaps: a hash map's own order is another in each map.
      std::vector<coordinate_type const *> cells(out_coordinate_map.capacity(), nullptr);
      for (auto cell = out_mmap.begin(); cell != out_mmap.end(); ++cell)
        cells[cell->second] = cell->first.data();
#pragma omp parallel for schedule(dynamic)
      for (index_type tap = 0; tap < kernel_volume; ++tap) {
        std::vector<coordinate_type> neighbour(m_coordinate_size);
        coordinate<coordinate_type> const key(neighbour.data());
        index_type pairs = 0;
        for (index_type row = 0; row < cells.size(); ++row) {
          if (cells[row] == nullptr)
            continue;
          kernel.coordinate_at(tap, cells[row], neighbour.data());
          auto const found = m_map.find(key);
          if (found != m_map.end()) {
            in_maps[tap][pairs] = found->second;
            out_maps[tap][pairs] = row;
            ++pairs;
          }
        }
        num_used[tap] = pairs;
      }
    }

"""


def _row_loop(comment: str, reason: str) -> Edit:
    """Make the loop below ``comment`` parallel; its counter is private to each thread by OpenMP's own rule."""
    return Edit(_CONVOLUTION, f"    // {comment}\n", f"    // {comment}\n{_PARALLEL}", reason)


PARALLEL_EDITS: tuple[Edit, ...] = (
    Edit(
        "MinkowskiEngine/__init__.py",
        '__version__ = "0.5.4"',
        '__version__ = "0.5.4+parallel"',
        "a program, and pip, can tell which of the two is installed",
    ),
    _row_loop("Gather all features (im2col)", _GATHER),
    _row_loop("Put it back to the correct index", _SCATTER),
    _row_loop("Gather all features for a matrix multiplication (im2col)", _GATHER),
    _row_loop("Accumulate gradients back to the input grad feat", _SCATTER),
    _row_loop("Compute gradient for kernel", _GATHER),
    Edit(
        _MAPS,
        _PARALLEL + "      for (index_type n = 0; n < N; n++) {\n",
        _KERNEL_MAP,
        "each offset of the kernel has a thread to itself and takes the output rows in order: no atomic counter, the "
        "same lists in every run, and so the same bits from every sum over them",
        until="    for (index_type i = 0; i < kernel_volume; ++i) {\n",
    ),
)
