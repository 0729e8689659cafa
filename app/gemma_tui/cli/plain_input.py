"""Standard input by lines, without a thread: the event loop goes on while nobody types."""

from __future__ import annotations

import asyncio
import os
import sys

PROMPT, MORE = "> ", "  "


class Lines:
    """Lines as they come; a line that ends with a backslash goes on in the next one."""

    def __init__(self) -> None:
        self.terminal = sys.stdin.isatty() and sys.stdout.isatty()
        self._file = sys.stdin.fileno()
        self._unread = b""
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._watched = False
        try:
            asyncio.get_running_loop().add_reader(self._file, self._take)
            self._watched = True
        except PermissionError:
            # A regular file is always ready, which no selector tells.
            self._feed(sys.stdin.buffer.read())
            self.end()

    async def read(self) -> str | None:
        """The next whole line, None at the end of input."""
        parts: list[str] = []
        while True:
            if self.terminal:
                sys.stdout.write(MORE if parts else PROMPT)
                sys.stdout.flush()
            line = await self._lines.get()
            if line is None:
                return "\n".join(parts) if parts else None
            if not line.endswith("\\"):
                return "\n".join([*parts, line])
            parts.append(line[:-1])

    def end(self) -> None:
        """Let `read` return None once what came was read."""
        if self._unread:
            self._lines.put_nowait(self._unread.decode("utf-8", "replace"))
            self._unread = b""
        self._lines.put_nowait(None)

    def close(self) -> None:
        """Watch the input no longer."""
        if self._watched:
            asyncio.get_running_loop().remove_reader(self._file)
            self._watched = False

    def _take(self) -> None:
        try:
            data = os.read(self._file, 1 << 16)
        except OSError:
            data = b""
        if data:
            self._feed(data)
        else:
            self.close()
            self.end()

    def _feed(self, data: bytes) -> None:
        *whole, self._unread = (self._unread + data).split(b"\n")
        for line in whole:
            self._lines.put_nowait(line.removesuffix(b"\r").decode("utf-8", "replace"))
