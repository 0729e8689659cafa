"""`gemma-tui history export`: conversations as Markdown, HTML or JSON Lines, to a file or standard output."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gemma_backend.store.history import History
    from gemma_backend.types import MediaRef, Node, Part, Stored

_SUFFIXES = {".md": "markdown", ".markdown": "markdown", ".html": "html", ".htm": "html", ".jsonl": "jsonl"}


def write_out(history: History, args: argparse.Namespace) -> int:
    """Write the conversations; raises UsageError, BadInput or StoreError, and then leaves an old file as it is."""
    from gemma_backend.store.query import Query
    from gemma_backend.types import BadInput, UsageError

    if bool(args.numbers) == args.all:
        raise UsageError("Name the conversations to export (see `gemma-tui history list`), or say --all.")
    target = Path(args.output) if args.output else None
    form = args.format or (_SUFFIXES.get(target.suffix.lower()) if target else None) or "markdown"
    if target is not None and target.exists() and not args.force:
        raise UsageError(f"{target} is there already: name another file, or say --force.")
    if target is not None and not target.parent.is_dir():
        raise BadInput(f"There is no folder {target.parent}: make it, or choose another.")
    numbers = args.numbers or [hit.summary.id for hit in history.search(Query(), limit=1 << 40)]
    text = exported(history, [history.load(number) for number in numbers], form, target, branches=args.branches)
    if form == "jsonl" and not text:
        raise BadInput("There is no whole reply in what was chosen, so there is nothing to learn from.")
    data = text.encode("utf-8", "replace")
    if target is None:
        from gemma_backend.text.clean import clean

        sys.stdout.buffer.write(clean(text).encode("utf-8", "replace") if sys.stdout.isatty() else data)
        return 0
    save(target, data)
    print(f"{len(numbers)} conversation{'s' if len(numbers) != 1 else ''} written to {target}", file=sys.stderr)
    return 0


def save(target: Path, data: bytes) -> None:
    """Write a file whole or not at all; raises BadInput where that cannot be."""
    from gemma_backend.types import BadInput

    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        fresh.write_bytes(data)
        fresh.replace(target)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise BadInput(f"{target} cannot be written ({error.strerror}): choose another place.") from None


def exported(
    history: History, conversations: Sequence[Stored], form: str, target: Path | None, *, branches: bool = False
) -> str:
    """The conversations in one form; for Markdown in a file the media go into a folder beside `target`."""
    from gemma_backend.store.exports.branches import every_branch, shown_branch
    from gemma_backend.store.faults import StoreError

    chosen: list[tuple[Stored, list[Node]]] = [
        (stored, turns)
        for stored in conversations
        for turns in (every_branch(stored) if branches else [shown_branch(stored)])
    ]
    if form == "jsonl":
        from gemma_backend.store.exports.lines import to_line

        lines = (to_line(turns, history.part) for stored, turns in chosen if stored.summary.kind == "chat")
        return "".join(line for line in lines if line)

    def load(part: Part | MediaRef) -> Part | None:
        try:
            return history.part(part)
        except StoreError:
            return None

    if form == "html":
        from gemma_backend.store.exports.page import to_page

        return to_page([(stored.summary, turns) for stored, turns in chosen], load)
    from gemma_backend.store.exports.markdown import to_markdown
    from gemma_backend.types import AudioPart, BadInput, ImagePart

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


def as_object(stored: Stored) -> dict[str, object]:
    """A conversation with every branch as JSON values."""
    from dataclasses import asdict

    from gemma_backend.types import MediaRef

    return {
        **asdict(stored.summary),
        "leaf": stored.leaf,
        "nodes": [
            {
                "id": node.id, "parent": node.parent, "role": node.role, "text": node.text, "state": node.state,
                "note": node.note, "reasoning": node.reasoning, "model": node.model, "created": node.created,
                "media": [
                    {"kind": part.kind, "name": part.name, "bytes": part.size, "digest": part.digest}
                    for part in node.parts
                    if isinstance(part, MediaRef)
                ],
            }
            for node in stored.nodes
        ],
    }  # fmt: skip
