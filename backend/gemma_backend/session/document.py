"""A completion document: its text, what of it was generated, each token's probabilities, and every step back."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from gemma_backend.chat.align import Placed
from gemma_backend.chat.request import AUDIO_PLACEHOLDER, IMAGE_PLACEHOLDER
from gemma_backend.session.spans import Origin, Span, Spans, accepted, offered, replaced
from gemma_backend.types import AudioPart, ImagePart, Part, TextPart

StepKind = Literal["typing", "deleting", "edit", "continue", "accept", "reject", "choose", "cut", "medium"]
STEPS_KEPT = 1000


class Change(NamedTuple):
    """`removed` characters at `start` gave way to `inserted` others; both 0 where only origins or figures changed."""

    start: int
    removed: int
    inserted: int


class Mark(NamedTuple):
    """A picture or clip whose placeholder begins at `start`."""

    start: int
    part: ImagePart | AudioPart

    @property
    def end(self) -> int:
        """Where its placeholder ends."""
        return self.start + len(placeholder(self.part))


@dataclass(slots=True)
class Step:
    """One thing that was done, and what is needed to take it back and to do it again."""

    kind: StepKind
    start: int
    removed: str
    inserted: str
    spans: tuple[Spans, Spans]
    marks: tuple[tuple[Mark, ...], tuple[Mark, ...]]
    tokens: list[Placed] = field(default_factory=list)
    """Tokens that the step put away: those of the text before it, or, once it is taken back, of the text after it."""
    open: bool = True
    """Whether typing goes on with it."""


class CompletionDocument:
    """One text that a person and a model write together; `changed` is called after each change.

    Offsets count characters. Each token's figures hold for the text in front of it, so a change drops those behind.
    """

    def __init__(self, text: str = "", spans: Spans = (), marks: Sequence[Mark] = ()) -> None:
        self.changed: Callable[[Change], None] = lambda change: None
        self._text = text
        self._spans = spans
        self._marks = tuple(marks)
        self._tokens: list[Placed] = []
        self._done: list[Step] = []
        self._undone: list[Step] = []
        self._growing: Step | None = None

    @property
    def text(self) -> str:
        """The whole text, exactly."""
        return self._text

    @property
    def spans(self) -> Spans:
        """What was generated, in order."""
        return self._spans

    @property
    def marks(self) -> tuple[Mark, ...]:
        """The pictures and clips, in the order of their placeholders."""
        return self._marks

    @property
    def tokens(self) -> Sequence[Placed]:
        """The tokens whose probabilities are known, in order."""
        return self._tokens

    @property
    def offered(self) -> Span | None:
        """What was generated last, until it is accepted or rejected."""
        return offered(self._spans)

    @property
    def growing(self) -> bool:
        """Whether generated text is being added."""
        return self._growing is not None

    @property
    def undoable(self) -> StepKind | None:
        """What would be taken back next."""
        return self._done[-1].kind if self._done else None

    @property
    def redoable(self) -> StepKind | None:
        """What would be done again next."""
        return self._undone[-1].kind if self._undone else None

    def parts(self) -> tuple[Part, ...]:
        """The text cut at the placeholders that stand for a file, with the files in their place."""
        parts: list[Part] = []
        at = 0
        for mark in self._marks:
            if mark.start > at:
                parts.append(TextPart(self._text[at : mark.start]))
            parts.append(mark.part)
            at = mark.end
        if at < len(self._text):
            parts.append(TextPart(self._text[at:]))
        return tuple(parts)

    def token_at(self, offset: int) -> int | None:
        """The number of the token that the character at `offset` belongs to; None where none is known."""
        number = bisect_right(self._tokens, offset, key=_end)
        return number if number < len(self._tokens) and self._tokens[number].start <= offset else None

    # -- by the person

    def load(self, text: str, spans: Spans = (), marks: Sequence[Mark] = ()) -> None:
        """Replace everything; nothing of before can be brought back."""
        before = len(self._text)
        self._text, self._spans, self._marks = text, spans, tuple(marks)
        self._tokens.clear()
        self._done.clear()
        self._undone.clear()
        self._growing = None
        self.changed(Change(0, before, len(text)))

    def replace(self, start: int, end: int, text: str) -> None:
        """Put `text`, as typed by the person, in place of the characters from `start` to before `end`.

        What was offered counts as accepted: the person builds on it. Typing on makes one step of each word.
        """
        if start == end and not text:
            return
        removed = self._text[start:end]
        kind: StepKind = "typing" if not removed and len(text) == 1 else "deleting" if len(removed) == 1 else "edit"
        if text and removed:
            kind = "edit"
        if (last := self._continues(kind, start, text, removed)) is not None:
            self._apply(start, end, text, None, keep=last.tokens)
            if kind == "typing":
                last.inserted += text
            else:
                last.start, last.removed = start, removed + last.removed
            last.spans = (last.spans[0], self._spans)
            last.marks = (last.marks[0], self._marks)
        else:
            self._do(kind, start, end, text, None)

    def end_word(self) -> None:
        """What is typed from now on is a step of its own: the cursor went elsewhere."""
        if self._done:
            self._done[-1].open = False

    def insert_medium(self, start: int, end: int, part: ImagePart | AudioPart) -> None:
        """Put the placeholder of a picture or clip in place of the characters from `start` to before `end`."""
        self._do("medium", start, end, placeholder(part), None, mark=Mark(start, part))

    def cut(self, start: int) -> None:
        """Drop everything from `start` on."""
        if start < len(self._text):
            self._do("cut", start, len(self._text), "", None)

    def accept(self, until: int | None = None) -> bool:
        """Keep what was offered, or only that before `until`; whether there was something to decide on."""
        span = self.offered
        if span is None or self.growing:
            return False
        if until is not None and span.start < until < span.end:
            self._do("accept", until, span.end, "", None)
        else:
            self._do("accept", span.end, span.end, "", None)
        return True

    def accept_part(self, until: int) -> None:
        """Keep what was offered before `until`, leaving the rest of it offered."""
        span = self.offered
        if span is not None and not self.growing and span.start < until:
            step = Step("accept", span.start, "", "", (self._spans, ()), (self._marks, self._marks), open=False)
            self._push(step)
            end = min(until, span.end)
            kept = replaced(self._spans, span.start, end, end - span.start, "generated")
            self._spans = kept
            step.spans = (step.spans[0], kept)
            self.changed(Change(span.start, 0, 0))

    def reject(self, since: int | None = None) -> bool:
        """Drop what was offered, or only that from `since` on; whether there was something to decide on."""
        span = self.offered
        if span is None or self.growing:
            return False
        start = since if since is not None and span.start < since < span.end else span.start
        self._do("reject", start, span.end, "", None, accepting=False)
        return True

    def choose(self, number: int, text: str) -> None:
        """Put another token in place of that of `number`, and drop all that came after it."""
        start = self._tokens[number].start
        # A character that takes several tokens goes with all of them.
        self._do("choose", start, len(self._text), text, "generated")

    def offer(self, start: int, text: str, tokens: Sequence[Placed] = ()) -> None:
        """Put one of several continuations in place of everything from `start` on, to be accepted or rejected."""
        self._do("continue", start, len(self._text), text, "offered")
        self._tokens += tokens
        self.changed(Change(start, 0, 0))

    # -- by the model

    def begin(self) -> None:
        """Generated text is about to come at the end; what was offered before counts as accepted."""
        end = len(self._text)
        before = self._spans
        self._spans = accepted(before)
        step = Step("continue", end, "", "", (before, self._spans), (self._marks, self._marks), open=False)
        # The end of the text as the model saw it, a token without text, is no longer the end.
        step.tokens = self._take_tokens(end)
        self._push(step)
        self._growing = step
        self.changed(Change(end, 0, 0))

    def append(self, text: str, tokens: Sequence[Placed] = ()) -> None:
        """Add generated text, and tokens at the places that they have in the whole text."""
        step = self._growing
        if step is None:
            return
        end = len(self._text)
        if text:
            self._text += text
            step.inserted += text
            self._spans = replaced(self._spans, end, end, len(text), "offered")
            step.spans = (step.spans[0], self._spans)
        self._tokens += tokens
        if text or tokens:
            self.changed(Change(end, 0, len(text)))

    def finish(self) -> None:
        """No more generated text comes; a step that added nothing is none."""
        step, self._growing = self._growing, None
        if step is not None and not step.inserted and self._done and self._done[-1] is step:
            tokens = self._tokens[bisect_left(self._tokens, step.start, key=_start) :]
            self._done.pop()
            self._spans = step.spans[0]
            self._put_tokens(step.tokens if not tokens else [])
            self.changed(Change(step.start, 0, 0))

    def judge(self, tokens: Sequence[Placed]) -> None:
        """The whole text was scored: these are its tokens."""
        self._tokens = list(tokens)
        self.changed(Change(0, 0, 0))

    # -- steps

    def undo(self) -> StepKind | None:
        """Take the last step back; which kind it was, None where there is none."""
        if self.growing or not self._done:
            return None
        step = self._done.pop()
        self._undone.append(step)
        self._swap(step, len(step.inserted), step.removed, 0)
        return step.kind

    def redo(self) -> StepKind | None:
        """Do the step that was taken back last again; which kind it is, None where there is none."""
        if self.growing or not self._undone:
            return None
        step = self._undone.pop()
        self._done.append(step)
        self._swap(step, len(step.removed), step.inserted, 1)
        return step.kind

    def _swap(self, step: Step, away: int, text: str, side: int) -> None:
        step.open = False
        start = step.start
        put_away = self._take_tokens(start)
        self._text = self._text[:start] + text + self._text[start + away :]
        self._spans, self._marks = step.spans[side], step.marks[side]
        self._put_tokens(step.tokens)
        step.tokens = put_away
        self.changed(Change(start, away, len(text)))

    def _continues(self, kind: StepKind, start: int, text: str, removed: str) -> Step | None:
        """The last step, where this keystroke belongs to it."""
        last = self._done[-1] if self._done else None
        if last is None or not last.open or last.kind != kind or kind == "edit":
            return None
        if kind == "typing":
            new_word = last.inserted[-1:].isspace() and not text.isspace()
            return last if start == last.start + len(last.inserted) and not new_word else None
        new_word = last.removed[:1].isspace() and not removed.isspace()
        return last if start + 1 == last.start and not new_word else None

    def _do(
        self,
        kind: StepKind,
        start: int,
        end: int,
        text: str,
        origin: Origin | None,
        *,
        mark: Mark | None = None,
        accepting: bool = True,
    ) -> None:
        spans, marks, removed = self._spans, self._marks, self._text[start:end]
        if accepting:
            self._spans = accepted(spans)
        step = Step(kind, start, removed, text, (spans, ()), (marks, ()), open=kind in ("typing", "deleting"))
        self._push(step)
        self._apply(start, end, text, origin, keep=step.tokens, mark=mark)
        step.spans, step.marks = (spans, self._spans), (marks, self._marks)

    def _apply(
        self,
        start: int,
        end: int,
        text: str,
        origin: Origin | None,
        *,
        keep: list[Placed],
        mark: Mark | None = None,
    ) -> None:
        keep[:0] = self._take_tokens(start) if text or end > start else []
        self._text = self._text[:start] + text + self._text[end:]
        self._spans = replaced(self._spans, start, end, len(text), origin)
        shift = len(text) - (end - start)
        marks = [one for one in self._marks if one.end <= start]
        marks += [mark] if mark is not None else []
        marks += [one._replace(start=one.start + shift) for one in self._marks if one.start >= end]
        self._marks = tuple(marks)
        self.changed(Change(start, end - start, len(text)))

    def _push(self, step: Step) -> None:
        self.end_word()
        self._undone.clear()
        self._done.append(step)
        if len(self._done) > STEPS_KEPT:
            del self._done[0]

    def _take_tokens(self, start: int) -> list[Placed]:
        """Take away the tokens whose figures no longer hold once the text changes at `start`."""
        first = bisect_right(self._tokens, start, key=_end)
        # Those without characters at this place told of what would come next, or begin the next character.
        while first and self._tokens[first - 1].start == start:
            first -= 1
        taken = self._tokens[first:]
        del self._tokens[first:]
        return taken

    def _put_tokens(self, tokens: Sequence[Placed]) -> None:
        end = self._tokens[-1].end if self._tokens else 0
        self._tokens += [token for token in tokens if token.start >= end]


def placeholder(part: ImagePart | AudioPart) -> str:
    """What stands in the text for a picture or clip."""
    return IMAGE_PLACEHOLDER if isinstance(part, ImagePart) else AUDIO_PLACEHOLDER


def _start(token: Placed) -> int:
    return token.start


def _end(token: Placed) -> int:
    return token.end
