"""What an import finds: conversations in our form, and a note of what could not be taken."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from gemma_backend.types import Node, Part, Role, TextPart, first_id, new_id


@dataclass(frozen=True, slots=True)
class Found:
    """A conversation as it was found; `origin` names it for good, so that it is not taken twice. Times since 1970."""

    title: str
    origin: str
    nodes: tuple[Node, ...]
    leaf: int | None
    created: float
    updated: float
    model: str = ""
    notes: tuple[str, ...] = field(default=())


def turn_id(seconds: float) -> int:
    """A number for a turn of that time."""
    return first_id(seconds) | new_id() & ((1 << 20) - 1)


def row_of_turns(said: Sequence[tuple[Role, Sequence[Part]]], created: float, model: str = "") -> tuple[Node, ...]:
    """Turns one after the other, a millisecond apart from `created` on; those with nothing in them are left out."""
    nodes: list[Node] = []
    for role, parts in said:
        if not parts:
            continue
        when = created + len(nodes) / 1000
        parent = nodes[-1].id if nodes else None
        by = model if role == "assistant" else ""
        nodes.append(Node(turn_id(when), parent, role, tuple(parts), model=by, created=when))
    return tuple(nodes)


def content_origin(source: str, said: Sequence[tuple[Role, Sequence[Part]]]) -> str:
    """A name made of what was said, for sources that have no lasting names of their own."""
    digest = hashlib.sha256()
    for role, parts in said:
        digest.update(role.encode())
        for part in parts:
            digest.update(part.text.encode("utf-8", "replace") if isinstance(part, TextPart) else part.digest.encode())
            digest.update(b"\0")
    return f"{source}:{digest.hexdigest()[:32]}"
