"""Reads a file that a person named: no more of it than is wanted, and without waiting for a pipe that nobody fills."""

from __future__ import annotations

import errno
import os
import select
from pathlib import Path

PIPE_SECONDS = 30.0
"""How long a pipe may be silent; what fills it, as a shell's `<(...)` does, may have to begin its work first."""
_PIECE = 1 << 16


def read_given(path: Path, most: int, *, pipe_seconds: float = PIPE_SECONDS) -> bytes:
    """The first bytes of a file, device or named pipe, at most `most` of them.

    A pipe ends with its writer, or with `pipe_seconds` of silence after something came. Raises OSError as opening and
    reading do, and with ETIMEDOUT where nothing comes at all.
    """
    if not path.is_fifo():
        with path.open("rb") as stream:
            return stream.read(most)
    # Else the open itself would wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        data = bytearray()
        while len(data) < most:
            if not select.select([descriptor], [], [], pipe_seconds)[0]:
                if data:
                    break
                raise TimeoutError(errno.ETIMEDOUT, "nothing comes through this pipe")
            piece = os.read(descriptor, min(_PIECE, most - len(data)))
            if not piece:
                break
            data += piece
        return bytes(data)
    finally:
        os.close(descriptor)
