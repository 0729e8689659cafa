"""Several continuations of the document, side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual import on, work

from gemma_backend.config.presets import Controls
from gemma_backend.session.studio import Choices
from gemma_backend.types import BadInput, Failed
from gemma_tui.tui.studio.columns import ChoiceColumns
from gemma_tui.tui.studio.tokens import TokensPart

if TYPE_CHECKING:
    from gemma_tui.tui.conversation import Conversation
    from gemma_tui.tui.widgets.notice import Notice


class BranchingPart(TokensPart):
    """What is done with alternatives."""

    def __init__(
        self,
        conversation: Conversation,
        notice: Notice,
        changed: Callable[[], None],
        controls: Controls | None = None,
        preset: str = "",
    ) -> None:
        super().__init__(conversation, notice, changed, controls, preset)
        self._over = asyncio.Event()

    def action_alternatives(self) -> None:
        """Write several continuations side by side; where there are some of this text, show them again."""
        if self.columns.has_class("-open"):
            self.close_columns()
            return
        if self.studio.choices is not None and self.studio.still_fits():
            self.open_columns()
        elif self.free():
            self.begin_branch()

    def begin_branch(self) -> None:
        """Ask for new alternatives."""
        try:
            choices = self.studio.begin_choices()
        except BadInput as error:
            self.say(str(error), "warning")
            return
        self.open_columns()
        self.branch(choices)

    def open_columns(self) -> None:
        """Make room for the alternatives."""
        self.close_tokens()
        self.add_class("-choosing")
        self.columns.add_class("-open")
        choices = self.studio.choices
        self.columns.show(choices, choices.taken or 0 if choices else 0)
        self.columns.focus()
        self.pad.go(len(self.pad.text))

    @work(group="studio")
    async def branch(self, choices: Choices) -> None:
        """Write the alternatives."""
        self._over.clear()
        try:
            last = await self.studio.branch(choices, self.columns.grown)
        finally:
            self._over.set()
        if isinstance(last, Failed):
            self.say(last.message, "error")
        self.refreshed()

    @on(ChoiceColumns.Taken)
    async def take_choice(self, message: ChoiceColumns.Taken) -> None:
        """Put the chosen continuation into the document; what of it is still to come is given up."""
        if self.conversation.answering:
            await self.conversation.cancel()
            await self._over.wait()
        if not self.studio.take(message.index):
            self.say("The text was changed since: ask for other alternatives.", "warning")
        self.close_columns()
        self.pad.go(len(self.pad.text))
        self.end = ""
        self.refreshed()

    @on(ChoiceColumns.Again)
    def others(self) -> None:
        """Write other alternatives."""
        if self.free():
            self.studio.back_to_base()
            self.begin_branch()

    @on(ChoiceColumns.Left)
    async def take_none(self) -> None:
        """Stop them; when they are all there, put them away."""
        if not await self.conversation.cancel():
            self.close_columns()
