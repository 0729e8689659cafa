"""Several messages typed in one go, faster than any of them is sent: each is one, in its place, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tui.ptys import PtyProgram, program_on, terminal_env, token_server


@pytest.fixture
def program() -> Iterator[PtyProgram]:
    with token_server("--tokens", "5") as url:
        running = PtyProgram(program_on(url), terminal_env(GEMMA_TUI_UI_DASHBOARD="false"))
        try:
            running.until(lambda text: "ready" in text)
            yield running
            running.type(b"\x11")
            assert running.end() == 0
        finally:
            running.child.close(force=True)


def said(text: str) -> list[str]:
    """Who said what, in the order on the screen."""
    rows = [row.strip("▌ ") for row in text.splitlines()]
    return [row for row in rows if row in ("one", "two", "three", "Gemma")]


def test_messages_typed_in_one_go_are_asked_one_after_the_other(program: PtyProgram) -> None:
    program.type("one\rtwo\rthree\rand what is not sent")
    program.until(lambda text: said(text) == ["one", "Gemma", "two", "Gemma", "three", "Gemma"])
    program.until(lambda text: "│ and what is not sent" in text)
