"""The transcript in a running app: following, scrolling, selecting, and the same screen however the text came."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from rich.cells import cell_len
from textual import events
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from gemma_tui.tui.transcript.document import LoadedTurn
from gemma_tui.tui.transcript.furniture import Attachment
from gemma_tui.tui.transcript.view import Transcript

REPLY = """# Title

A **paragraph** with `code`, a [link](http://example.org/a) and words that go on until the row is full and wraps.

- one
- two
  - three

```python
def f(x):
    return x
```

| a | b |
|---|--:|
| 1 | 2 |

> quoted

1. first
1. second

Done \u2705 \u65e5\u672c\u8a9e \U0001f469\u200d\U0001f467 end.
"""


class Reader(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[object] = []

    def compose(self) -> ComposeResult:
        yield Transcript()

    def on_transcript_link_clicked(self, message: Transcript.LinkClicked) -> None:
        self.messages.append(("link", message.url))

    def on_transcript_copy_requested(self, message: Transcript.CopyRequested) -> None:
        self.messages.append(("copy", message.text))


@asynccontextmanager
async def reading(width: int = 60, height: int = 20) -> AsyncIterator[tuple[Transcript, Pilot[None], Reader]]:
    app = Reader()
    async with app.run_test(size=(width, height)) as pilot:
        yield app.query_one(Transcript), pilot, app


def screen(app: App[None]) -> list[str]:
    """What is on screen, row by row, as the compositor has it."""
    return [strip.text.rstrip(" \u2590") for strip in app.screen._compositor.render_strips()]


def fill(transcript: Transcript, turns: int) -> None:
    for number in range(turns):
        transcript.add_turn("user", f"question {number}")
        transcript.finish(transcript.add_turn("assistant", REPLY))


def at(app: App[None], text: str) -> tuple[int, int]:
    """Column and row of a text on screen."""
    for y, strip in enumerate(app.screen._compositor.render_strips()):
        index = strip.text.find(text)
        if index >= 0:
            return cell_len(strip.text[:index]), y
    raise AssertionError(f"{text!r} is not on screen:\n" + "\n".join(screen(app)))


async def test_streamed_text_ends_on_the_same_screen_as_loaded_text() -> None:
    async with reading(60, 60) as (transcript, pilot, app):
        transcript.add_turn("user", "hello")
        turn = transcript.add_turn("assistant")
        for start in range(0, len(REPLY), 3):
            transcript.append(turn, REPLY[start : start + 3])
            if start % 60 == 0:
                await pilot.pause()
        transcript.finish(turn)
        await pilot.pause(0.3)
        streamed = screen(app)
        assert transcript.plain_text(turn) == REPLY
        transcript.load([LoadedTurn("user", "hello"), LoadedTurn("assistant", REPLY)])
        await pilot.pause(0.3)
        assert screen(app) == streamed
        assert "Done \u2705 \u65e5\u672c\u8a9e" in "\n".join(streamed)


async def test_each_row_is_exactly_as_wide_as_the_screen() -> None:
    for width in (12, 31, 80, 140):
        async with reading(width, 60) as (transcript, pilot, app):
            transcript.add_turn("user", "\u65e5\u672c\u8a9e " * 30, [Attachment("a.png", "1\u00d71")])
            transcript.finish(transcript.add_turn("assistant", REPLY), note="stopped", kind="stopped")
            await pilot.pause()
            assert {strip.cell_length for strip in app.screen._compositor.render_strips()} == {width}


async def test_the_end_is_followed_until_one_scrolls_up() -> None:
    async with reading() as (transcript, pilot, app):
        fill(transcript, 3)
        await pilot.pause()
        assert any("end." in row for row in screen(app))
        transcript.focus()
        await pilot.press("pageup")
        await pilot.pause()
        assert not transcript.following
        seen = screen(app)
        turn = transcript.add_turn("assistant")
        transcript.append(turn, "brand new\n\n" * 30)
        await pilot.pause(0.2)
        now = screen(app)
        assert now[:-1] == seen[:-1]
        assert "new text below" in now[-1]
        await pilot.press("end")
        await pilot.pause()
        assert transcript.following
        assert "brand new" in screen(app)[-1]
        assert "new text below" not in "\n".join(screen(app))


async def test_the_marker_can_be_clicked() -> None:
    async with reading() as (transcript, pilot, app):
        fill(transcript, 3)
        transcript.scroll_rows(-10)
        transcript.append(transcript.add_turn("assistant"), "news")
        await pilot.pause(0.2)
        await pilot.click(Transcript, offset=at(app, "new text below"))
        await pilot.pause()
        assert transcript.following


async def test_the_wheel_scrolls_and_many_steps_are_one_move() -> None:
    async with reading() as (transcript, pilot, _app):
        fill(transcript, 5)
        await pilot.pause()
        before = transcript.scroll_offset.y
        for _ in range(10):
            transcript.post_message(
                events.MouseScrollUp(transcript, 5, 5, 0, 0, 0, False, False, False, screen_x=5, screen_y=5)
            )
        await pilot.pause(0.1)
        assert transcript.scroll_offset.y == before - 30


async def test_jumping_from_turn_to_turn() -> None:
    async with reading() as (transcript, pilot, app):
        fill(transcript, 3)
        transcript.focus()
        transcript.jump_turn(-1)
        await pilot.pause()
        assert screen(app)[0].strip() == "Gemma"
        transcript.jump_turn(-1)
        await pilot.pause()
        assert screen(app)[0].endswith("You")
        assert screen(app)[1].endswith("question 2")
        transcript.jump_turn(-2)
        transcript.jump_turn(1)
        await pilot.pause()
        assert screen(app)[0].strip() == "Gemma"
        for _ in range(9):
            transcript.jump_turn(1)
        assert transcript.following
        for _ in range(9):
            transcript.jump_turn(-1)
        await pilot.pause()
        assert screen(app)[0].endswith("You")
        assert screen(app)[1].endswith("question 0")


async def test_a_resize_keeps_the_text_that_is_read() -> None:
    async with reading() as (transcript, pilot, app):
        fill(transcript, 5)
        transcript.jump_turn(-4)
        await pilot.pause()
        first = screen(app)[:2]
        await pilot.resize_terminal(45, 15)
        await pilot.pause()
        assert screen(app)[:2] == first


async def test_nothing_that_comes_from_outside_is_markup_or_control() -> None:
    async with reading() as (transcript, pilot, app):
        hostile = "[red]x[/] [@click=app.bell]y[/] \x1b[31m \x9b31m \x1b]52;c;eA==\x07 \u202e &#27;[2J"
        transcript.add_turn("user", hostile, [Attachment(hostile, hostile)], title=hostile, note=hostile)
        turn = transcript.add_turn("assistant")
        for character in hostile:
            transcript.append(turn, character)
        transcript.finish(turn, note=hostile, kind="error")
        transcript.finish(transcript.add_turn("completion", hostile))
        transcript.add_notice(hostile)
        transcript.jump_turn(-9)
        await pilot.pause(0.2)
        strips = app.screen._compositor.render_strips()
        text = "\n".join(strip.text for strip in strips)
        assert "[red]x[/]" in text
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
        assert not any("@click" in segment.style.meta for strip in strips for segment in strip if segment.style)


async def drag(pilot: Pilot[None], start: tuple[int, int], end: tuple[int, int]) -> None:
    await pilot.mouse_down(Transcript, offset=start)
    await pilot.hover(Transcript, offset=end)
    await pilot.mouse_up(Transcript, offset=end)
    await pilot.pause()


async def test_a_drag_selects_exactly_what_it_covers() -> None:
    async with reading(60, 45) as (transcript, pilot, app):
        transcript.finish(transcript.add_turn("assistant", REPLY))
        await pilot.pause()
        x, y = at(app, "paragraph")
        await drag(pilot, (x, y), (x + len("paragraph") - 1, y))
        assert app.screen.get_selected_text() == "paragraph"
        x2, y2 = at(app, "wraps.")
        await drag(pilot, (x, y), (x2 + 6, y2))
        text = (
            "paragraph with code, a link (http://example.org/a) and words that go on until the row is full and wraps."
        )
        assert app.screen.get_selected_text() == text
        x, y = at(app, "def f")
        x2, y2 = at(app, "    return x")
        await drag(pilot, (x, y), (x2 + 12, y2))
        assert app.screen.get_selected_text() == "def f(x):\n    return x"
        x, y = at(app, "\u672c\u8a9e")
        await drag(pilot, (x, y), (x + 3, y))
        assert app.screen.get_selected_text() == "\u672c\u8a9e"


async def test_a_drag_backwards_from_the_margin_selects_whole_rows() -> None:
    async with reading(60, 45) as (transcript, pilot, app):
        transcript.finish(transcript.add_turn("assistant", REPLY))
        await pilot.pause()
        _, y = at(app, "one")
        _, y2 = at(app, "three")
        await drag(pilot, (50, y2), (0, y))
        assert app.screen.get_selected_text() == "\u2022 one\n\u2022 two\n  \u25e6 three"


async def test_a_selection_stays_on_its_text_while_more_streams_in() -> None:
    async with reading(60, 20) as (transcript, pilot, app):
        transcript.add_turn("user", "find me")
        turn = transcript.add_turn("assistant")
        await pilot.pause()
        x, y = at(app, "find me")
        await drag(pilot, (x, y), (x + 7, y))
        for number in range(40):
            transcript.append(turn, f"line {number}\n\n")
            await pilot.pause()
        assert app.screen.get_selected_text() == "find me"


async def test_the_selection_is_shown_and_taken_away() -> None:
    async with reading(60, 20) as (transcript, pilot, app):
        transcript.add_turn("user", "find me")
        await pilot.pause()
        x, y = at(app, "find me")
        await drag(pilot, (x, y), (x + 3, y))
        background = app.screen.get_component_rich_style("screen--selection").bgcolor

        def marked() -> str:
            strip = app.screen._compositor.render_strips()[y]
            return "".join(part.text for part in strip if part.style and part.style.bgcolor == background)

        assert marked() == "find"
        app.screen.clear_selection()
        await pilot.pause()
        assert marked() == ""


async def test_selecting_all_gives_the_source() -> None:
    async with reading() as (transcript, pilot, app):
        transcript.add_turn("user", "hello *you*")
        transcript.finish(transcript.add_turn("assistant", REPLY))
        await pilot.pause()
        transcript.select_all()
        assert app.screen.get_selected_text() == "hello *you*\n\n" + REPLY.strip("\n")


async def test_links_and_code_are_handed_over_and_never_opened() -> None:
    async with reading(60, 45) as (transcript, pilot, app):
        transcript.finish(transcript.add_turn("assistant", REPLY))
        await pilot.pause()
        await pilot.click(Transcript, offset=at(app, "link"))
        await pilot.click(Transcript, offset=at(app, "copy"))
        await pilot.pause()
        assert app.messages == [("link", "http://example.org/a"), ("copy", "def f(x):\n    return x")]
        transcript.focus()
        await pilot.press("y")
        await pilot.pause()
        assert app.messages[-1] == ("copy", "def f(x):\n    return x")


async def test_a_completion_goes_on_from_its_prompt() -> None:
    async with reading() as (transcript, pilot, app):
        turn = transcript.add_turn("completion", "Once upon")
        transcript.append(turn, " a *time*")
        transcript.append(turn, "\nthere")
        transcript.finish(turn)
        await pilot.pause()
        assert [row.strip() for row in screen(app)[1:3]] == ["Once upon a *time*", "there"]
        strip = app.screen._compositor.render_strips()[1]
        colours = {part.text.strip(): part.style.color for part in strip if part.style and part.text.strip()}
        assert colours["Once upon"] != colours["a *time*"]


async def test_a_theme_change_repaints() -> None:
    async with reading() as (transcript, pilot, app):
        transcript.finish(transcript.add_turn("assistant", "text"))
        await pilot.pause()

        def colours() -> set[object]:
            return {
                part.style.bgcolor for strip in app.screen._compositor.render_strips() for part in strip if part.style
            }

        def words() -> set[object]:
            strips = app.screen._compositor.render_strips()
            return {part.style.color for strip in strips for part in strip if part.style and "text" in part.text}

        dark, before = colours(), words()
        app.theme = "textual-light"
        await pilot.pause()
        await pilot.pause()
        assert not dark & colours()
        assert before and words() and not before & words()


async def test_without_colour_nothing_is_coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with reading(60, 45) as (transcript, pilot, app):
        picture = Attachment("a.png", "1\u00d71", rows=((("\u2580\u2580", "red on blue"),),))
        transcript.add_turn("user", "hello", [picture])
        transcript.finish(transcript.add_turn("assistant", REPLY))
        await pilot.pause()
        await drag(pilot, (3, 1), (6, 1))
        for strip in app.screen._compositor.render_strips():
            for part in strip:
                for colour in (part.style.color, part.style.bgcolor) if part.style else ():
                    assert colour is None or colour.is_default or len(set(colour.get_truecolor())) == 1


async def test_the_scrollbar_can_be_dragged() -> None:
    async with reading() as (transcript, pilot, app):
        fill(transcript, 10)
        await pilot.pause()
        await pilot.mouse_down(Transcript, offset=(59, 0))
        await pilot.mouse_up(Transcript, offset=(59, 0))
        await pilot.pause()
        assert transcript.scroll_offset.y == 0
        assert screen(app)[1].endswith("question 0")
        await pilot.mouse_down(Transcript, offset=(59, 19))
        await pilot.mouse_up(Transcript, offset=(59, 19))
        assert transcript.following


async def test_clearing_leaves_an_empty_screen_that_can_be_used_again() -> None:
    async with reading() as (transcript, pilot, app):
        fill(transcript, 3)
        gone = transcript.add_turn("assistant")
        transcript.clear()
        await pilot.pause()
        assert not any(screen(app))
        with pytest.raises(KeyError):
            transcript.append(gone, "late")
        transcript.add_turn("user", "again")
        await pilot.pause()
        assert screen(app)[0].endswith("You")


async def test_a_long_conversation_is_laid_out_only_where_it_is_seen() -> None:
    async with reading(100, 40) as (transcript, pilot, app):
        transcript.load([LoadedTurn(role, REPLY) for _ in range(400) for role in ("user", "assistant")])
        await pilot.pause()
        assert sum(bool(turn.body) for turn in transcript.document.turns) < 10
        assert any("end." in row for row in screen(app))
        transcript.scroll_rows(-500)
        await pilot.pause()
        laid = sum(len(block.lines or ()) for turn in transcript.document.turns for block in turn.body)
        assert laid < 2_000
