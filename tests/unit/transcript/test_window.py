"""What is on screen must be a slice of the whole, wherever one goes and whatever was laid out before."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemma_tui.tui.transcript.canvas import thumb_rows
from gemma_tui.tui.transcript.document import Document
from gemma_tui.tui.transcript.palette import plain_palette
from gemma_tui.tui.transcript.window import KEPT_LINES, Row, Window

PARAGRAPH = "Some words that are long enough to be wrapped when the window is narrow, and then some more of them."
REPLY = f"# Title\n\n{PARAGRAPH}\n\n- one\n- two\n\n```py\nx = 1\ny = 2\n```\n\n{PARAGRAPH}"
PALETTE = plain_palette()


def conversation(turns: int) -> Document:
    document = Document()
    for number in range(turns):
        document.add("user").feed(f"question {number}\nsecond line")
        document.add("assistant").load(f"{number}: {REPLY}")
    return document


def window_on(document: Document, width: int = 40, height: int = 12) -> Window:
    window = Window(document)
    window.resize(width, height, PALETTE)
    return window


def texts(rows: list[Row]) -> list[str]:
    return [row.line.text for row in rows]


def everything(document: Document, width: int = 40) -> list[str]:
    window = window_on(document, width, 1_000_000)
    window.following = False
    window.jump(0)
    return texts(window.rows())


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("move"), st.integers(-60, 60)),
        st.tuples(st.just("jump"), st.integers(0, 300)),
        st.tuples(st.just("turn"), st.integers(0, 11)),
        st.tuples(st.just("end"), st.just(0)),
    ),
    max_size=12,
)


@given(STEPS, st.integers(3, 30))
@settings(max_examples=150, deadline=None)
def test_the_screen_is_always_a_slice_of_the_whole(steps: list[tuple[str, int]], height: int) -> None:
    document = conversation(6)
    whole = everything(document)
    window = window_on(document, height=height)
    window.rows()
    for step, amount in steps:
        if step == "move":
            window.move(amount)
        elif step == "jump":
            window.jump(amount)
        elif step == "turn":
            window.to_turn(amount)
        else:
            window.following = True
        rows = window.rows()
        assert len(rows) == height
        at = window.total - height if window.following else window.above
        if not window.following:
            # Estimates may still be wrong above; the text shown must be there all the same.
            found = [start for start in range(len(whole)) if whole[start : start + height] == texts(rows)]
            assert found
        else:
            assert at >= 0
            assert texts(rows) == whole[-height:]


def test_moving_by_rows_is_exact_in_both_directions() -> None:
    document = conversation(5)
    whole = everything(document)
    window = window_on(document)
    window.following = False
    window.jump(0)
    for top in range(len(whole) - 12):
        assert texts(window.rows()) == whole[top : top + 12]
        window.move(1)
    fresh = window_on(conversation(5))
    for top in range(len(whole) - 12, 0, -1):
        assert texts(fresh.rows()) == whole[top : top + 12]
        fresh.move(-1)
    assert texts(fresh.rows()) == whole[:12]


def test_heights_are_exact_once_everything_was_seen() -> None:
    document = conversation(4)
    whole = everything(document)
    window = window_on(document)
    window.jump(0)
    for _ in range(len(whole)):
        window.rows()
        window.move(1)
    assert window.total == len(whole)


def test_text_that_comes_in_below_does_not_move_what_is_read() -> None:
    document = conversation(3)
    window = window_on(document)
    window.rows()
    window.move(-20)
    before = texts(window.rows())
    turn = document.add("assistant")
    for number in range(50):
        turn.feed(f"line {number}\n\n")
        assert texts(window.rows()) == before
    assert not window.following


def test_text_that_comes_in_is_followed_at_the_end() -> None:
    document = conversation(3)
    window = window_on(document)
    turn = document.add("assistant")
    for number in range(50):
        turn.feed(f"line {number}\n\n")
        assert f"line {number}" in texts(window.rows())


def test_scrolling_to_the_end_follows_again() -> None:
    window = window_on(conversation(3))
    window.rows()
    window.move(-3)
    window.rows()
    assert not window.following
    window.move(3)
    window.rows()
    assert window.following


def test_a_resize_keeps_the_block_at_the_top() -> None:
    document = conversation(5)
    window = window_on(document)
    window.to_turn(4)
    top = window.rows()[0]
    window.resize(90, 12, PALETTE)
    assert window.rows()[0].turn is top.turn


def test_rows_are_dropped_when_they_are_far_away() -> None:
    document = conversation(150)
    window = window_on(document)
    window.following = False
    window.jump(0)
    for _ in range(400):
        window.rows()
        if window.following:
            break
        window.move(10)
    assert window.following
    kept = sum(len(block.lines or ()) for turn in document.turns for block in turn.body)
    assert 0 < kept <= KEPT_LINES + 200


def test_places_order_rows_through_the_document() -> None:
    document = conversation(3)
    document.turns[-1].notice("cut", "cut")
    window = window_on(document, height=1_000)
    places = [row.place for row in window.rows()]
    assert places == sorted(set(places))


@pytest.mark.parametrize(
    ("height", "total", "above", "thumb"),
    [
        (10, 5, 0, (-1, -1)),
        (10, 20, 0, (0, 5)),
        (10, 20, 10, (5, 10)),
        (10, 10_000, 9_990, (9, 10)),
        (10, 20, 99, (5, 10)),
    ],
)
def test_the_thumb_shows_where_one_is(height: int, total: int, above: int, thumb: tuple[int, int]) -> None:
    assert thumb_rows(height, total, above) == thumb
