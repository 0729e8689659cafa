"""A conversation as it is kept: a tree of turns, and media by their content's hash."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gemma_backend.types.turn import Part, Role, TextPart

TurnState = Literal["running", "done", "cut", "stopped", "failed"]
"""`running` is on its way, or was when its program ended; `cut` reached the limit of tokens."""
ConversationKind = Literal["chat", "completion"]


@dataclass(frozen=True, slots=True)
class MediaRef:
    """A picture or clip that lies on disk under its SHA-256; `size` in bytes, `details` the part's other fields."""

    kind: Literal["image", "audio"]
    digest: str
    name: str
    size: int
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Node:
    """One turn in the tree: `parent` is None for the first; `note` says in a sentence why a reply failed.

    `created` is in seconds since 1970.
    """

    id: int
    parent: int | None
    role: Role
    parts: tuple[Part | MediaRef, ...]
    state: TurnState = "done"
    note: str = ""
    reasoning: str = ""
    model: str = ""
    created: float = 0.0

    @property
    def text(self) -> str:
        """The turn's text parts, joined."""
        return "".join([part.text for part in self.parts if isinstance(part, TextPart)])


@dataclass(frozen=True, slots=True)
class Summary:
    """What a list shows of a conversation; `turns` counts those of all branches, times are seconds since 1970.

    `named` tells that a person gave the title, which is else the first words.
    """

    id: int
    kind: ConversationKind
    title: str
    profile: str
    model: str
    created: float
    updated: float
    pinned: bool
    turns: int
    named: bool = False
    tags: tuple[str, ...] = ()
    images: int = 0
    clips: int = 0


@dataclass(frozen=True, slots=True)
class Stored:
    """A whole conversation; `leaf` is the last turn of the branch that was shown."""

    summary: Summary
    nodes: tuple[Node, ...]
    leaf: int | None


@dataclass(frozen=True, slots=True)
class Document:
    """A completion document: `text` byte for byte, `data` whatever its editor keeps with it, as JSON values.

    `media` are the pictures and clips that its placeholders stand for. Without `id` it was not saved yet.
    """

    text: str
    data: Mapping[str, Any] = field(default_factory=dict)
    media: tuple[Part | MediaRef, ...] = ()
    title: str = ""
    profile: str = ""
    model: str = ""
    id: int | None = None


class _Numbers:
    """Numbers that grow with every call, also within a millisecond and when the clock is set back."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def next(self) -> int:
        with self._lock:
            self._last = max(first_id(time.time()) + int.from_bytes(os.urandom(3), "big") // 16, self._last + 1)
            return self._last


def new_id() -> int:
    """A number for a turn that no other program hands out, ordered by time: milliseconds, then 20 random bits."""
    return _numbers.next()


def first_id(seconds: float) -> int:
    """The smallest number that a turn made at that time can have."""
    return int(max(0.0, seconds) * 1000) << 20


_numbers = _Numbers()
