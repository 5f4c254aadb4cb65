"""Blocks of figures in documents: written from JSON, checked, and refused where they cannot be written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sparse_s4r.structures.errors import UserError
from tools import figure_views, write_figures

BLOCK = "<!-- figures: results/a.json view=rooms against=target measures=iou,color_seen -->"
END = "<!-- end of figures -->"


def figure(mean: float | None, low: float | None = None, high: float | None = None, scenes: int = 2) -> dict:
    return {"mean": mean, "low": low, "high": high, "pooled": 0.5, "scenes": scenes}


def make(root: Path, text: str, mean: float = 0.25) -> Path:
    (root / "docs" / "results").mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "method": "input",
            "target": {"iou": figure(mean, 0.2, 0.3), "color_seen": figure(0.0213, 0.0213, 0.0213, 1)},
            "truth": {},
            "target_class_iou": [0.125, None],
        },
        {
            "method": "no labels",
            "target": {"iou": figure(1, 1, 1), "color_seen": figure(None, scenes=0)},
            "truth": {},
            "target_class_iou": [],
        },
    ]
    content = {"class_names": ["bed", "wall"], "rows": rows}
    (root / "docs" / "results" / "a.json").write_text(json.dumps(content))
    (root / "docs" / "page.md").write_text(text)
    (root / "README.md").write_text("nothing\n")
    return root / "docs" / "page.md"


def test_a_block_by_hand(tmp_path: Path) -> None:
    page = make(tmp_path, f"before\n\n{BLOCK}\nold\n{END}\nafter\n")
    assert write_figures.main(["--check", "--root", str(tmp_path)]) == 1
    assert "old" in page.read_text()
    assert write_figures.main(["--root", str(tmp_path)]) == 0
    table = [
        "| | IoU, 1 voxel | colour error, seen |",
        "|---|---|---|",
        "| input | 25.0% (20.0% to 30.0%) | 0.021 |",
        "| no labels | 100.0% | - |",
    ]
    assert page.read_text().split("\n") == ["before", "", BLOCK, "", *table, "", END, "after", ""]
    assert write_figures.main(["--check", "--root", str(tmp_path)]) == 0
    make(tmp_path, page.read_text(), mean=0.26)
    assert write_figures.main(["--check", "--root", str(tmp_path)]) == 1


def test_other_views_and_options(tmp_path: Path) -> None:
    first = BLOCK.replace("iou,color_seen", "iou methods=no_labels pooled=yes")
    second = "<!-- figures: results/a.json view=class_iou against=target -->"
    page = make(tmp_path, f"{first}\n{END}\n{second}\n{END}\n")
    write_figures.main(["--root", str(tmp_path)])
    text = page.read_text()
    assert "| no labels | 50.0% |" in text
    assert "| input | 25" not in text
    assert "| input | 12.5% | - |" in text


def test_an_optional_file_may_be_missing(tmp_path: Path) -> None:
    block = "<!-- figures: results/table_9.json view=table optional -->"
    page = make(tmp_path, f"{block}\nold\n{END}\n")
    write_figures.main(["--root", str(tmp_path)])
    assert page.read_text() == f"{block}\n\n{END}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{BLOCK}\n", "expected <!-- end of figures --> after"),
        (f"{BLOCK}\n{BLOCK}\n{END}", "before another block"),
        (f"{END}\n", "expected a block before"),
        (f"{BLOCK.replace('a.json', 'b.json')}\n{END}", "expected .*b.json, found none"),
        (f"{BLOCK.replace('view=rooms', 'view=none')}\n{END}", "view= one of rooms"),
        (f"{BLOCK.replace('iou,', 'nothing,')}\n{END}", "does not suit view rooms"),
        (f"{BLOCK.replace('against=target', 'against')}\n{END}", "key=value"),
        (f"{BLOCK.replace('against=target', 'side=target')}\n{END}", "does not suit view rooms"),
    ],
)
def test_wrong_blocks_are_refused(text: str, message: str, tmp_path: Path) -> None:
    make(tmp_path, text)
    with pytest.raises(UserError, match=message):
        write_figures.main(["--root", str(tmp_path)])


def test_curves_have_a_line_per_value() -> None:
    points = {
        "iou_3": [{"value": 0.5, "mean": 0.25}, {"value": 0.4, "mean": 0.5}],
        "miou": [{"value": 0.5, "mean": 0.125}],
    }
    found = figure_views.curves({"curves": points}, "kept_from").split("\n")
    assert found == [
        "| kept from | IoU, 3 voxels | mIoU |",
        "|---|---|---|",
        "| 0.4 | 50.0% | - |",
        "| 0.5 | 25.0% | 12.5% |",
    ]
