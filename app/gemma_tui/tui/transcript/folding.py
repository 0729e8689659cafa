"""What of a turn is drawn while it is folded: its first lines, a row that counts the rest, and reasoning on request."""

from __future__ import annotations

from collections.abc import Sequence

from gemma_backend.text.clean import StreamCleaner, clean
from gemma_tui.tui.transcript.block import Block, Fence
from gemma_tui.tui.transcript.verbatim import VerbatimSplitter

FOLDED_LINES = 6
"""Lines of a folded turn that stay in view."""
_LINE = 100
"""Characters of a long paragraph that are taken for one line."""


def count_lines(text: str) -> int:
    """The lines of a text, without blank ones at its ends."""
    text = text.strip("\n")
    return text.count("\n") + 1 if text else 0


class Folded:
    """The beginning of `body` and a row for the rest; `blocks` are what is drawn, `hidden` the text that is not."""

    def __init__(self, body: Sequence[Block]) -> None:
        self.blocks: list[Block] = []
        self.hidden = ""
        self.cut: Block | None = None
        """The block of the body whose beginning is the last one drawn, where it is not drawn whole."""
        left = FOLDED_LINES
        for index, block in enumerate(body):
            if left <= 0:
                self._hide(block.source, body[index + 1 :])
                return
            lines = max(count_lines(block.source), len(block.source) // _LINE)
            end = _end_of_lines(block, left) if lines > left else len(block.source)
            if end < len(block.source):
                self.cut = block
                self.blocks.append(_beginning(block, end))
                self._hide(block.source[end:], body[index + 1 :])
                return
            self.blocks.append(block)
            left -= lines

    def _hide(self, rest: str, blocks: Sequence[Block]) -> None:
        self.hidden = rest + "".join([block.source for block in blocks])
        count = count_lines(self.hidden)
        if count:
            words = f"{count:,} more line" + ("" if count == 1 else "s")
            self.blocks.append(Block("more", words, data=words))

    @property
    def worth_it(self) -> bool:
        """Whether there is anything that is not drawn."""
        return bool(self.hidden.strip())


def _end_of_lines(block: Block, lines: int) -> int:
    """Where the first `lines` lines of a block end, or about as much of a paragraph as fills them."""
    source = block.source
    start = len(source) - len(source.lstrip("\n"))
    if block.kind in ("fence", "verbatim", "indented"):
        end = start
        for _ in range(lines + (block.fence is not None and block.fence.first)):
            found = source.find("\n", end)
            if found < 0:
                break
            end = found + 1
        else:
            return end
    if block.kind not in ("paragraph", "verbatim", "quote", "item"):
        return len(source)
    space = source.rfind(" ", start, start + lines * _LINE)
    return space + 1 if space > start and len(source) - start > lines * _LINE else len(source)


def _beginning(block: Block, end: int) -> Block:
    fence = block.fence and Fence(block.fence.info, block.fence.indent, block.fence.first, last=False)
    mark = None if block.mark is None else min(block.mark, end)
    part = Block(
        block.kind, block.source[:end], gap=block.gap, number=block.number, fence=fence, style=block.style, mark=mark
    )
    part.previous = block.previous
    return part


class Thought:
    """A turn's reasoning: a row that says how much there is, and its text below where that is open."""

    def __init__(self) -> None:
        self.text = ""
        self.open = True
        self.blocks: list[Block] = []
        self._cleaner = StreamCleaner()
        self._splitter = VerbatimSplitter("reasoning")

    def load(self, text: str) -> None:
        """Take the whole reasoning of a turn that is at its end; it is folded."""
        self.text = clean(text).strip("\n")
        self._splitter.feed(self.text)
        self._splitter.finish()
        self.open = False
        self.update()

    def feed(self, text: str) -> None:
        """Take reasoning as it comes."""
        text = self._cleaner.feed(text)
        text = text if self.text else text.lstrip("\n")
        self.text += text
        self._splitter.feed(text)
        self.update()

    def update(self) -> None:
        """Work out the blocks; those that did not change keep their rows."""
        old = {(block.kind, block.source, block.data): block for block in self.blocks}
        count = count_lines(self.text)
        lines = f"{count:,} line" + ("" if count == 1 else "s")
        said = "\u25be Reasoning" if self.open else f"\u25b8 Reasoning \u00b7 {lines}"
        blocks = [Block("thought", said, data=said)]
        if self.open:
            blocks += [*self._splitter.blocks, *self._splitter.tail()]
        blocks.append(Block("verbatim", "\n"))
        blocks = [old.get((block.kind, block.source, block.data), block) for block in blocks]
        if len(blocks) > 2 and len(self.blocks) > 2 and blocks[-2] is not self.blocks[-2]:
            blocks[-2].inherit(self.blocks[-2])
        self.blocks = blocks
