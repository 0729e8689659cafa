"""The engine's output on disk; standard library only, because the keeper imports it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


class Log:
    """A log readable by its owner only, at most two files of `limit` bytes."""

    def __init__(self, path: str, limit: int) -> None:
        self._path = path
        self._limit = limit
        self._file = self._open()

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)

    def write(self, data: bytes) -> None:
        """Append; a full disk loses lines but never stops the engine."""
        with contextlib.suppress(OSError):
            if os.fstat(self._file).st_size + len(data) > self._limit:
                Path(self._path).replace(self._path + ".1")
                os.close(self._file)
                self._file = self._open()
            os.write(self._file, data)
