"""The pages that are made from the program are what the program says, and every licence is one that may be used."""

from __future__ import annotations

import pytest

from gemma_tui.exit_codes import EXIT_CODES
from site_pages import generate
from site_pages.reference import PARTS, command_page


@pytest.mark.parametrize("name", generate.PAGES)
def test_pages_are_current(name: str) -> None:
    written = (generate.DOCS / name).read_text("utf-8")
    assert written == generate.PAGES[name](), "run: make pages"


def test_no_licence_forbids_the_use() -> None:
    for name in generate.locked():
        licence = generate.licence(name)
        assert "AGPL" not in licence
        # The LGPL only for what is used unmodified and can be exchanged.
        assert "GPL" not in licence or (licence.startswith("LGPL") and name in {"soxr", "textual-image"}), name


def test_every_page_says_something() -> None:
    pages = sorted(generate.DOCS.glob("*.md"))
    assert [page.name for page in pages if not page.read_text("utf-8").startswith("# ")] == []


def test_every_error_ends_with_a_code_that_is_documented() -> None:
    # Imported for what it defines: every kind of failure is one of these.
    from gemma_backend.store import faults
    from gemma_backend.types.errors import GemmaError

    assert issubclass(faults.StoreError, GemmaError)
    kinds = [GemmaError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert len(kinds) >= 7
    assert {kind.exit_code for kind in kinds} <= set(EXIT_CODES)


def test_a_part_that_is_made_is_between_its_marks() -> None:
    text = (generate.DOCS / "reference.md").read_text("utf-8")
    assert [name for name in PARTS if text.count(f"<!-- made: {name} -->\n") != 1] == []
    assert text.count("<!-- end -->\n") == len(PARTS)


def test_every_option_of_every_command_has_a_line_of_help() -> None:
    rows = [line for line in command_page().splitlines() if line.startswith("| `")]
    assert len(rows) > 150
    assert [row for row in rows if row.endswith("|  |")] == []
