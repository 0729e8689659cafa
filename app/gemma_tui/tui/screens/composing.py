"""The part of the main screen in which a message is written: composer, attachments, commands, completion."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import TextArea

from gemma_backend.types import AudioPart, BadInput
from gemma_tui.commanding import Commander
from gemma_tui.tui.attaching import Attacher, attached_words, message_parts
from gemma_tui.tui.attachment_commands import AttachmentCommands
from gemma_tui.tui.completer import Completer
from gemma_tui.tui.counting import PAUSE_SECONDS, Counter
from gemma_tui.tui.own_commands import register_all
from gemma_tui.tui.pictures.gallery import Gallery
from gemma_tui.tui.terminal_input import AskedApp, write_terminal
from gemma_tui.tui.transcript.view import Transcript
from gemma_tui.tui.widgets.chips import ChipBar
from gemma_tui.tui.widgets.completions import Completions
from gemma_tui.tui.widgets.composer import Composer
from gemma_tui.tui.widgets.notice import Notice

if TYPE_CHECKING:
    from gemma_backend.session.session import Session
    from gemma_tui.commands import Command
    from gemma_tui.tui.conversation import Conversation

HINT = "Enter sends · Ctrl+J new line"


def prompt_names() -> list[tuple[str, str]]:
    """The library's prompts with their titles."""
    from gemma_backend.config.prompts import list_prompts

    return [(prompt.name, prompt.title) for prompt in list_prompts()]


class ComposingScreen(Screen[None]):
    """A screen on which messages are written; `conversation` and `transcript` are what they go to."""

    conversation: Conversation
    transcript: Transcript

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f9", "files", "Choose pictures and clips to attach"),
        Binding("f8", "record", "Record a clip from the microphone"),
    ]

    def __init__(self, *, pictures: str = "auto") -> None:
        super().__init__()
        self.chips = ChipBar(id="chips")
        self.completions = Completions(id="completions")
        self.composer = Composer(id="composer", completions=self.completions)
        self.notice = Notice(id="notice")
        self.commander = Commander(self.refuse)
        self.attacher = Attacher(self.chips, self.refuse, self.tell, self.run_worker, lambda: self.background_hex)
        self.attachments = AttachmentCommands(self)
        self.attachments.register()
        self.counter = Counter(lambda: self.conversation.session)
        self.microphone = ""
        self._count_timer: Timer | None = None
        self.gallery = Gallery(
            lambda: self.asked.terminal,
            lambda sequences: write_terminal(self.asked, sequences),
            background=lambda: self.background_hex,
            true_colour=lambda: self.app.console.color_system == "truecolor" and not self.app.no_color,
            wanted=pictures,
        )
        self.completer = Completer(self.composer, self.completions, self.commander, self.run_worker, prompt_names)
        register_all(self)
        self._sending = False
        # What was typed before what earlier runs typed was read; None from then on.
        self._typed_early: list[str] | None = []
        self.composer.remember = self._remember

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

    def tell(self, sentence: str) -> None:
        """Something worth knowing about what was attached."""
        self.notice.say(sentence, keys="Esc closes this")

    def use_settings(self, session: Session) -> None:
        """Take up what the person has set, and what was typed in earlier runs where that is kept."""
        self.attacher.budget = session.settings.media.soft_tokens
        self.microphone = session.settings.media.microphone
        if session.talk.kept:
            self.run_worker(self._recall())
        else:
            self._typed_early = []

    async def _recall(self) -> None:
        from gemma_backend.session.typed import remember, typed

        if self._typed_early is None:
            return
        self.composer.recall(await asyncio.to_thread(typed))
        early, self._typed_early = self._typed_early, None
        for text in early or ():
            await asyncio.to_thread(remember, text)

    def _remember(self, text: str) -> None:
        """Keep what was typed for later runs, in the order in which it was typed, where the conversation is kept."""
        session = self.conversation.session
        if session is not None and not session.talk.kept:
            return
        if self._typed_early is None:
            from gemma_backend.session.typed import remember

            self.run_worker(asyncio.to_thread(remember, text))
        else:
            self._typed_early.append(text)

    @on(Composer.Submitted)
    async def submit(self, message: Composer.Submitted) -> None:
        """Do what a command says, or send the message with what is attached, once every file was read."""
        if self._sending or not (message.text.strip() or self.chips.chips):
            self.composer.not_taken()
            return
        self._sending = True
        try:
            ran = await self.commander.run(message.text)
            if ran is None:
                ran = await self._send(message.text)
            elif ran:
                self.composer.taken(message.text)
            if not ran:
                self.composer.not_taken()
        finally:
            self._sending = False

    async def call_command(self, command: Command) -> None:
        """Do what a command does; one that takes something is put into the message, to be completed there."""
        if command.takes == "nothing":
            await self.commander.run(f"/{command.name}")
        else:
            self.composer.rewrite(f"/{command.name} ")
            self.composer.focus()

    async def _send(self, typed: str) -> bool:
        """Whether the message is on its way."""
        paths, text = await asyncio.to_thread(attached_words, typed)
        self.attacher.add_files(paths)
        if not await self.attacher.settled():
            return False
        chips = self.chips.chips
        attachments = await asyncio.to_thread(
            self.gallery.attachments, [chip.part for chip in chips if chip.part], self.transcript.size.width or 80
        )
        pasted = [chip.detail for chip in chips if chip.name == "pasted text"]
        shown = "\n".join([text, *(f"[pasted text: {detail}]" for detail in pasted)]).strip("\n")
        self.composer.taken(typed)
        self.chips.chips = ()
        if self.notice.kind == "warning":
            self.notice.close()
        self.conversation.submit(shown, message_parts(text, chips), attachments)
        return True

    @on(TextArea.Changed, "#composer")
    @on(TextArea.SelectionChanged, "#composer")
    def look(self) -> None:
        """Offer to complete what is being typed."""
        self.completer.look()

    @on(TextArea.Changed, "#composer")
    @on(ChipBar.Changed)
    def count_soon(self) -> None:
        """Have the tokens counted once typing pauses."""
        if self._count_timer is not None:
            self._count_timer.stop()
        self._count_timer = self.set_timer(PAUSE_SECONDS, self._count)
        if not self.composer.text and not self.chips.chips:
            self.composer.border_subtitle = HINT

    def _count(self) -> None:
        self._count_timer = None
        self.run_worker(self._show_count(), group="count", exclusive=True)

    async def _show_count(self) -> None:
        text, chips = self.composer.text, self.chips.chips
        count = await self.counter.count(text, chips) if text or chips else None
        self.composer.border_subtitle = (
            HINT if count is None else f"{count:,} {'token' if count == 1 else 'tokens'} · {HINT}"
        )

    @on(Composer.PasteAsked)
    def paste_asked(self) -> None:
        """Look at the desktop's clipboard."""
        self.attachments.paste()

    @on(Composer.EditorAsked)
    async def edit_message(self) -> None:
        """Write the message in an editor of the person's own."""
        from gemma_tui.tui.editing import edited

        try:
            text = await edited(self.asked, self.composer.text)
        except (BadInput, SuspendNotSupported) as error:
            self.refuse(str(error))
            return
        if text is not None:
            self.composer.rewrite(text)
        self.composer.focus()

    @on(ChipBar.Opened)
    def open_chip(self, message: ChipBar.Opened) -> None:
        """Choose what there is to choose about an attachment."""
        self.attachments.open(message.chip)

    @on(ChipBar.Played)
    async def play_chip(self, message: ChipBar.Played) -> None:
        """Play a clip, or stop it."""
        if isinstance(message.chip.part, AudioPart):
            await self.attachments.play(message.chip.part)

    @on(Transcript.AttachmentClicked)
    async def play_clicked(self, message: Transcript.AttachmentClicked) -> None:
        """Play a clip of the conversation, or stop it."""
        if isinstance(message.source, AudioPart):
            await self.attachments.play(message.source)

    def action_files(self) -> None:
        """Choose pictures and clips to attach."""
        self.attachments.files()

    def action_record(self) -> None:
        """Record a clip from the microphone."""
        self.attachments.record()

    async def on_unmount(self) -> None:
        """Be silent, and let the terminal forget the pictures."""
        self.gallery.forget()
        await self.attachments.close()

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
