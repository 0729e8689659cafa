"""The token under the cursor: how likely it was, what could have stood there instead, and a way to take that."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from gemma_backend.chat.align import Placed
from gemma_backend.session.document import CompletionDocument
from gemma_backend.types import Candidate
from gemma_tui.tui.studio.cells import shown
from gemma_tui.tui.studio.framed import frame
from gemma_tui.tui.studio.heat import STEPS, heat_styles, level, percent
from gemma_tui.tui.widgets.text_cells import fit

_SURPRISE = 3
"""From this level of the heat map on, a token is worth jumping to."""
_ACTIONS = {
    "h": "move(-1)", "l": "move(1)", "k": "pick(-1)", "j": "pick(1)", "n": "surprise(1)", "p": "surprise(-1)",
    "space": "take(False)",
}  # fmt: skip
_NARROW = 60
"""Below this width the figures and the legend take a row each."""


class TokenPanel(Widget, can_focus=True):
    """Left and right go from token to token, up and down through its candidates, Enter takes one and goes on."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "panel--text", "panel--muted", "panel--chosen", "panel--bar", "panel--rest",
    }  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move(-1)", "Previous token", show=False),
        Binding("right", "move(1)", "Next token", show=False),
        Binding("home", "move(-1000000)", "First token", show=False),
        Binding("end", "move(1000000)", "Last token", show=False),
        Binding("up", "pick(-1)", "Likelier candidate", show=False),
        Binding("down", "pick(1)", "Less likely candidate", show=False),
        Binding("enter", "take(True)", "Take it and go on from there", show=False),
        Binding("escape", "leave", "Back to the text", show=False),
    ]

    @dataclass
    class Moved(Message):
        """Another token is looked at."""

        number: int

    @dataclass
    class Taken(Message):
        """A candidate is to stand in place of the token of that number; with `go_on` the model writes on from there."""

        number: int
        text: str
        go_on: bool

    class Left(Message):
        """The person goes back to the text."""

    def __init__(self, document: CompletionDocument, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._document = document
        self.number = 0
        self.place = 0

    @property
    def tokens(self) -> Sequence[Placed]:
        """The tokens that can be looked at."""
        return self._document.tokens

    @property
    def candidates(self) -> Sequence[Candidate]:
        """What could stand in place of this token."""
        return self.tokens[self.number].token.candidates if self.number < len(self.tokens) else ()

    def look_at(self, number: int) -> None:
        """Look at a token, the last one where there are not so many."""
        self.number = max(0, min(number, len(self.tokens) - 1))
        own = self.tokens[self.number].token.text if self.tokens else ""
        self.place = next((place for place, one in enumerate(self.candidates) if one.text == own), 0)
        self.renew()
        self.post_message(self.Moved(self.number))

    def renew(self) -> None:
        """The tokens have changed: draw what is there now."""
        count = len(self.tokens)
        self.number = max(0, min(self.number, count - 1))
        keys = "←→ token · ↑↓ choose · Enter goes on · n surprise · Esc"
        keys = keys if self.size.width > _NARROW else "←→ · ↑↓ · Enter goes on · n · Esc"
        frame(self, f"token {self.number + 1:,} of {count:,}" if count else "tokens", keys if count else "Esc")
        self.refresh()

    def words(self) -> str:
        """The panel as plain text."""
        rows = [self.render_line(y) for y in range(self.content_size.height)]
        return "\n".join("".join(segment.text for segment in row).rstrip() for row in rows)

    def action_move(self, step: int) -> None:
        """Go so many tokens on."""
        self.look_at(max(0, self.number + step))

    def action_surprise(self, step: int) -> None:
        """Go to the next token that the model did not expect."""
        number = self.number + step
        while 0 <= number < len(self.tokens):
            if level(self.tokens[number].token.logprob) >= _SURPRISE:
                self.look_at(number)
                return
            number += step

    def action_pick(self, step: int) -> None:
        """Point at another candidate."""
        self.place = max(0, min(self.place + step, len(self.candidates) - 1))
        self.refresh()

    def action_take(self, go_on: bool) -> None:
        """Take the candidate that is pointed at."""
        if self.place < len(self.candidates) and self.candidates[self.place].text:
            self.post_message(self.Taken(self.number, self.candidates[self.place].text, go_on))

    def action_leave(self) -> None:
        """Go back to the text."""
        self.post_message(self.Left())

    async def on_key(self, event: events.Key) -> None:
        # The screen would take what is printable for the text.
        if event.character is not None and event.character in "123456789":
            event.stop()
            self.place = min(int(event.character), len(self.candidates)) - 1
            self.action_take(True)
        elif event.key in _ACTIONS:
            event.stop()
            await self.run_action(_ACTIONS[event.key])

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is not None and offset.y >= self._head_rows:
            place = offset.y - self._head_rows + self._first()
            if place < len(self.candidates):
                again, self.place = self.place == place, place
                self.refresh()
                if again:
                    self.action_take(True)

    # -- drawing

    @property
    def _head_rows(self) -> int:
        return 2 if self.content_size.width >= _NARROW else 4

    def on_resize(self) -> None:
        self.renew()

    def _first(self) -> int:
        """The first candidate that is shown."""
        room = max(1, self.content_size.height - self._head_rows)
        return max(0, min(self.place - room + 1, len(self.candidates) - room))

    def render_line(self, y: int) -> Strip:
        """The token, the legend, then a row for each candidate."""
        width = self.content_size.width
        plain = self._style("text")
        if not self.tokens:
            text = "No probabilities are known yet: continue the text, or score it (F12)." if y == 0 else ""
            return Strip([Segment(fit(text, width), self._style("muted"))])
        head = self._head(width)
        if y < len(head):
            segments = head[y]
        else:
            place = y - self._head_rows + self._first()
            segments = self._row(place, width) if place < len(self.candidates) else []
        return Strip(segments).adjust_cell_length(width, plain)

    def _head(self, width: int) -> list[list[Segment]]:
        """The token, its figures and the legend, in as many rows as the width needs."""
        token = self.tokens[self.number].token
        words = [f"logprob {token.logprob:.2f}" if token.logprob is not None else "no probability: it comes first"]
        if token.logprob is not None:
            words.append(f"{-token.logprob / math.log(2):.1f} bits")
        ranked = [one.text for one in self.candidates]
        rank = token.rank or (ranked.index(token.text) + 1 if token.text in ranked else None)
        if rank is not None:
            words.append(f"rank {rank:,}")
        figures = Segment(" · ".join(words), self._style("muted"))
        wide = self._head_rows == 2
        room = max(4, width - 10 - (len(figures.text) if wide else 0))
        first = [
            Segment(fit(quoted(token.text), room), self._style("chosen")),
            Segment(f" {percent(token.logprob):>7}  ", self._style("text")),
        ]
        return [[*first, figures], self._legend(wide)] if wide else [first, [figures], self._legend(wide), []]

    def _legend(self, wide: bool) -> list[Segment]:
        muted = self._style("muted")
        styles = heat_styles(self.app.theme_variables)
        segments = [Segment("expected ", muted)] if wide else []
        for number, style in enumerate(styles):
            edge = f">{STEPS[number]:.0%}" if number < len(STEPS) else f"<{STEPS[-1]:.0%}"
            segments += [Segment(f" {edge} " if wide else f"{edge} ", self._style("text") + style)]
            segments += [Segment(" ", muted)] if wide else []
        return [*segments, Segment("surprise", muted)] if wide else segments

    def _row(self, place: int, width: int) -> list[Segment]:
        candidate = self.candidates[place]
        chosen = place == self.place
        own = candidate.text == self.tokens[self.number].token.text
        style = self._style("chosen" if chosen else "text" if own else "muted")
        name = max(8, min(24, width - 26))
        length = max(0, width - name - 16)
        filled = round(math.exp(candidate.logprob) * length)
        mark = "▸" if chosen else "•" if own else " "
        return [
            Segment(f"{mark} {place + 1:>2} ", style),
            Segment(fit(quoted(candidate.text) or '"" part of a character', name), style),
            Segment(f" {percent(candidate.logprob):>7}  ", style),
            Segment("━" * filled, self._style("bar")),
            Segment("─" * (length - filled), self._style("rest")),
        ]

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"panel--{name}")


def quoted(text: str) -> str:
    """A token as JSON spells it, so that its spaces and newlines are seen; empty for one without text."""
    return shown(json.dumps(text, ensure_ascii=False)) if text else ""
