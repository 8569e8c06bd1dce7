"""Every link leads somewhere, and every page can be found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import PAGES, anchors, links, read
from tests.project.repository import ROOT


def broken_links(page: Path, text: str) -> list[str]:
    broken = []
    for link in links(text):
        target, _, anchor = link.partition("#")
        if target.startswith(("https://", "http://")):
            continue  # what others publish is not ours to check, and tests use no network
        to = (ROOT / page).parent / target if target else ROOT / page
        if not to.exists() or (anchor and anchor not in anchors(to.read_text(encoding="utf-8"))):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page, read(page)) == []


def test_a_broken_link_is_seen() -> None:
    text = "# One heading\n[a](b.md) [c](README.md) [d](#one-heading) [e](#two) `[f](g.md)`\n```\n[h](i.md)\n```\n"
    assert broken_links(Path("README.md"), text) == ["b.md", "#one-heading", "#two"]


@pytest.mark.parametrize("folder", ["docs", "docs/decisions"])
def test_the_index_names_every_page(folder: str) -> None:
    index = Path(folder, "README.md")
    named = {Path(folder, link.partition("#")[0]) for link in links(read(index))}
    assert {page for page in PAGES if page.parent == Path(folder)} - named == {index}
