"""`gemma-tui history export`: conversations as Markdown, HTML or JSON Lines, to a file or standard output."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gemma_backend.store.history import History
    from gemma_backend.types import Stored


def write_out(history: History, args: argparse.Namespace) -> int:
    """Write the conversations; raises UsageError, BadInput or StoreError, and then leaves an old file as it is."""
    from gemma_backend.store.exports.files import exported, form_of, write
    from gemma_backend.store.query import Query
    from gemma_backend.text.clean import clean
    from gemma_backend.types import UsageError

    if bool(args.numbers) == args.all:
        raise UsageError("Name the conversations to export (see `gemma-tui history list`), or say --all.")
    target = Path(args.output) if args.output else None
    form = args.format or form_of(target)
    if target is not None and target.exists() and not args.force:
        raise UsageError(f"{target} is there already: name another file, or say --force.")
    numbers = args.numbers or [hit.summary.id for hit in history.search(Query(), limit=1 << 40)]
    conversations = [history.load(number) for number in numbers]
    if target is not None:
        write(history, conversations, form, target, branches=args.branches)
        print(f"{len(numbers)} conversation{'s' if len(numbers) != 1 else ''} written to {target}", file=sys.stderr)
        return 0
    text = exported(history, conversations, form, None, branches=args.branches)
    sys.stdout.buffer.write((clean(text) if sys.stdout.isatty() else text).encode("utf-8", "replace"))
    return 0


def as_object(stored: Stored) -> dict[str, object]:
    """A conversation with every branch as JSON values."""
    from dataclasses import asdict

    from gemma_backend.types import MediaRef

    return {
        **asdict(stored.summary),
        "leaf": stored.leaf,
        "nodes": [
            {
                "id": node.id,
                "parent": node.parent,
                "role": node.role,
                "text": node.text,
                "state": node.state,
                "note": node.note,
                "reasoning": node.reasoning,
                "model": node.model,
                "created": node.created,
                "media": [
                    {"kind": part.kind, "name": part.name, "bytes": part.size, "digest": part.digest}
                    for part in node.parts
                    if isinstance(part, MediaRef)
                ],
            }
            for node in stored.nodes
        ],
    }
