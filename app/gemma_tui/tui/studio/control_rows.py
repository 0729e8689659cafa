"""The controls in rows: name, value, and greyed what the server does not offer."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from gemma_backend.config.presets import Controls, shown_value, words
from gemma_backend.session.studio import Studio
from gemma_backend.types import BadInput
from gemma_tui.tui.studio.cells import shown
from gemma_tui.tui.widgets.text_cells import fit

ROWS = (
    "preset", "max_tokens", "temperature", "top_p", "top_k", "min_p", "seed", "stop", "repetition_penalty",
    "presence_penalty", "frequency_penalty", "logprobs", "alternatives", "bos", "echo",
)  # fmt: skip
_NAMES = {"logprobs": "likely tokens", "stop": "stop strings"}
# Where a control that was left to the server begins, and by how much a step changes it.
_STEPS: dict[str, tuple[float, float]] = {
    "temperature": (1.0, 0.1), "top_p": (1.0, 0.05), "top_k": (40, 5), "min_p": (0.0, 0.01), "seed": (0, 1),
    "repetition_penalty": (1.0, 0.05), "presence_penalty": (0.0, 0.1), "frequency_penalty": (0.0, 0.1),
    "logprobs": (5, 1), "alternatives": (3, 1),
}  # fmt: skip
_LIMITS: dict[str, tuple[float, float]] = {
    "temperature": (0, 10), "top_p": (0.05, 1), "top_k": (0, 100_000), "min_p": (0, 1), "seed": (0, 2**63 - 1),
    "repetition_penalty": (0.05, 10), "presence_penalty": (-2, 2), "frequency_penalty": (-2, 2), "logprobs": (0, 20),
    "alternatives": (2, 16), "max_tokens": (1, 1_000_000),
}  # fmt: skip
_NAME_WIDTH = 22


class ControlRows(Widget, can_focus=True):
    """Up and down choose a control, left and right change it, Enter or a digit types its value."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"choice--text", "choice--muted", "choice--chosen", "choice--bar"}
    DEFAULT_CSS = """
    ControlRows .choice--text { color: $foreground; }
    ControlRows .choice--muted { color: $muted; }
    ControlRows .choice--chosen { color: $primary; text-style: bold; }
    ControlRows .choice--bar { color: $primary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k,shift+tab", "move(-1)", "Previous", show=False),
        Binding("down,j,tab", "move(1)", "Next", show=False),
        Binding("home", "move(-99)", "First", show=False),
        Binding("end", "move(99)", "Last", show=False),
        Binding("left,h", "nudge(-1)", "Less", show=False),
        Binding("right,l", "nudge(1)", "More", show=False),
        Binding("delete,backspace", "clear", "Leave it to the server", show=False),
        Binding("enter,space", "type", "Type a value", show=False),
    ]

    class Chosen(Message):
        """Another control is looked at."""

    @dataclass
    class Nudged(Message):
        """A step more or less is wanted."""

        step: int

    class Cleared(Message):
        """The control is to be left to the server."""

    @dataclass
    class Typed(Message):
        """The person begins to type a value, with this character."""

        first: str = ""

    def __init__(self, studio: Studio, preset: str) -> None:
        super().__init__()
        self._studio = studio
        self.preset = preset
        self.place = 0

    @property
    def chosen(self) -> str:
        """The name of the control that is looked at."""
        return ROWS[self.place]

    def action_move(self, step: int) -> None:
        """Look at another control."""
        self.place = max(0, min(self.place + step, len(ROWS) - 1))
        self.refresh()
        self.post_message(self.Chosen())

    def action_nudge(self, step: int) -> None:
        """Ask for a step."""
        self.post_message(self.Nudged(step))

    def action_clear(self) -> None:
        """Ask for the server's default."""
        self.post_message(self.Cleared())

    def action_type(self) -> None:
        """Ask for a line to type into."""
        self.post_message(self.Typed())

    def on_key(self, event: events.Key) -> None:
        if event.character is not None and event.character in '0123456789.-"\\':
            event.stop()
            self.post_message(self.Typed(event.character))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is not None and offset.y < len(ROWS):
            again, self.place = self.place == offset.y, offset.y
            self.refresh()
            self.post_message(self.Typed() if again else self.Chosen())

    def render_line(self, y: int) -> Strip:
        """A control's name and value."""
        width = self.content_size.width
        plain = self.get_component_rich_style("choice--text")
        if y >= len(ROWS):
            return Strip.blank(width, plain)
        name = ROWS[y]
        chosen, lacking = y == self.place, self._studio.lacks(name) is not None
        muted = self.get_component_rich_style("choice--muted")
        style = muted if lacking else self.get_component_rich_style("choice--chosen") if chosen else plain
        value = self.preset or "own controls"
        if name != "preset":
            given = getattr(self._studio.controls, name)
            value = shown(shown_value(given)) or ("none" if name == "stop" else "the server's default")
            if name == "max_tokens" and given is None:
                value = "512"
            if name == "logprobs" and not given:
                value = "none"
        unset = name != "preset" and not shown_value(getattr(self._studio.controls, name))
        if lacking:
            value = "not offered by this server"
        segments = [
            Segment("▌ " if chosen else "  ", self.get_component_rich_style("choice--bar")),
            Segment(fit(_NAMES.get(name) or words(name), _NAME_WIDTH), style),
            Segment(fit(value, max(1, width - _NAME_WIDTH - 2)), muted if unset or lacking else style),
        ]
        return Strip(segments).adjust_cell_length(width, plain)


def says(name: str) -> str:
    """What a control does, in a sentence."""
    return " ".join((Controls.model_fields[name].description or "").split())


def nudged(name: str, value: Any, step: int) -> Any:
    """The value a step on; what has only two values takes the other one."""
    if isinstance(value, bool):
        return not value
    if name == "stop":
        return value
    if name == "max_tokens":
        now = value or 512
        return int(max(1, min(1_000_000, now * 2 if step > 0 else now // 2)))
    start, size = _STEPS[name]
    least, most = _LIMITS[name]
    following = max(least, min(most, (start if value is None else value) + (step * size if value is not None else 0)))
    if value is None and following == start:
        following = max(least, min(most, start + step * size))
    return round(following, 4) if isinstance(size, float) else int(following)


def parsed(name: str, text: str) -> Any:
    """The value that a person typed; nothing leaves it to the server. Raises BadInput with what it can be."""
    text = text if name == "stop" else text.strip()
    if name == "stop":
        return stop_strings(text)
    if not text:
        return Controls.model_fields[name].get_default()
    try:
        number = float(text)
    except ValueError:
        raise BadInput(f"{words(name)} is a number: {text!r} is none.") from None
    return int(number) if number.is_integer() else number


def stop_strings(text: str) -> tuple[str, ...]:
    """Stop strings as a person types them: in quotes with blanks between them, or a single one as it is.

    `\\n`, `\\t` and the like mean what they mean in JSON. Raises BadInput for quotes that do not close.
    """
    if not text.lstrip().startswith('"'):
        return (_unescaped(text),) if text.strip() else ()
    found = []
    rest = text.strip()
    decoder = json.JSONDecoder(strict=False)
    while rest:
        try:
            value, end = decoder.raw_decode(rest)
        except ValueError:
            raise BadInput('Stop strings stand in quotes, as in "\\n" "User:": one of them does not close.') from None
        if not isinstance(value, str) or not value:
            raise BadInput('Stop strings stand in quotes, as in "\\n" "User:".')
        found.append(value)
        rest = rest[end:].lstrip(" ,")
    return tuple(found)


def _unescaped(text: str) -> str:
    escapes = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
    return re.sub(r"\\([ntr\\])", lambda found: escapes[found[1]], text)
