"""The part of the main screen in which a conversation is read: links, code to copy, and turns that are folded."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual import on, work
from textual.binding import Binding, BindingType

from gemma_tui.tui.screens.composing import ComposingScreen
from gemma_tui.tui.transcript.document import TurnRecord
from gemma_tui.tui.transcript.view import Transcript
from gemma_tui.tui.widgets.keybar import Key

NO_LINK = "There is no link on screen."
NO_CODE = "There is no code in this conversation yet."
SHORT = "There is nothing to fold: the turn is shorter than that."


class ReadingScreen(ComposingScreen):
    """A screen on whose transcript one reads."""

    chosen: int | None = None
    mode: str

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("alt+o", "links", "Open a link on screen, after a question", show=False, priority=True),
        Binding("alt+y", "copy_code", "Copy the lowest code block on screen", show=False, priority=True),
        Binding("alt+z", "fold_all", "Fold long turns, or show all of them", show=False, priority=True),
        Binding("space,z", "chosen_fold", "Fold the chosen turn, or show all of it", show=False, priority=True),
        Binding("t", "chosen_thought", "Show the chosen turn's reasoning, or fold it", show=False, priority=True),
    ]

    def __init__(self, *, pictures: str = "auto") -> None:
        super().__init__(pictures=pictures)
        self.commander.register("fold", self.fold)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """In the studio these keys are the document's."""
        if action in ("links", "copy_code", "fold_all"):
            return self.mode == "chat"
        return super().check_action(action, parameters)

    # -- links

    @on(Transcript.LinkClicked)
    def link_clicked(self, message: Transcript.LinkClicked) -> None:
        """Ask before a link is followed."""
        self.ask_for(message.url)

    @work(group="sheet")
    async def ask_for(self, url: str) -> None:
        """Show the whole address, and open or copy it on request."""
        await self._ask_for(url)

    async def _ask_for(self, url: str) -> None:
        from gemma_tui.tui.opening_links import can_open, open_address
        from gemma_tui.tui.screens.link import LinkScreen

        answer = await self.app.push_screen_wait(LinkScreen(url, opens=can_open(url)))
        if answer == "open" and await asyncio.to_thread(open_address, url):
            self.notice.say("Opened outside of this terminal.", keys="Esc closes this")
        elif answer is not None:
            self.app.copy_to_clipboard(url)
            self.notice.say("Copied the address.", keys="Esc closes this")

    @work(group="sheet")
    async def action_links(self) -> None:
        """Choose one of the links on screen."""
        from gemma_tui.tui.screens.link import LinksScreen

        urls = self.transcript.links
        if not urls:
            self.refuse(NO_LINK)
            return
        url = urls[0] if len(urls) == 1 else await self.app.push_screen_wait(LinksScreen(urls))
        if url is not None:
            await self._ask_for(url)

    # -- code

    def action_copy_code(self) -> None:
        """Copy the lowest code block on screen, or the conversation's last one."""
        if not self.transcript.copy_code():
            self.refuse(NO_CODE)

    # -- folding

    def action_fold_all(self) -> None:
        """Fold every long turn; where all are folded, show them whole."""
        if not self.transcript.fold_all(True) and not self.transcript.fold_all(False):
            self.refuse("There is no turn that is long enough to be folded.")

    @property
    def chosen_record(self) -> TurnRecord | None:
        """The chosen turn as it is drawn, None where none is, or it is no longer there."""
        return next((turn for turn in self.transcript.document.turns if turn.number == self.chosen), None)

    def fold_keys(self) -> list[Key]:
        """What the line of keys offers for folding the chosen turn."""
        keys, record = [], self.chosen_record
        if record is not None and (record.folded or record.foldable):
            keys.append(Key("Space", "Show all" if record.folded else "Fold", "screen.chosen_fold"))
        if record is not None and record.thought is not None:
            keys.append(Key("t", "Reasoning", "screen.chosen_thought"))
        return keys

    def action_chosen_fold(self) -> None:
        """Draw only the beginning of the chosen turn, or all of it."""
        if (record := self.chosen_record) is not None:
            if not self.transcript.fold(record.number, not record.folded):
                self.refuse(SHORT)
            self.changed()

    def action_chosen_thought(self) -> None:
        """Draw the chosen turn's reasoning, or only that there is one."""
        if (record := self.chosen_record) is not None:
            if record.thought is None:
                self.refuse("There is no reasoning with this turn.")
            else:
                self.transcript.fold_thought(record.number, record.thought.open)

    def fold(self, which: str) -> None:
        """Fold long turns, or show all of them."""
        if which in ("on", "off"):
            self.transcript.fold_all(which == "on")
        else:
            self.action_fold_all()
