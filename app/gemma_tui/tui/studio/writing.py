"""Going on with the document: continue, keep, drop."""

from __future__ import annotations

from textual import work

from gemma_backend.types import BadInput
from gemma_tui.tui.studio.frame import CLOSES, StudioFrame
from gemma_tui.tui.studio.motions import word_after


class WritingPart(StudioFrame):
    """What is done with the document itself."""

    def ask(self) -> None:
        """Continue the document, unless something else is being answered."""
        if self.free():
            self.close_columns()
            self.continue_document()

    @work(group="studio")
    async def continue_document(self) -> None:
        """Let the model go on at the end of the document."""
        pad = self.pad
        if pad.selection is None and not self.panel.has_class("-open"):
            pad.go(len(pad.text))
        if self.studio.bos_twice():
            self.notice.say(
                "The text begins with <bos>, and the server adds another one.",
                "warning",
                keys=f"Alt+C switches the server's off · {CLOSES}",
            )
        self.surprise = None
        try:
            last = await self.studio.go_on()
        except BadInput as error:
            self.say(str(error), "warning")
            return
        self.ended(last)

    def action_keep(self) -> None:
        """Keep what was generated last; with the cursor in it, up to there."""
        self.end = ""
        if not self.studio.document.accept(self.pad.cursor):
            self.say("Nothing waits to be kept or dropped.")
        self.refreshed()

    def action_drop(self) -> None:
        """Drop what was generated last; with the cursor in it, from there on."""
        self.end = ""
        if not self.studio.document.reject(self.pad.cursor):
            self.say("Nothing waits to be kept or dropped.")
        self.pad.go(self.pad.cursor)
        self.refreshed()

    def action_keep_word(self) -> None:
        """Keep one word more of what was generated, leaving the rest as it is."""
        document = self.studio.document
        span = document.offered
        if span is not None:
            document.accept_part(min(span.end, word_after(document.text, span.start)))
        self.refreshed()

    def action_from_here(self) -> None:
        """Drop what follows the cursor, and continue there."""
        if self.free():
            self.studio.document.cut(self.pad.cursor)
            self.continue_document()
