"""A long document stays as quick as a short one, because only what changed is laid out and painted."""

from __future__ import annotations

import pytest

from gemma_tui.tui.studio.layout import Layout, Redrawn
from gemma_tui.tui.studio.pad import StudioPad
from stubs.completion_server import CompletionServer
from tui.studio_pilots import go_on, studio_on

SENTENCE = "The quick brown fox jumps over the lazy dog and runs away."
LINES = f"{SENTENCE}\n" * 1700
ONE_LINE = f"{SENTENCE} " * 1700


@pytest.mark.parametrize("text", [LINES, ONE_LINE], ids=["lines", "one line"])
async def test_text_streamed_into_100_kb_lays_out_the_end_and_paints_the_rows_that_changed(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    laid: list[Redrawn] = []
    painted: list[int] = []
    change, render = Layout.change, StudioPad.render_line

    def counted(self: Layout, *arguments: object) -> Redrawn:
        laid.append(change(self, *arguments))  # type: ignore[arg-type]
        return laid[-1]

    def noted(self: StudioPad, y: int) -> object:
        painted.append(y)
        return render(self, y)

    async with CompletionServer(texts=[" word" * 40]) as server, studio_on(server, text) as (pilot, room):
        height = room.pad.page
        monkeypatch.setattr(Layout, "change", counted)
        monkeypatch.setattr(StudioPad, "render_line", noted)
        server.rate = 100
        await go_on(pilot, "ctrl+g")
        assert room.pad.text == text + " word" * 40
        assert laid
        assert all(redrawn.old <= 2 and redrawn.new <= 6 for redrawn in laid)
        # Some 200 characters are a few rows: each new one scrolls the window once, and all else is a row at a time.
        assert len(painted) <= 6 * height + 3 * len(laid)


async def test_a_key_at_the_beginning_of_100_kb_lays_out_two_rows() -> None:
    async with CompletionServer() as server, studio_on(server, ONE_LINE) as (pilot, room):
        room.pad.go(0)
        layout = room.pad.layout_of_text
        redrawn = layout.change("x" + layout.text, 0, 0, 1)
        assert redrawn.new <= 3
        layout.change(room.pad.text, 0, 1, 0)
        await pilot.press("x")
        assert room.pad.text == "x" + ONE_LINE
