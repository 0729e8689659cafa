"""The probabilities of the document's tokens: looked at, replaced, and summed up as perplexity."""

from __future__ import annotations

from textual import on, work

from gemma_backend.chat.request import EOS
from gemma_backend.types import BadInput, Failed
from gemma_tui.tui.studio.frame import CLOSES
from gemma_tui.tui.studio.token_panel import TokenPanel
from gemma_tui.tui.studio.writing import WritingPart


class TokensPart(WritingPart):
    """What is done with single tokens."""

    def action_tokens(self) -> None:
        """Show the probabilities of the tokens, or go back to the text."""
        if self.panel.has_class("-open"):
            self.close_tokens()
        else:
            self.open_tokens(max(0, self.pad.cursor - 1))

    def open_tokens(self, offset: int) -> None:
        """Show the probabilities, beginning with the token at `offset`."""
        self.close_columns()
        self.panel.add_class("-open")
        self.pad.show(heat=True)
        number = self.studio.document.token_at(offset)
        self.panel.look_at(len(self.studio.document.tokens) - 1 if number is None else number)
        self.panel.focus()

    @on(TokenPanel.Left)
    def back_to_text(self) -> None:
        """Go back to the text."""
        self.close_tokens()

    @on(TokenPanel.Moved)
    def look(self, message: TokenPanel.Moved) -> None:
        """Point at the token that is looked at, in the text."""
        if self.studio.document.tokens:
            self.pad.show_token(message.number)

    @on(TokenPanel.Taken)
    def take_token(self, message: TokenPanel.Taken) -> None:
        """Put another token in its place, and go on from there if that is wanted."""
        if self.studio.document.growing or (message.go_on and not self.free()):
            return
        goes_on = self.studio.choose(message.number, message.text, end=EOS)
        self.pad.go(len(self.pad.text))
        self.panel.look_at(message.number)
        if message.go_on and goes_on:
            self.continue_document()

    @work(group="studio")
    async def score(self) -> None:
        """Have the text judged, or what is selected of it, and show each token's probability."""
        start, end = self.pad.selection or (0, None)
        try:
            judged = await self.studio.score(start, end)
        except BadInput as error:
            self.say(str(error), "warning")
            return
        if isinstance(judged, Failed):
            self.say(judged.message, "warning")
        elif judged is not None:
            self.surprise, self.scored = judged, self.pad.text
            part = " That is of what is selected, given what stands before it." if end is not None else ""
            self.notice.say(judged.sentence() + part, keys=CLOSES)
            self.open_tokens(start)
        self.refreshed()
