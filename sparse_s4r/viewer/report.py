"""A page that shows a result to someone who knows nothing of the project: pictures first, figures after."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from torch import Tensor


@dataclass(frozen=True)
class Picture:
    """A picture (H, W, 3) uint8 with its caption."""

    pixels: Tensor
    caption: str


@dataclass(frozen=True)
class Figures:
    """A table: a heading per column, and rows of as many cells."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Curve:
    """Values by step, drawn as a line."""

    name: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Part:
    """A part of the page: title, a plain sentence or two, then what it shows."""

    title: str
    text: str
    pictures: tuple[Picture, ...] = ()
    figures: Figures | None = None
    curves: tuple[Curve, ...] = ()
    legend: tuple[tuple[str, tuple[int, int, int]], ...] = ()


def write_report(title: str, parts: Sequence[Part], path: Path) -> None:
    """Write a self-contained HTML page."""
    body = "\n".join(_part(part) for part in parts)
    path.write_text(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><h1>{html.escape(title)}</h1>\n{body}\n</body></html>\n",
        encoding="utf-8",
    )


def _part(part: Part) -> str:
    pieces = [f"<section><h2>{html.escape(part.title)}</h2>", f"<p>{html.escape(part.text)}</p>"]
    if part.legend:
        pieces.append('<p class="legend">' + "".join(_legend(*entry) for entry in part.legend) + "</p>")
    if part.pictures:
        pieces.append('<div class="pictures">' + "".join(_picture(picture) for picture in part.pictures) + "</div>")
    if part.curves:
        pieces.append('<div class="pictures">' + "".join(_curve(curve) for curve in part.curves) + "</div>")
    if part.figures is not None:
        pieces.append(_table(part.figures))
    return "\n".join([*pieces, "</section>"])


def _legend(name: str, color: tuple[int, int, int]) -> str:
    return f'<span><i style="background:rgb{color}"></i>{html.escape(name)}</span>'


def _picture(picture: Picture) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture.pixels.numpy()).save(buffer, format="PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    caption = html.escape(picture.caption)
    return (
        f'<figure><img alt="{caption}" src="data:image/png;base64,{data}"><figcaption>{caption}</figcaption></figure>'
    )


def _table(figures: Figures) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in figures.columns)
    rows = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in figures.rows)
    return f"<table><tr>{head}</tr>{rows}</table>"


def _curve(curve: Curve, width: int = 220, height: int = 110) -> str:
    top, bottom = max(curve.values), min(curve.values)
    span = (top - bottom) or 1.0
    count = max(1, len(curve.values) - 1)
    points = " ".join(
        f"{width * index / count:.1f},{height - height * (value - bottom) / span:.1f}"
        for index, value in enumerate(curve.values)
    )
    caption = html.escape(f"{curve.name}: {curve.values[0]:.3g} to {curve.values[-1]:.3g}")
    return (
        f'<figure><svg viewBox="-2 -2 {width + 4} {height + 4}" width="{width}" height="{height}" role="img" '
        f'aria-label="{caption}"><polyline points="{points}"/></svg><figcaption>{caption}</figcaption></figure>'
    )


_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:1180px;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
h1{font-size:1.7rem}h2{font-size:1.2rem;margin-top:2rem}
.pictures{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0}img{max-width:100%;display:block}
figcaption{font-size:.85rem;color:#555}svg{background:#f5f6f8}polyline{fill:none;stroke:#2459a8;stroke-width:1.5}
table{border-collapse:collapse;margin:1rem 0}th,td{padding:.3rem .8rem;border-bottom:1px solid #ddd;text-align:right}
th:first-child,td:first-child{text-align:left}.legend span{margin-right:1rem;white-space:nowrap}
.legend i{display:inline-block;width:.9em;height:.9em;margin-right:.35em;border-radius:2px;vertical-align:-.1em}
"""
