"""The engine's log on a screen of its own: followed, filtered and searched."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input, Static

from gemma_backend.text.clean import clean
from gemma_tui.tui.screens.sheet import SheetScreen
from gemma_tui.tui.widgets.keybar import Key, KeyBar
from gemma_tui.tui.widgets.log_pane import LogPane
from gemma_tui.tui.widgets.text_cells import middle

if TYPE_CHECKING:
    from gemma_backend.session.session import Session

LOOK_SECONDS = 0.2
BATCH = 1_000
"""Lines taken in between two looks at the keyboard."""
LAST_BYTES = 4 << 20
"""So much of a long log is shown; the whole of it is in the file."""

Asking = Literal["", "search", "filter"]


class LogScreen(SheetScreen[None]):
    """Shows the log at `path`; None where there is none, with `why` instead."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f4,ctrl+l,q", "away", "Close", show=False),
        Binding("slash,ctrl+f", "ask('search')", "Search", show=False, priority=True),
        Binding("f", "ask('filter')", "Show only lines with a text", show=False, priority=True),
        Binding("n", "next(1)", "Next match", show=False),
        Binding("N,shift+n", "next(-1)", "Previous match", show=False),
        Binding("l", "level", "All, warnings, errors", show=False),
        Binding("w", "wrap", "Wrap long lines", show=False),
    ]

    def __init__(self, path: Path | None, why: str = "") -> None:
        super().__init__()
        self._path = path
        self._why = why
        self._asking: Asking = ""
        self.pane = LogPane(id="log")
        self.answer = Input(id="answer", compact=True, select_on_focus=False)
        self.told = Static("", id="told", markup=False)
        self.keys = KeyBar(id="keys")

    def compose(self) -> ComposeResult:
        yield self.pane
        yield self.answer
        yield self.told
        yield self.keys

    def on_mount(self) -> None:
        self.answer.display = False
        self.pane.focus()
        self.keys.keys = (
            Key("Esc", "Close", "screen.away"),
            Key("/", "Search", "screen.ask('search')"),
            Key("n N", "Next, previous", "screen.next(1)"),
            Key("f", "Filter", "screen.ask('filter')"),
            Key("l", "Level", "screen.level"),
            Key("w", "Wrap", "screen.wrap"),
            Key("End", "Follow", "screen.follow"),
        )
        self._tell()
        if self._path is not None:
            self.follow(self._path)

    @work
    async def follow(self, path: Path) -> None:
        """Take in the log, and then what is added to it."""
        from gemma_backend.engine.tail import Tail

        with closing(Tail(path, last=LAST_BYTES)) as tail:
            while True:
                lines = tail.lines()
                while batch := await asyncio.to_thread(_some, lines):
                    self.pane.add(batch)
                    self._tell()
                    await asyncio.sleep(0)
                await asyncio.sleep(LOOK_SECONDS)

    @on(LogPane.Moved)
    def moved(self) -> None:
        """Say what is shown now."""
        self._tell()

    @on(KeyBar.Clicked)
    async def run_key(self, message: KeyBar.Clicked) -> None:
        """Do what a clicked key does."""
        await self.run_action(message.action)

    @on(Input.Submitted)
    def answered(self, message: Input.Submitted) -> None:
        """Search for what was written, or filter by it."""
        message.stop()
        asked, self._asking = self._asking, ""
        self.answer.display = False
        self.pane.focus()
        if asked == "search":
            self.pane.search(message.value, from_here=True)
        else:
            self.pane.set_filter(message.value)
        self._tell()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While a text is asked for, its letters are letters."""
        # The keys that ask come before everything else, so that what is typed right after them meets the question.
        return not (action == "ask" and self._asking)

    def action_ask(self, what: Asking) -> None:
        """Ask for a text to search for or to filter by."""
        self._asking = what
        self.answer.placeholder = "Search for" if what == "search" else "Show only lines with"
        self.answer.value = self.pane.wanted if what == "search" else self.pane.lines.filter
        self.answer.display = True
        # At once: what is typed meanwhile would be lost to a focus, or replaced by a selection, that comes later.
        self.answer.action_select_all()
        self.set_focus(self.answer)

    def action_away(self) -> None:
        """Close what is being asked; else the search and the filter; else the screen."""
        if self._asking:
            self._asking = ""
            self.answer.display = False
            self.pane.focus()
        elif self.pane.wanted or self.pane.lines.filter:
            self.pane.wanted, self.pane.found = "", None
            self.pane.set_filter("")
        else:
            self.dismiss(None)
        self._tell()

    def action_next(self, step: Literal[1, -1]) -> None:
        """Go to the next or the previous line that holds what was searched for."""
        if self.pane.wanted:
            self.pane.search(self.pane.wanted, step)
        else:
            self.action_ask("search")

    def action_level(self) -> None:
        """Show all, warnings and errors, or errors alone."""
        self.pane.set_level()

    def action_wrap(self) -> None:
        """Wrap long lines, or not."""
        self.pane.set_wrap()

    def action_follow(self) -> None:
        """To the end."""
        self.pane.action_follow()

    def _tell(self) -> None:
        self.told.update(self.standing())

    def standing(self) -> str:
        """What is shown, in a line: how many lines, filtered by what, and whether the end is followed."""
        if self._path is None:
            return clean(self._why, keep_newlines=False)
        pane = self.pane
        words = [f"{pane.lines.shown:,} of {len(pane.lines.entries):,} lines"]
        if pane.lines.level != "all":
            words.append("warnings and errors" if pane.lines.level == "warnings" else "errors only")
        if pane.lines.filter:
            words.append(f"with “{clean(pane.lines.filter, keep_newlines=False)}”")
        if pane.wanted:
            count = pane.lines.count(pane.wanted)
            words.append(f"{count:,} with “{clean(pane.wanted, keep_newlines=False)}”" if count else "not found")
        words.append("following" if pane.following else "paused")
        told = " · ".join(words)
        room = self.size.width - len(told) - 5
        path = middle(clean(str(self._path), keep_newlines=False), room) if room > 20 else ""
        return f"{told} · {path}" if path else told


def _some(lines: Iterator[str]) -> list[str]:
    return list(islice(lines, BATCH))


def log_of(session: Session | None) -> tuple[Path | None, str]:
    """The log of what `session` talks to; where there is none, why in a sentence."""
    if session is None:
        return None, "Nothing was started yet, so there is no log."
    if session.log_path is not None:
        return session.log_path, ""
    if session.profile is None or session.profile.url is not None:
        return None, "This server runs elsewhere, and so does its log."
    return None, "The engine was not started yet, so there is no log."
