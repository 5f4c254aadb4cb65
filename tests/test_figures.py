"""The figures in the documentation are those of the JSON files that it names."""

from __future__ import annotations

from tools.write_figures import ROOT, documents, outdated


def test_documents_show_the_figures_of_their_files() -> None:
    assert ROOT / "README.md" in documents(ROOT)
    assert ROOT / "docs" / "model-cards" / "rooms.md" in documents(ROOT)
    differing = [str(path.relative_to(ROOT)) for path in outdated(ROOT, write=False)]
    assert not differing, f"run python tools/write_figures.py: {differing} differ from docs/results"
