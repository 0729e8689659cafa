"""A conversation of the screen as a file, in the form that its name asks for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gemma_backend.store.history import History
    from gemma_backend.types import Stored, Summary


def file_name(about: Summary) -> str:
    """A name for the file that is made of the title."""
    words = re.sub(r"[^\w-]+", "-", about.title).strip("-").lower()
    return f"{words[:50].rstrip('-') or 'conversation'}.md"


def write_conversation(history: History, conversation: int | Stored, name: str) -> str:
    """Write a conversation and return a sentence about it; blocks. Raises GemmaError, also where the file is there."""
    from gemma_backend.store.exports.files import form_of, write
    from gemma_backend.types import BadInput

    target = Path(name).expanduser()
    if target.exists():
        raise BadInput(f"{target} is there already: choose another name.")
    stored = history.load(conversation) if isinstance(conversation, int) else conversation
    write(history, [stored], form_of(target), target)
    return f"Written to {target}."
