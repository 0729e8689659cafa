"""What can go wrong with the history, in sentences."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

from gemma_backend.types.errors import GemmaError


class StoreError(GemmaError):
    """The history cannot be read or written."""

    exit_code = 5


class NotKept(StoreError):
    """What was asked for is not in the history, or not any more."""


def explained(error: Exception, path: Path) -> StoreError:
    """The sentence for what SQLite or the disk said about the history at `path`."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, GemmaError):
        return StoreError(str(error))
    said = str(error)
    if isinstance(error, sqlite3.IntegrityError):
        return NotKept("The conversation is not in the history any more: another window deleted it.")
    if "full" in said or (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)):
        return StoreError(f"The disk with the history ({path.parent}) is full: free some space.")
    if "locked" in said or "busy" in said:
        return StoreError(f"Another program holds the history ({path}) locked: close it and try again.")
    if "readonly" in said or isinstance(error, PermissionError):
        return StoreError(f"The history ({path}) may not be written: see to the permissions of its folder.")
    if "fts5" in said:
        return StoreError("This Python's SQLite has no FTS5, which the history needs: use another Python.")
    if isinstance(error, sqlite3.DatabaseError) and ("malformed" in said or "not a database" in said):
        return StoreError(f"The history ({path}) is damaged: move it away, and a new one is begun.")
    return StoreError(f"The history ({path}) cannot be used ({said}): see to its folder.")


def storable(text: str) -> str:
    """Text as SQLite takes it: half of a surrogate pair, which is no character, becomes a replacement character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return text
