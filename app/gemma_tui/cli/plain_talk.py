"""A conversation in lines: what goes along with the next message, the reply in flight, and how things ended."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Any

from gemma_backend.text.clean import StreamCleaner, clean
from gemma_backend.types import Delta, Failed, Finished, StreamEvent

if TYPE_CHECKING:
    from gemma_backend.session.session import Session
    from gemma_backend.types import Part
    from gemma_tui.cli.plain_input import Lines

ENDINGS = {"length": "(cut at the limit of tokens)", "abort": "(stopped)", "content_filter": "(cut by the server)"}


class PlainTalk:
    """One conversation in lines: what goes along with the next message, the reply in flight, and how things ended."""

    def __init__(self, session: Session, lines: Lines) -> None:
        self.session = session
        self.lines = lines
        self.parts: list[Part] = []
        self.completing = False
        self.over = False
        self.interrupted = False
        self.code = 0
        self._replying = False
        self._warned = False
        self._ending: set[asyncio.Task[Any]] = set()

    def taken(self, text: str) -> list[Any]:
        """The parts of a message with what was attached, which is attached no more."""
        from gemma_backend.types import TextPart

        parts, self.parts = self.parts, []
        return [*parts, TextPart(text.strip())] if text.strip() else parts

    async def show(self, events: AsyncIterator[StreamEvent]) -> None:
        """Print a reply as it comes, then how it ended where that does not go without saying."""
        cleaner, last = StreamCleaner(), "\n"
        reasoning = Reasoning()
        self._replying = True
        try:
            async for event in events:
                if isinstance(event, Delta) and not event.index:
                    reasoning.take(event.reasoning, over=bool(event.text))
                    text = cleaner.feed(event.text)
                    put(text)
                    last = text[-1:] or last
                elif isinstance(event, Finished | Failed):
                    reasoning.take("", over=True)
                    text = cleaner.finish()
                    put(text)
                    last = _ended(text[-1:] or last)
                    if isinstance(event, Failed):
                        self.fail(event.message, event.exit_code)
                    elif event.reason in ENDINGS:
                        say(ENDINGS[event.reason])
        finally:
            self._replying, self._warned = False, False
            _ended(last)

    def fail(self, sentence: str, code: int) -> None:
        """Say what went wrong; it becomes the exit code where nobody reads along."""
        self.code = code
        say(sentence)

    def interrupt(self) -> None:
        """Ctrl-C: ends the reply; without one, the second time, the program."""
        if self._replying:
            self._start(self.session.cancel())
        elif self._warned:
            self.interrupted = self.over = True
            self.lines.end()
        else:
            self._warned = True
            say("\nCtrl-C again leaves, as /quit does.")

    def _start(self, job: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(job)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


class Reasoning:
    """What a model says to itself before it answers: on standard error, line by line, so that a reply stays alone."""

    def __init__(self) -> None:
        self._line = ""

    def take(self, text: str, *, over: bool) -> None:
        """Say every line that is complete, and at the end the rest."""
        *lines, self._line = (self._line + text).split("\n")
        if over:
            lines, self._line = [*lines, self._line], ""
        for line in lines:
            if line.strip():
                say(f"(reasoning) {clean(line, keep_newlines=False)}")


def put(text: str) -> None:
    """Write to standard output now, with `?` for what its encoding does not have."""
    if text:
        sys.stdout.buffer.write(text.encode(sys.stdout.encoding or "utf-8", "replace"))
        sys.stdout.buffer.flush()


def say(sentence: str) -> None:
    """Say something that is no reply."""
    encoding = sys.stderr.encoding or "utf-8"
    with contextlib.suppress(OSError):
        print(clean(sentence).encode(encoding, "replace").decode(encoding), file=sys.stderr, flush=True)


def _ended(last: str) -> str:
    if last != "\n":
        put("\n")
    return "\n"
