"""Keeping what native libraries write to standard error off the screen.

libsndfile's MP3 decoder reports each damaged frame on file descriptor 2, past Python; on Linux Textual draws its
screen there.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path


def keep_native_writes_off_screen(log: Path | None = None) -> None:
    """Give Python's standard error a descriptor of its own and point descriptor 2 at `log` (else nowhere).

    To be called once before a screen is opened: what Python writes still reaches the terminal, what native code
    writes does not. Does nothing where standard error is closed.
    """
    if sys.__stderr__ is None or _python_stderr() != 2:
        return
    sys.__stderr__.flush()
    own = os.dup(2)
    target = os.open(log or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(target, 2)
    os.close(target)
    stream = os.fdopen(own, "w", buffering=1, encoding=sys.__stderr__.encoding, errors="backslashreplace")
    if sys.stderr is sys.__stderr__:
        sys.stderr = stream
    # Textual's Linux driver draws on this one; type checkers take it for a constant.
    sys.__dict__["__stderr__"] = stream


@contextlib.contextmanager
def native_stderr_closed() -> Iterator[None]:
    """Send descriptor 2 nowhere meanwhile, in a program that has no screen.

    Off the main thread nothing is done: something else may be drawing, and `keep_native_writes_off_screen` has
    already taken care of it.
    """
    if _python_stderr() != 2 or threading.current_thread() is not threading.main_thread():
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _python_stderr() -> int | None:
    try:
        return sys.__stderr__.fileno() if sys.__stderr__ is not None else None
    except (OSError, ValueError):
        return None
