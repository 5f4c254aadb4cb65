"""Metrics as rows of text, and as a table for the terminal."""

from __future__ import annotations

from rich.table import Table

from sparse_s4r.evaluation.held_out import ViewErrors
from sparse_s4r.evaluation.run import Metrics

VIEW_COLUMNS = (
    "pixels covered",
    "depth error, median",
    "depth error, p90",
    "within 5 cm",
    "colour PSNR",
    "colour SSIM",
)


def view_rows(metrics: Metrics) -> tuple[tuple[str, ...], ...]:
    """The figures of held-out views, a name and one cell per ``VIEW_COLUMNS`` each, prediction beside fused input."""
    rows = (
        ("prediction", metrics.prediction),
        ("fused input", metrics.input),
        ("prediction, where both hit", metrics.prediction_where_both_hit),
        ("fused input, where both hit", metrics.input_where_both_hit),
        ("prediction, where the input has nothing", metrics.prediction_where_input_misses),
    )
    return tuple((name, *_cells(errors)) for name, errors in rows)


def metrics_table(metrics: Metrics) -> Table:
    """The figures of held-out views and, below, of completion and labels."""
    table = Table(title=f"{metrics.prediction.frames} held-out frames", caption_justify="left")
    table.add_column("", min_width=20)
    for name in VIEW_COLUMNS:
        table.add_column(name, justify="right")
    for row in view_rows(metrics):
        table.add_row(*row)
    completion = metrics.completion
    table.caption = (
        f"completed surface: recall {completion.recall:.1%} of {completion.missing:,} missing voxels, "
        f"precision {completion.precision:.1%} of {completion.completed:,}, {completion.unjudged:,} more unjudged"
    )
    if metrics.true_precision is not None:
        table.caption += f"\nof all completed surface, {metrics.true_precision:.1%} lies at the true surface"
    if metrics.labels is not None:
        table.caption += f"\nlabels: accuracy {metrics.labels.accuracy:.1%}, mean IoU {metrics.labels.mean_iou:.1%}"
    return table


def _cells(errors: ViewErrors) -> tuple[str, ...]:
    return (
        f"{errors.coverage:.1%}",
        f"{errors.depth_median * 1000:.1f} mm",
        f"{errors.depth_p90 * 1000:.1f} mm",
        f"{errors.depth_within_5cm:.1%}",
        "-" if errors.color_psnr is None else f"{errors.color_psnr:.1f} dB",
        "-" if errors.color_ssim is None else f"{errors.color_ssim:.2f}",
    )
