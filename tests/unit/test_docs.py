"""The pages that are made from the program are what the program says, and every licence is one that may be used."""

from __future__ import annotations

import pytest

from site_pages import generate


@pytest.mark.parametrize("name", generate.PAGES)
def test_pages_are_current(name: str) -> None:
    written = (generate.DOCS / name).read_text("utf-8")
    assert written == generate.PAGES[name](), "run: python packaging/site_pages/generate.py"


def test_no_licence_forbids_the_use() -> None:
    for name in generate.locked():
        licence = generate.licence(name)
        assert "AGPL" not in licence
        # The LGPL only for what is used unmodified and can be exchanged.
        assert "GPL" not in licence or (licence.startswith("LGPL") and name in {"soxr", "textual-image"}), name


def test_every_page_says_something() -> None:
    pages = sorted(generate.DOCS.glob("*.md"))
    assert [page.name for page in pages if not page.read_text("utf-8").startswith("# ")] == []
