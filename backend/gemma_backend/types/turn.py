"""What is said in a conversation: turns made of text, pictures and sound."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class TextPart:
    """A piece of text, as it was typed or generated."""

    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """A picture ready to send: `data` is an encoded image of type `mime`, width and height in pixels.

    `name` is the file's name as the person knows it; `digest` is the SHA-256 of `data`; `note` says what was changed.
    `soft_tokens` is the budget that a person chose for it, which the server is asked to use; None is the server's own.
    """

    data: bytes = field(repr=False)
    mime: str
    name: str
    width: int
    height: int
    digest: str
    note: str = ""
    soft_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class AudioPart:
    """A clip ready to send: `data` is a 16 kHz mono file of `format` (`wav`), `seconds` long.

    `name`, `digest` and `note` are as for a picture; `peaks` are loudness values from 0 to 1 for drawing a waveform.
    `start` is where it begins in the file that it was taken from, and `whole` that file's length, in seconds.
    """

    data: bytes = field(repr=False)
    format: str
    name: str
    seconds: float
    digest: str
    note: str = ""
    peaks: tuple[float, ...] = field(default=(), repr=False)
    start: float = 0.0
    whole: float = 0.0


Part = TextPart | ImagePart | AudioPart


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation; `complete` is false for a reply that was cut off or cancelled."""

    role: Role
    parts: tuple[Part, ...]
    complete: bool = True

    @property
    def text(self) -> str:
        """The turn's text parts, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))
