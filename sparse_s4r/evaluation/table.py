"""Metrics as a table for the terminal."""

from __future__ import annotations

from rich.table import Table

from sparse_s4r.evaluation.held_out import ViewErrors
from sparse_s4r.evaluation.run import Metrics


def metrics_table(metrics: Metrics) -> Table:
    """The figures of held-out views, the prediction beside the fused input, and of completion."""
    table = Table(title=f"{metrics.prediction.frames} held-out frames")
    for name in ("", "coverage", "depth median", "depth p90", "within 5 cm", "PSNR"):
        table.add_column(name, justify="left" if not name else "right")
    rows = {
        "prediction": metrics.prediction,
        "fused input": metrics.input,
        "prediction, where both hit": metrics.prediction_where_both_hit,
        "fused input, where both hit": metrics.input_where_both_hit,
        "prediction, where the input misses": metrics.prediction_where_input_misses,
    }
    for name, errors in rows.items():
        table.add_row(name, *_cells(errors))
    completion = metrics.completion
    table.caption = (
        f"completed surface: recall {completion.recall:.1%} of {completion.missing:,} missing voxels, "
        f"precision {completion.precision:.1%} of {completion.completed:,}"
    )
    return table


def _cells(errors: ViewErrors) -> list[str]:
    return [
        f"{errors.coverage:.1%}",
        f"{errors.depth_median * 1000:.1f} mm",
        f"{errors.depth_p90 * 1000:.1f} mm",
        f"{errors.depth_within_5cm:.1%}",
        "-" if errors.color_psnr is None else f"{errors.color_psnr:.2f} dB",
    ]
