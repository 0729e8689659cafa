"""The completion studio without a screen: one document, how it is continued, and what the server can do for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from gemma_backend.chat.align import Aligner, Placed, aligned
from gemma_backend.chat.exchange import Request
from gemma_backend.chat.options import refused
from gemma_backend.chat.request import BOS
from gemma_backend.config.presets import Controls
from gemma_backend.session.continuing import Continuation
from gemma_backend.session.document import CompletionDocument, Mark, placeholder
from gemma_backend.session.perplexity import Surprise, surprise
from gemma_backend.session.session import Session
from gemma_backend.session.spans import Span
from gemma_backend.types import (
    AudioPart,
    BadInput,
    ChoiceEnded,
    Declined,
    Delta,
    Document,
    Echoed,
    Failed,
    Finished,
    ImagePart,
    Part,
    StreamEvent,
)

Watch = Callable[[AsyncGenerator[StreamEvent]], AsyncGenerator[StreamEvent]]
"""Passes events on unchanged, and measures them on the way."""


@dataclass(slots=True)
class Choice:
    """One of several continuations; its tokens stand where they would in the whole document."""

    text: str = ""
    tokens: list[Placed] = field(default_factory=list)
    reason: str | None = None
    """Why it ended, None while it is being written."""


@dataclass(slots=True)
class Choices:
    """Continuations of `base`, side by side; `taken` is the one that stands in the document."""

    base: str
    choices: list[Choice]
    taken: int | None = None


class Studio:
    """What a person does in the studio; one thing at a time, each told by `on_declined` where the server lacks it.

    `session` says what it is done with, None as long as nothing is open. `measure` sees every reply on its way.
    """

    def __init__(
        self,
        controls: Controls | None = None,
        session: Callable[[], Session | None] = lambda: None,
        measure: Watch = lambda events: events,
    ) -> None:
        self._session = session
        self.document = CompletionDocument()
        self.controls = controls or Controls()
        self.choices: Choices | None = None
        self.on_declined: Callable[[Declined], None] = lambda declined: None
        self.number: int | None = None
        """The document's number in the history, once it was saved."""
        self._measure = measure

    @property
    def session(self) -> Session | None:
        """The engine or endpoint that it is done with."""
        return self._session()

    # -- what can be done here

    @property
    def lacking(self) -> Mapping[str, str]:
        """What the server does not offer, by the option's name in a request, each with the reason."""
        session = self.session
        if session is None or session.endpoint is None:
            return {}
        return refused(session.endpoint, session.model)

    def lacks(self, control: str) -> str | None:
        """Why a control of this name does nothing here, None where it does something."""
        known = self.lacking
        if control == "bos":
            return known.get("add_special_tokens")
        if control == "echo" and self.document.marks:
            return "A text with pictures or clips is not given back."
        return known.get(control)

    @property
    def cannot_score(self) -> str | None:
        """Why the text cannot be scored here, None where it can or has not been tried."""
        known = self.lacking
        if "prompt_logprobs" not in known:
            return None
        if self.document.marks:
            return known["prompt_logprobs"]
        return known.get("echo") or known.get("logprobs")

    def bos_twice(self) -> bool:
        """Whether the text begins with a BOS that was typed while the server adds one, too."""
        return self.controls.bos and self.document.text.startswith(BOS)

    # -- continuing

    async def go_on(self) -> Finished | Failed:
        """Continue the document at its end; what comes is offered, to be accepted or rejected."""
        document = self.document
        continuation = self._continuation(1)
        base = len(document.text)
        aligner = Aligner(base)
        document.begin()
        last: Finished | Failed = Failed("The reply ended without a word from the server.")
        try:
            async with aclosing(self._events(continuation)) as events:
                async for event in events:
                    if isinstance(event, Delta):
                        document.append(event.text, aligner.feed(event.text, event.tokens))
                    elif isinstance(event, Echoed) and event.tokens:
                        document.judge(aligned(event.text, event.tokens))
                    elif isinstance(event, Finished | Failed):
                        last = event
        finally:
            document.append("", aligner.finish())
            document.finish()
        return last

    def begin_choices(self) -> Choices:
        """Make room for several continuations of the document; raises BadInput for an empty one, or greedy controls."""
        if self.controls.temperature == 0:
            raise BadInput("Alternatives are all the same at temperature 0: raise the temperature first.")
        self._continuation(self.controls.alternatives)
        self.choices = Choices(self.document.text, [Choice() for _ in range(self.controls.alternatives)])
        return self.choices

    async def branch(self, choices: Choices, changed: Callable[[int], None]) -> Finished | Failed:
        """Write the continuations, none of them into the document; `changed` gets the number of each that grew."""
        base, count = choices.base, len(choices.choices)
        aligners = [Aligner(len(base)) for _ in range(count)]
        last: Finished | Failed = Failed("The reply ended without a word from the server.")
        try:
            async with aclosing(self._events(self._continuation(count))) as events:
                async for event in events:
                    match event:
                        case Delta(text=text, index=index, tokens=tokens) if index < count:
                            choice = choices.choices[index]
                            choice.text += text
                            choice.tokens += aligners[index].feed(text, tokens)
                            changed(index)
                        case ChoiceEnded(index=index, reason=reason) if index < count:
                            choices.choices[index].reason = reason
                            changed(index)
                        case Finished() | Failed():
                            last = event
                        case _:
                            pass
        finally:
            for index, choice in enumerate(choices.choices):
                choice.tokens += aligners[index].finish()
                choice.reason = choice.reason or (last.reason if isinstance(last, Finished) else "error")
                changed(index)
        return last

    def still_fits(self) -> bool:
        """Whether the continuations are of the text that is there now."""
        found = self.choices
        if found is None or self.document.growing:
            return False
        taken = found.choices[found.taken].text if found.taken is not None else ""
        return self.document.text in (found.base, found.base + taken)

    def back_to_base(self) -> None:
        """Take the continuation that was taken out of the document again."""
        if self.choices is not None and self.still_fits() and self.document.text != self.choices.base:
            self.document.cut(len(self.choices.base))

    def take(self, index: int) -> bool:
        """Put one of the continuations into the document, in place of one taken before; False where that cannot be.

        It cannot once the document was changed otherwise.
        """
        found = self.choices
        if found is None or not 0 <= index < len(found.choices) or not self.still_fits():
            return False
        choice = found.choices[index]
        self.document.offer(len(found.base), choice.text, choice.tokens)
        found.taken = index
        return True

    def choose(self, number: int, text: str, end: str = "") -> bool:
        """Put another token in place of that of `number`; whether the text goes on there (it ends at an `end`)."""
        if text == end and end:
            self.document.cut(self.document.tokens[number].start)
            return False
        self.document.choose(number, text)
        return True

    async def cancel(self) -> None:
        """End what is being written."""
        if self.session is not None:
            await self.session.cancel()

    # -- scoring

    async def score(self, start: int = 0, end: int | None = None) -> Surprise | Failed | None:
        """Have the whole text judged, and return the surprise of the part from `start` to before `end`.

        None where nobody can say: a text of one token without BOS, or a reply that was cancelled.
        """
        document = self.document
        text = document.text
        top = self.controls.logprobs
        continuation = self._continuation(1, score=max(1, top))
        judged: list[Placed] | None = None
        async with aclosing(self._events(continuation)) as events:
            async for event in events:
                if isinstance(event, Echoed):
                    judged = await asyncio.to_thread(aligned, event.text, event.tokens)
                elif isinstance(event, Failed):
                    return event
        if judged is None or document.text != text:
            return None
        document.judge(judged)
        return surprise(text, judged, start, end)

    # -- the request

    def request(self) -> Request | Failed:
        """What would be sent now to continue the document."""
        if self.session is None:
            return Failed("Nothing is running yet: wait for the engine.", 3)
        try:
            return self.session.as_sent(self._continuation(1))
        except BadInput as error:
            return Failed(str(error), 5)

    def _continuation(self, n: int, *, score: int | None = None) -> Continuation:
        """The request that the document and the controls make; raises BadInput for an empty document."""
        document, controls = self.document, self.controls
        text = document.text
        options = controls.options(n)
        if not text:
            if (
                not controls.bos
                or score is not None
                or "gemma" not in (self.session.model.lower() if self.session else "")
            ):
                raise BadInput("The document is empty: write the beginning of a text.")
            # Servers refuse an empty prompt, but BOS alone is one.
            text, options = BOS, Controls(**(controls.model_dump() | {"bos": False, "echo": False})).options(n)
        parts: tuple[Part, ...] | None = document.parts() if document.marks else None
        return Continuation(text, controls.sampling, options, parts=parts, score=score)

    async def _events(self, continuation: Continuation) -> AsyncGenerator[StreamEvent]:
        if self.session is None:
            yield Failed("Nothing is running yet: wait for the engine.", 3)
            return
        async with aclosing(self._measure(self.session.proceed(continuation))) as events:
            async for event in events:
                if isinstance(event, Declined):
                    self.on_declined(event)
                yield event

    # -- keeping

    def record(self, title: str = "", profile: str = "") -> Document:
        """The document as the history keeps it."""
        document = self.document
        data: dict[str, Any] = {
            "spans": [[span.start, span.end, span.origin] for span in document.spans],
            "media": [mark.start for mark in document.marks],
            "controls": self.controls.model_dump(mode="json", exclude_defaults=True),
        }
        media = tuple(mark.part for mark in document.marks)
        model = self.session.model if self.session else ""
        return Document(document.text, data, media, title, profile, model, self.number)

    def open(self, record: Document, media: Sequence[Part]) -> None:
        """Go on with a document from the history; `media` are its pictures and clips, read from disk."""
        data = record.data
        files = [part for part in media if isinstance(part, ImagePart | AudioPart)]
        marks = [
            Mark(start, part)
            for start, part in zip(_numbers(data.get("media")), files, strict=False)
            if record.text.startswith(placeholder(part), start)
        ]
        self.document.load(record.text, _spans(data.get("spans"), len(record.text)), marks)
        self.choices = None
        self.number = record.id
        try:
            self.controls = Controls.model_validate(data.get("controls") or {})
        except ValueError:
            # Of a later version, with controls that are not known here.
            self.controls = Controls()


def _numbers(value: Any) -> list[int]:
    return [one for one in value if type(one) is int and one >= 0] if isinstance(value, list) else []


def _spans(value: Any, size: int) -> tuple[Span, ...]:
    spans = []
    for entry in value if isinstance(value, list) else ():
        match entry:
            case [int(start), int(end), "generated" | "offered" as origin] if 0 <= start < end <= size:
                spans.append(Span(start, end, origin))
            case _:
                pass
    return tuple(sorted(spans))
