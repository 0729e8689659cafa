"""Reading a log file while another process writes and rotates it."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from pathlib import Path

# A progress bar without line ends could grow for long; it is handed on in pieces of this size.
LONGEST = 1 << 16
CHUNK = 1 << 18


class Tail:
    """Whole lines as they appear, also over a rotation; what is not UTF-8 is replaced.

    Of a log that is longer than `last` bytes at the beginning, its end alone is read, from the first whole line on.
    """

    def __init__(self, path: Path, last: int | None = None) -> None:
        self._path = path
        self._last = last
        self._file: int | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def lines(self) -> Iterator[str]:
        """Lines that were completed since the last call."""
        while True:
            if self._file is None and not self._open():
                return
            assert self._file is not None
            try:
                data = os.read(self._file, CHUNK)
            except OSError:
                # A disk that fails keeps nobody from the engine itself, which tells of its state by other ways too.
                return
            if data:
                yield from self._split(self._decoder.decode(data))
            elif not self._rotated():
                return

    def close(self) -> None:
        """Close the file; an unfinished line is dropped."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open(self) -> bool:
        try:
            self._file = os.open(self._path, os.O_RDONLY)
        except OSError:
            return False
        last, self._last = self._last, None
        if last is not None and (size := os.fstat(self._file).st_size) > last:
            os.lseek(self._file, size - last, os.SEEK_SET)
            while (piece := os.read(self._file, 1)) and piece != b"\n":
                continue
        return True

    def _rotated(self) -> bool:
        assert self._file is not None
        try:
            now = self._path.stat()
        except OSError:
            return False
        if now.st_ino == os.fstat(self._file).st_ino:
            return False
        self.close()
        return True

    def _split(self, text: str) -> Iterator[str]:
        rows = (self._rest + text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._rest = rows.pop()
        while len(self._rest) > LONGEST:
            rows.append(self._rest[:LONGEST])
            self._rest = self._rest[LONGEST:]
        yield from rows
