"""Wrapping a document: every character on a row that it fits on, and changes that end where a fresh start would."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_tui.tui.studio.cells import cells, shown
from gemma_tui.tui.studio.layout import Layout

_texts = st.text("ab  \n\té漢🙂\u200b\x00", max_size=60)


def rows(layout: Layout) -> list[str]:
    """The text of each row."""
    return [layout.text[layout.rows[row] : layout.end_of(row)] for row in range(len(layout.rows))]


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("", 10, [""]),
        ("\n", 10, ["", ""]),
        ("one two three", 8, ["one two ", "three"]),
        ("one two three", 7, ["one two", " three"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("ab\n\ncd\n", 4, ["ab", "", "cd", ""]),
        ("漢漢漢", 4, ["漢漢", "漢"]),
        ("a\tb\tc", 6, ["a\tb", "\tc"]),
        ("abcd", 4, ["abcd"]),
        ("abcd\nx", 4, ["abcd", "x"]),
    ],
)
def test_lines_break_at_spaces_and_long_words_anywhere(text: str, width: int, expected: list[str]) -> None:
    assert rows(Layout(text, width)) == expected


def test_the_first_row_leaves_room_for_what_stands_in_front() -> None:
    layout = Layout("abcdefgh", 6, 3)
    assert rows(layout) == ["abc", "defgh"]
    assert layout.column_of(0) == 3
    assert layout.offset_at(0, 4) == 1
    assert layout.offset_at(0, 0) == 0


@given(_texts, st.integers(4, 12), st.integers(0, 3))
def test_no_row_is_too_wide_and_none_is_lost(text: str, width: int, lead: int) -> None:
    layout = Layout(text, width, lead)
    assert "".join(text[start:end] for start, end in pairwise([*layout.rows, len(text)])) == text
    for row, line in enumerate(rows(layout)):
        start = layout.lead if row == 0 else 0
        assert start + cells(line, start) <= max(width, start + 4)


@given(_texts, st.integers(4, 12), st.integers(0, 60), st.integers(0, 12), _texts)
def test_a_change_gives_what_a_fresh_start_gives(text: str, width: int, at: int, gone: int, put: str) -> None:
    layout = Layout(text, width, 2)
    start = min(at, len(text))
    removed = min(gone, len(text) - start)
    changed = text[:start] + put + text[start + removed :]
    before = len(layout.rows)
    redrawn = layout.change(changed, start, removed, len(put))
    assert layout.rows == Layout(changed, width, 2).rows
    assert before - redrawn.old + redrawn.new == len(layout.rows)


@given(_texts, st.integers(4, 12))
def test_a_place_is_found_again_by_its_cell(text: str, width: int) -> None:
    layout = Layout(text, width)
    for offset in range(len(text) + 1):
        row = layout.row_of(offset)
        if offset <= layout.last_of(row) and cells(text[offset : offset + 1] or " ") > 0:
            found = layout.offset_at(row, layout.column_of(offset))
            assert layout.column_of(found, row) == layout.column_of(offset, row)


def test_text_added_at_the_end_lays_out_the_end_alone() -> None:
    layout = Layout("word " * 20_000, 80)
    redrawn = layout.change(layout.text + "more", len(layout.text), 0, 4)
    assert redrawn.old <= 2
    assert redrawn.new <= 3


@given(st.text(max_size=30))
def test_what_is_shown_never_moves_the_cursor(text: str) -> None:
    line = shown(text.replace("\n", "").replace("\t", ""))
    assert len(line) == len(text.replace("\n", "").replace("\t", ""))
    assert cells(text.replace("\n", "").replace("\t", "")) == cells(line)
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in line)
