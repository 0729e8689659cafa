"""Conversations into a file, whole or not at all, in the form that the file's name asks for."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gemma_backend.store.exports.branches import every_branch, shown_branch
from gemma_backend.store.faults import StoreError
from gemma_backend.types import AudioPart, BadInput, ImagePart, MediaRef, Node, Part, Stored

if TYPE_CHECKING:
    from gemma_backend.store.history import History

Form = Literal["markdown", "html", "jsonl"]

_SUFFIXES: dict[str, Form] = {
    ".md": "markdown", ".markdown": "markdown", ".html": "html", ".htm": "html", ".jsonl": "jsonl",
}  # fmt: skip


def form_of(target: Path | None) -> Form:
    """The form that a file's name asks for; Markdown where it asks for none."""
    return _SUFFIXES.get(target.suffix.lower(), "markdown") if target is not None else "markdown"


def write(
    history: History, conversations: Sequence[Stored], form: Form, target: Path, *, branches: bool = False
) -> None:
    """Write conversations to `target`; raises BadInput or StoreError, and then leaves an old file as it is."""
    if not target.parent.is_dir():
        raise BadInput(f"There is no folder {target.parent}: make it, or choose another.")
    save(target, exported(history, conversations, form, target, branches=branches).encode("utf-8", "replace"))


def exported(
    history: History, conversations: Sequence[Stored], form: Form, target: Path | None, *, branches: bool = False
) -> str:
    """The conversations in one form; for Markdown in a file the media go into a folder beside `target`.

    Raises BadInput where nothing is in them that the form can hold.
    """
    chosen = [
        (stored, turns)
        for stored in conversations
        for turns in (every_branch(stored) if branches else [shown_branch(stored)])
    ]
    if form == "jsonl":
        return _lines(history, chosen)

    def load(part: Part | MediaRef) -> Part | None:
        try:
            return history.part(part)
        except StoreError:
            return None

    if form == "html":
        from gemma_backend.store.exports.page import to_page

        return to_page([(stored.summary, turns) for stored, turns in chosen], load)
    from gemma_backend.store.exports.markdown import to_markdown

    def place(ref: MediaRef) -> str | None:
        part = load(ref) if target is not None else None
        if target is None or not isinstance(part, ImagePart | AudioPart):
            return None
        folder = target.with_name(f"{target.stem}-media")
        name = f"{ref.digest[:8]}-{re.sub(r'[^A-Za-z0-9._-]+', '-', ref.name).strip('-.') or ref.kind}"
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise BadInput(f"{folder} cannot be made ({error.strerror}): choose another place.") from None
        save(folder / name, part.data)
        return f"{folder.name}/{name}"

    return "\n---\n\n".join(to_markdown(stored.summary, turns, place) for stored, turns in chosen)


def _lines(history: History, chosen: Sequence[tuple[Stored, Sequence[Node]]]) -> str:
    from gemma_backend.store.exports.lines import to_line

    lines = [to_line(turns, history.part) for stored, turns in chosen if stored.summary.kind == "chat"]
    if not any(lines):
        raise BadInput("There is no whole reply in what was chosen, so there is nothing to learn from.")
    return "".join(line for line in lines if line)


def save(target: Path, data: bytes) -> None:
    """Write a file whole or not at all; raises BadInput where that cannot be."""
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        fresh.write_bytes(data)
        fresh.replace(target)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise BadInput(f"{target} cannot be written ({error.strerror}): choose another place.") from None
