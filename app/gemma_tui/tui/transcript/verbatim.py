"""Text that is shown as it is, cut into groups of lines."""

from __future__ import annotations

from gemma_tui.tui.transcript.block import Block
from gemma_tui.tui.transcript.splitter import LONGEST_BLOCK

_VERBATIM_LINES = 40


class VerbatimSplitter:
    """Cuts text that is shown as it is into groups of lines; `mark()` says that what follows was generated."""

    def __init__(self, style: str) -> None:
        self.blocks: list[Block] = []
        self.references: dict[str, str] = {}
        self._style = style
        self._lines: list[str] = []
        self._size = 0
        self._partial = ""
        self._length = 0
        self._done = 0
        self._mark: int | None = None

    def mark(self) -> None:
        """Text fed from now on is generated text; only the first call counts."""
        if self._mark is None:
            self._mark = self._length

    def feed(self, text: str) -> None:
        """Take more text; finished groups of lines are added to `blocks`."""
        self._length += len(text)
        self._partial += text
        while True:
            end = self._partial.find("\n", 0, LONGEST_BLOCK) + 1
            if not end:
                if len(self._partial) < LONGEST_BLOCK:
                    return
                end = LONGEST_BLOCK
            self._lines.append(self._partial[:end])
            self._partial = self._partial[end:]
            self._size += end
            if len(self._lines) >= _VERBATIM_LINES or self._size >= LONGEST_BLOCK:
                self._close()

    def _close(self) -> None:
        self.blocks.append(self._block("".join(self._lines)))
        self._done += self._size
        self._lines = []
        self._size = 0

    def _block(self, source: str) -> Block:
        mark = None if self._mark is None else max(0, self._mark - self._done)
        return Block("verbatim", source, style=self._style, mark=mark)

    def tail(self) -> list[Block]:
        """The block of what is open, if there is any."""
        source = "".join(self._lines) + self._partial
        return [self._block(source)] if source else []

    def rest(self) -> str:
        """The text that no block in `blocks` holds."""
        return "".join(self._lines) + self._partial

    def finish(self) -> None:
        """Close what is open."""
        self._lines.append(self._partial)
        self._size += len(self._partial)
        self._partial = ""
        if self._size:
            self._close()
