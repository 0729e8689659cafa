"""The part of the main screen in which a message is written: composer, attachments, commands, completion."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual import on
from textual.screen import Screen
from textual.widgets import TextArea

from gemma_tui.tui.attaching import Attacher, attached_words, message_parts
from gemma_tui.tui.commanding import Commander
from gemma_tui.tui.completer import Completer
from gemma_tui.tui.own_commands import register_all
from gemma_tui.tui.pictures.gallery import Gallery
from gemma_tui.tui.terminal_input import AskedApp, write_terminal
from gemma_tui.tui.widgets.chips import ChipBar
from gemma_tui.tui.widgets.completions import Completions
from gemma_tui.tui.widgets.composer import Composer
from gemma_tui.tui.widgets.notice import Notice

if TYPE_CHECKING:
    from gemma_tui.tui.conversation import Conversation
    from gemma_tui.tui.transcript.view import Transcript


class ComposingScreen(Screen[None]):
    """A screen on which messages are written; `conversation` and `transcript` are what they go to."""

    conversation: Conversation
    transcript: Transcript

    def __init__(self, *, pictures: str = "auto") -> None:
        super().__init__()
        self.chips = ChipBar(id="chips")
        self.completions = Completions(id="completions")
        self.composer = Composer(id="composer", completions=self.completions)
        self.notice = Notice(id="notice")
        self.commander = Commander(self.refuse)
        self.attacher = Attacher(self.chips, self.refuse, self.run_worker, lambda: self.background_hex)
        self.gallery = Gallery(
            lambda: self.asked.terminal,
            lambda sequences: write_terminal(self.asked, sequences),
            background=lambda: self.background_hex,
            true_colour=lambda: self.app.console.color_system == "truecolor" and not self.app.no_color,
            wanted=pictures,
        )
        self.completer = Completer(self.composer, self.completions, self.commander, self.run_worker, list)
        register_all(self)
        self._sending = False

    @property
    def asked(self) -> AskedApp:
        """The app, which knows what the terminal can draw."""
        assert isinstance(self.app, AskedApp)
        return self.app

    def changed(self) -> None:
        """Bring what is shown up to date."""
        raise NotImplementedError

    @property
    def background_hex(self) -> str:
        """The colour behind everything, for pictures that are partly transparent."""
        return self.app.theme_variables.get("background", "#000000")[:7]

    def refuse(self, sentence: str) -> None:
        """Something that was dropped or asked for cannot be used."""
        self.notice.say(sentence, "warning", keys="Esc closes this")

    @on(Composer.Submitted)
    async def submit(self, message: Composer.Submitted) -> None:
        """Do what a command says, or send the message with what is attached, once every file was read."""
        if self._sending or not (message.text.strip() or self.chips.chips):
            return
        self._sending = True
        try:
            ran = await self.commander.run(message.text)
            if ran is None:
                await self._send(message.text)
            elif ran:
                self.composer.taken()
        finally:
            self._sending = False

    async def _send(self, text: str) -> None:
        paths, text = await asyncio.to_thread(attached_words, text)
        self.attacher.add_files(paths)
        if not await self.attacher.settled():
            return
        chips = self.chips.chips
        attachments = await asyncio.to_thread(
            self.gallery.attachments, [chip.part for chip in chips if chip.part], self.transcript.size.width or 80
        )
        pasted = [chip.detail for chip in chips if chip.name == "pasted text"]
        shown = "\n".join([text, *(f"[pasted text: {detail}]" for detail in pasted)]).strip("\n")
        self.composer.taken()
        self.chips.chips = ()
        if self.notice.kind == "warning":
            self.notice.close()
        self.conversation.submit(shown, message_parts(text, chips), attachments)

    @on(TextArea.Changed, "#composer")
    @on(TextArea.SelectionChanged, "#composer")
    def look(self) -> None:
        """Offer to complete what is being typed."""
        self.completer.look()

    @on(Composer.Completed)
    async def complete_word(self, message: Composer.Completed) -> None:
        """Take the chosen suggestion, or none; Enter runs a command that is complete with it."""
        if message.declined:
            self.completer.decline()
        elif self.completer.take(run=message.submit) and message.submit:
            await self.submit(Composer.Submitted(self.composer.text))

    @on(Completions.Clicked)
    def take_clicked(self) -> None:
        """Take the suggestion that was clicked."""
        self.completer.take()
        self.composer.focus()

    @on(Composer.FilesDropped)
    def drop(self, message: Composer.FilesDropped) -> None:
        """Attach the files that were dropped on the message."""
        self.attacher.add_files(message.paths)

    @on(Composer.LongPaste)
    def keep_long_paste(self, message: Composer.LongPaste) -> None:
        """Attach a text that is too long for the composer."""
        self.attacher.add_text(message.text)

    @on(Composer.LastChipUnwanted)
    def remove_last_chip(self) -> None:
        """Take the last attachment away."""
        self.chips.remove_last()

    @on(ChipBar.Left)
    def back_to_message(self) -> None:
        """Go back from the attachments to the message."""
        self.composer.focus()
