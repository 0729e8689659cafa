"""The conversation as blocks: turns that grow at their end, cleaned where text comes in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gemma_backend.text.clean import StreamCleaner, clean
from gemma_tui.tui.transcript.block import Block
from gemma_tui.tui.transcript.folding import Folded, Thought
from gemma_tui.tui.transcript.furniture import Attachment, NoticeKind, attachment_block, head_blocks, notice_block
from gemma_tui.tui.transcript.splitter import Splitter
from gemma_tui.tui.transcript.verbatim import VerbatimSplitter

TurnRole = Literal["user", "assistant", "system", "completion", "notice"]


class TurnRecord:
    """One turn on screen: its text so far, and the blocks that it is drawn as.

    `body` are the blocks of the text, `head` and `foot` what is drawn around it; `height` is the rows of all that is
    drawn as far as they are known. A text that was given whole is cut into blocks when it is first looked at.
    """

    def __init__(self, number: int, role: TurnRole) -> None:
        self.number = number
        self.role = role
        self.head: list[Block] = []
        self.body: list[Block] = []
        self.foot: list[Block] = []
        self.height = 0
        self.unmeasured: list[Block] = []
        self.finished = False
        self.thought: Thought | None = None
        self._folded: Folded | None = None
        self._whole: str | None = None
        self._settled = 0
        self._cleaner = StreamCleaner()
        self._splitter = self._new_splitter()

    def _new_splitter(self) -> Splitter | VerbatimSplitter:
        if self.role == "assistant":
            return Splitter()
        return VerbatimSplitter("prompt" if self.role == "completion" else "text")

    @property
    def text(self) -> str:
        """The turn's text, cleaned, exactly as it came."""
        if self._whole is not None:
            return self._whole
        return "".join([block.source for block in self._splitter.blocks]) + self._splitter.rest()

    @property
    def references(self) -> dict[str, str]:
        """Link definitions met so far."""
        return self._splitter.references

    @property
    def uncut(self) -> str | None:
        """The text, if it was not cut into blocks yet."""
        return self._whole

    @property
    def shown(self) -> list[Block]:
        """The blocks of the text that are drawn: all, or those of a folded turn."""
        return self.body if self._folded is None else self._folded.blocks

    @property
    def text_end(self) -> int:
        """The index in drawing order of the first block after the text."""
        return len(self.head) + len(self.shown)

    def __len__(self) -> int:
        return self.text_end + len(self.foot)

    def at(self, index: int) -> Block:
        """The block at an index in drawing order."""
        if index < len(self.head):
            return self.head[index]
        index -= len(self.head)
        shown = self.shown
        return shown[index] if index < len(shown) else self.foot[index - len(shown)]

    # -- folding

    @property
    def folded(self) -> bool:
        """Whether only the beginning of the text is drawn."""
        return self._folded is not None

    @property
    def hidden(self) -> str:
        """The end of the text that is not drawn."""
        return self._folded.hidden if self._folded is not None else ""

    @property
    def foldable(self) -> bool:
        """Whether there is enough text to fold."""
        self.cut()
        return Folded(self.body).worth_it

    def fold(self, folded: bool) -> bool:
        """Draw only the beginning, or all again; whether that changed anything, as it does not for short turns."""
        self.cut()
        made = Folded(self.body) if folded else None
        if (made is not None and not made.worth_it) or folded == self.folded:
            return False
        self._folded = made
        self.remeasure()
        return True

    def whole_block(self, block: Block) -> Block:
        """The block of the body that `block` is, or is the beginning of."""
        cut = self._folded.cut if self._folded is not None else None
        return cut if cut is not None and block is not cut and block not in self.body else block

    def think(self, text: str) -> None:
        """Take reasoning as it comes; it is drawn before the text."""
        if self.thought is None:
            self.thought = Thought()
        self.thought.feed(text)
        self._place_thought()

    def open_thought(self, open: bool) -> bool:
        """Draw the text of the reasoning, or only a row that says that there is one; whether that changed anything."""
        if self.thought is None or self.thought.open == open:
            return False
        self.thought.open = open
        self.thought.update()
        self._place_thought()
        return True

    def _place_thought(self) -> None:
        assert self.thought is not None
        before = [block for block in self.head if block.kind in ("label", "attachment")]
        self.head = [*before, *self.thought.blocks]
        if self.uncut is None:
            self.remeasure()
        else:
            self.height = 0

    def remeasure(self) -> None:
        """Count rows anew, after other blocks are drawn than before."""
        self.height, self.unmeasured = 0, []
        for index in range(len(self)):
            block = self.at(index)
            if block.lines is None:
                self.unmeasured.append(block)
            else:
                block.height = len(block.lines)
                self.height += block.height

    def load(self, text: str, reasoning: str = "") -> None:
        """Take a whole text that is at its end, and the reasoning before it."""
        self._whole = clean(text)
        self.finished = True
        if reasoning:
            self.thought = Thought()
            self.thought.load(reasoning)
            self._place_thought()

    def cut(self) -> None:
        """Cut a text that was given whole into blocks."""
        if self._whole is not None:
            text, self._whole = self._whole, None
            self.height = 0
            self.unmeasured = [*self.head, *self.foot]
            self._splitter.feed(text)
            self._splitter.finish()
            self._update([])

    def feed(self, text: str, *, generated: bool = False) -> None:
        """Take text as it comes; in a completion, `generated` says that it is not the prompt's."""
        self.cut()
        if text and self.thought is not None and not self.body:
            # The answer is what counts from here on.
            self.open_thought(False)
        if generated and isinstance(self._splitter, VerbatimSplitter):
            self._splitter.mark()
        text = self._cleaner.feed(text)
        if text:
            self._splitter.feed(text)
            self._update(self._splitter.tail())

    def finish(self, text: str | None = None) -> None:
        """End the turn: cut its whole text (or `text`) once more; blocks that come out the same are kept."""
        self.feed("")
        if held := self._cleaner.finish():
            self._splitter.feed(held)
        text = self.text if text is None else clean(text)
        if text != self.text or isinstance(self._splitter, Splitter):
            self._splitter = self._new_splitter()
            self._splitter.feed(text)
        self._splitter.finish()
        self._settled = 0
        self.finished = True
        self._update([])

    def notice(self, text: str, kind: NoticeKind) -> None:
        """Put a quiet line under the text."""
        block = notice_block(clean(text), kind, gap=len(self) > 0)
        self.foot.append(block)
        self.unmeasured.append(block)

    def set_note(self, note: str) -> None:
        """Put `note` after the role's name, in place of what stands there."""
        old = self.head[0]
        if old.data != (shown := clean(note, keep_newlines=False)):
            self._replace_head(0, Block("label", old.source, gap=old.gap, style=old.style, data=shown))

    def set_attachments(self, attachments: Sequence[Attachment]) -> None:
        """Draw the same attachments anew, now that more is known of how they look."""
        for index, item in enumerate(attachments, 1):
            self._replace_head(index, attachment_block(item))

    def _replace_head(self, index: int, new: Block) -> None:
        old = self.head[index]
        self.head[index] = new
        if old in self.unmeasured:
            self.unmeasured.remove(old)
        elif self.uncut is None:
            self.height -= old.height
        else:
            # A turn that was not looked at has a guess for all of it.
            self.height = 0
        self.unmeasured.append(new)

    def _update(self, tail: list[Block]) -> None:
        """Replace the open blocks by what the splitter has now; blocks that did not change keep their rows."""
        splitter, first = self._splitter, self._settled
        old = self.body[first:]
        new = [*splitter.blocks[first:], *tail]
        for index, block in enumerate(new):
            if index < len(old):
                if block.same_source(old[index]):
                    new[index] = old[index]
                    continue
                block.inherit(old[index])
            self.unmeasured.append(block)
        kept = set(map(id, new))
        self.height -= sum(block.height for block in old if id(block) not in kept)
        self.body[first:] = new
        self._settled = len(splitter.blocks)
        splitter.blocks[first:] = new[: self._settled - first]
        for index in range(max(first, 1), len(self.body)):
            if self.body[index].kind == "fence":
                self.body[index].previous = self.body[index - 1]
        if self._folded is not None:
            self._folded = Folded(self.body)
            self.remeasure()


@dataclass(frozen=True, slots=True)
class LoadedTurn:
    """A turn that is at its end; `note` follows the role's name, `notice` stands under the text."""

    role: TurnRole
    text: str
    attachments: Sequence[Attachment] = ()
    note: str = ""
    notice: str = ""
    kind: NoticeKind = "info"
    reasoning: str = ""


class Document:
    """Turns in order."""

    def __init__(self) -> None:
        self.turns: list[TurnRecord] = []
        self._next = 0

    def add(
        self, role: TurnRole, *, title: str = "", note: str = "", attachments: Sequence[Attachment] = ()
    ) -> TurnRecord:
        """Add an empty turn at the end."""
        turn = TurnRecord(self._next, role)
        self._next += 1
        if role != "notice":
            turn.head = head_blocks(role, title, note, attachments, gap=bool(self.turns))
        turn.unmeasured.extend(turn.head)
        self.turns.append(turn)
        return turn

    def find(self, number: int) -> TurnRecord:
        """The turn with this number; KeyError if it was cleared."""
        for turn in reversed(self.turns):
            if turn.number == number:
                return turn
        raise KeyError(number)

    def cut_from(self, number: int) -> None:
        """Forget the turn with this number and all after it; KeyError if it was cleared."""
        del self.turns[self.turns.index(self.find(number)) :]

    def clear(self) -> None:
        """Forget all turns; their numbers are not used again."""
        self.turns.clear()
