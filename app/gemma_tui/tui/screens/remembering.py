"""The part of the main screen that has to do with the history: opening, naming, keeping and exporting conversations."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.binding import Binding, BindingType

from gemma_backend.types import GemmaError, Stored, Summary
from gemma_tui.commanding import Handler
from gemma_tui.tui.screens.turning import BUSY, TurningScreen

if TYPE_CHECKING:
    from gemma_backend.session.talk import Talk
    from gemma_backend.store.history import History
    from gemma_tui.tui.keeping import KeepingApp
    from gemma_tui.tui.studio.room import StudioRoom


class RememberingScreen(TurningScreen):
    """A screen whose conversation is kept, and can be exchanged for one that was."""

    studio: StudioRoom | None

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("alt+h", "history", "The history", show=False, priority=True),
        Binding("f6", "chat_history", "The history", show=False, priority=True),
        Binding("alt+k", "keep", "Keep this conversation, or not", show=False, priority=True),
    ]

    def __init__(self, *, pictures: str = "auto") -> None:
        super().__init__(pictures=pictures)
        handlers: tuple[tuple[str, Handler], ...] = (
            ("history", self.find),
            ("title", self.give_title),
            ("tags", self.give_tags),
            ("keep", self.keep),
            ("export", self.export),
            ("branches", self.show_branches),
        )
        for name, handler in handlers:
            self.commander.register(name, handler)

    async def open_history(self) -> History:
        """The history, opened beside the screen."""
        app: KeepingApp = self.app  # type: ignore[assignment] # the app of this screen is one
        return await app.open_history()

    @property
    def kept_word(self) -> str:
        """What the status line says of a conversation that is not kept."""
        return "" if self.talk is None or self.talk.kept else "not kept"

    # -- the history

    def action_history(self) -> None:
        """Show the history."""
        self.show_history("")

    def action_chat_history(self) -> None:
        """The same by the key that a document has another use for."""
        self.show_history("")

    def find(self, words: str) -> None:
        """Show what the history has of `words`."""
        self.show_history(words)

    @work
    async def show_history(self, words: str) -> None:
        """Show the history, found by `words` where there are any, and open what is chosen there."""
        from gemma_tui.tui.screens.history import HistoryScreen

        try:
            history = await self.open_history()
        except GemmaError as error:
            self.refuse(str(error))
            return
        about = await self.app.push_screen_wait(HistoryScreen(history, self.forget_deleted, words))
        if about is not None:
            await self.open_kept(about)

    async def early_talk(self) -> Talk:
        """The conversation for what is said before there is anything that could answer; raises GemmaError."""
        from gemma_backend.session.talk import Talk

        talk = Talk(await self.open_history())
        talk.trouble = self.refuse
        return talk

    async def open_kept(self, about: Summary) -> None:
        """Go on with a conversation of the history, or with a document in the studio."""
        if about.kind == "completion":
            await self._open_document(about.id)
            return
        from gemma_backend.session.talk import Talk

        history = await self.open_history()
        await self.conversation.cancel()
        if self.conversation.waiting:
            self.refuse(BUSY)
            return
        try:
            stored = await asyncio.to_thread(history.load, about.id)
        except GemmaError as error:
            self.refuse(str(error))
            return
        self.leave_turn()
        self.conversation.use(Talk(history, stored))
        if self.mode != "chat":
            await self.run_action("mode")
        self.notice.close()
        await self.show_branch()
        self.composer.focus()

    async def _open_document(self, number: int) -> None:
        if self.mode == "chat":
            await self.run_action("mode")
        assert self.studio is not None
        # The studio opens the history beside itself.
        self.studio.history = await self.open_history()
        await self.studio.open_document(number)

    async def forget_deleted(self, number: int) -> None:
        """A conversation was deleted: where it is the one on screen, begin anew."""
        if self.talk is not None and self.talk.number == number:
            await self.run_action("new")

    # -- this conversation

    def show_branches(self, _: str) -> None:
        """Show the tree of branches."""
        self.run_worker(self.choose_branch())

    async def give_title(self, title: str) -> None:
        """Give the conversation a title, or say which one it has."""
        talk = self.talk
        if talk is None or not len(talk.tree):
            self.refuse("Say something first: a conversation is named once it has begun.")
        elif not title:
            self.notice.say(f"Title: {talk.title or 'the first words'}", keys="/title WORDS gives another one")
        else:
            talk.rename(title)
            self.notice.say(f"Title: {talk.title}", keys="Esc closes this")

    async def give_tags(self, tags: str) -> None:
        """Give the conversation tags in place of those it has; "none" takes them away."""
        number = self.talk.number if self.talk is not None else None
        if number is None:
            self.refuse("This conversation is not in the history, so it has no tags.")
            return
        history = await self.open_history()
        words = [] if tags == "none" else tags.replace(",", " ").split()
        try:
            if tags:
                await asyncio.wrap_future(history.set_tags(number, words))
            about = await asyncio.to_thread(history.summary, number)
        except GemmaError as error:
            self.refuse(str(error))
        else:
            said = " ".join(f"#{tag}" for tag in about.tags) or "no tags"
            self.notice.say(f"Tags: {said}", keys="/tags WORDS gives others, /tags none takes them away")

    def action_keep(self) -> None:
        """Keep this conversation, or write nothing more of it."""
        if self.talk is not None:
            self.keep("off" if self.talk.kept else "on")

    def keep(self, which: str) -> None:
        """Keep this conversation or not, or say whether it is kept."""
        talk = self.talk
        if talk is None:
            self.refuse("Wait until the engine or the endpoint was chosen.")
            return
        try:
            if which:
                talk.keep(which == "on")
        except GemmaError as error:
            self.refuse(str(error))
            return
        if talk.kept:
            self.notice.say("This conversation is kept in the history.", keys="Alt+K stops that")
        else:
            before = " What was written before stays there." if talk.number is not None else ""
            self.notice.say(f"Nothing of this conversation is written from now on.{before}", keys="Alt+K keeps it")
        self.changed()

    async def export(self, name: str) -> None:
        """Write the conversation to a file, kept or not."""
        from gemma_tui.exporting import write_conversation

        talk = self.talk
        if not name or talk is None or not len(talk.tree):
            self.refuse("Name a file behind /export once something was said: .md, .html or .jsonl.")
            return
        history = await self.open_history()
        stored: Stored = talk.stored()
        try:
            said = await asyncio.to_thread(write_conversation, history, stored, name)
        except GemmaError as error:
            self.refuse(str(error))
        else:
            self.notice.say(said, keys="Esc closes this")
