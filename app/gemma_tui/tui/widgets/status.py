"""One line that says how things stand: engine, model, speed, and how much of the context is used."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from gemma_backend.text.clean import clean
from gemma_backend.types import EngineState
from gemma_tui.tui.widgets.text_cells import fit, middle

WIDE = 96
_SPINNER = "◐◓◑◒"
# Each state has a sign and a word of its own: nothing is said by colour alone.
_SIGNS: dict[str, tuple[str, str, str]] = {
    "stopped": ("○", "stopped", "status--muted"),
    "starting": ("◐", "starting", "status--busy"),
    "ready": ("●", "ready", "status--ready"),
    "stopping": ("◌", "stopping", "status--warn"),
    "failed": ("✗", "failed", "status--failed"),
    "answering": ("▸", "answering", "status--busy"),
}


@dataclass(frozen=True, slots=True)
class Standing:
    """What the line shows; None is left out. Times in seconds, rates in tokens a second, context in tokens."""

    state: EngineState = "stopped"
    phase: str = ""
    elapsed: float | None = None
    answering: bool = False
    queued: int = 0
    model: str = ""
    mode: str = "chat"
    rate: float | None = None
    used: int | None = None
    context: int | None = None
    fetch: tuple[str, str] = ("", "")
    """How far a download is, and the same in fewer words for a narrow line."""


class StatusBar(Widget):
    """The status line; the engine on the left, the conversation on the right."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "status--plain", "status--muted", "status--ready", "status--busy", "status--failed", "status--warn",
    }  # fmt: skip

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.standing = Standing()

    def show(self, **changes: Any) -> None:
        """Change fields of the standing, text cleaned; draws only where something is different."""
        cleaned: dict[str, Any] = {
            name: clean(value, keep_newlines=False) if isinstance(value, str) else value
            for name, value in changes.items()
        }
        standing = replace(self.standing, **cleaned)
        if standing != self.standing:
            self.standing = standing
            self.refresh()

    def words(self) -> str:
        """The line as plain text, for tests and screen readers."""
        return "".join(segment.text for segment in self.render_line(0)).rstrip()

    def render_line(self, y: int) -> Strip:
        """The line, cut from its least important part where it is too long."""
        now = self.standing
        plain = self.get_component_rich_style("status--plain")
        muted = self.get_component_rich_style("status--muted")
        width = self.size.width
        sign, word, style = _SIGNS["answering" if now.answering else now.state]
        if word in ("starting", "answering"):
            sign = _SPINNER[int((now.elapsed or 0.0) * 4) % 4] if word == "starting" else sign
        right = self._right()
        room = width - cell_len(right) - 1
        left: list[tuple[str, str]] = [(f"{sign} {word}", style)]
        detail = self._detail()
        if detail:
            left.append((f" · {detail}", "status--plain"))
        used = sum(cell_len(text) for text, _ in left)
        if now.model and room - used > 12:
            left.append((f" · {middle(now.model, room - used - 3)}", "status--muted"))
        segments: list[Segment] = []
        for text, name in left:
            text = fit(text, room) if cell_len(text) > room else text
            segments.append(Segment(text, self.get_component_rich_style(name)))
            room -= cell_len(text)
        segments += [Segment(" " * max(0, room + 1), plain), Segment(right, muted)]
        return Strip(segments).adjust_cell_length(width, plain)

    def _detail(self) -> str:
        now = self.standing
        words = []
        if now.state == "starting" and now.phase:
            words.append(now.phase)
        if now.elapsed is not None and (now.answering or now.state in ("starting", "stopping")):
            words.append(f"{now.elapsed:.0f} s")
        if now.queued:
            words.append(f"{now.queued} queued")
        return " · ".join(words)

    def _right(self) -> str:
        now = self.standing
        words = list(filter(None, now.fetch[self.size.width < WIDE :][:1]))
        if now.rate is not None:
            words.append(f"{now.rate:,.1f} tok/s")
        if now.context and now.used is not None:
            words.append(f"context {now.used:,} of {now.context:,}")
        elif now.used is not None:
            words.append(f"{now.used:,} tokens")
        words.append(now.mode)
        return " · ".join(words)
