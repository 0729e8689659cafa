"""How `ask` writes a reply: as text while it streams, or as one JSON object, and an engine's start as one line."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from gemma_backend.text.clean import StreamCleaner, clean
from gemma_backend.types import Declined, Delta, Options, PhaseChanged, StreamEvent
from gemma_tui.cli.ask_reply import Replies, declined, token_table

if TYPE_CHECKING:
    from gemma_backend.session.session import Session


class TextOutput:
    """Writes a reply as it comes, cleaned for a terminal, byte for byte into a pipe; further alternatives after it.

    Tokens with their probabilities go to standard error, when the reply is over.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._terminal = sys.stdout.isatty()
        self._cleaner = StreamCleaner()
        self._last = "\n"

    async def show(self, events: AsyncIterator[StreamEvent]) -> None:
        """Write the whole reply; raises the GemmaError of a reply that failed, after what there was of it."""
        replies = Replies(self._options)
        count = self._options.n
        self._head(0, count)
        async for event in events:
            replies.take(event)
            if isinstance(event, Delta) and not event.index:
                self._write(event.text)
            elif isinstance(event, Declined):
                declined(event)
        self._end()
        for index in range(1, count):
            self._head(index, count)
            self._write(replies.text(index))
            self._end()
        if self._options.logprobs is not None:
            for index in range(count):
                sys.stderr.write(token_table(replies.tokens(index)))
            sys.stderr.flush()
        replies.check()

    def _head(self, index: int, count: int) -> None:
        if count > 1:
            self._put(("\n" if index and self._last != "\n" else "") + f"--- {index + 1} of {count} ---\n")

    def _end(self) -> None:
        if self._terminal:
            self._put(self._cleaner.finish())
            if self._last != "\n":
                self._put("\n")

    def _write(self, text: str) -> None:
        self._put(self._cleaner.feed(text) if self._terminal else text)

    def _put(self, text: str) -> None:
        if text:
            self._last = text[-1]
            encoding = (sys.stdout.encoding or "utf-8") if self._terminal else "utf-8"
            sys.stdout.buffer.write(text.encode(encoding, "replace"))
            sys.stdout.buffer.flush()


class JsonOutput:
    """Writes a reply as one line of JSON when it is over."""

    def __init__(self, model: str, options: Options) -> None:
        self._model = model
        self._options = options

    async def show(self, events: AsyncIterator[StreamEvent]) -> None:
        """Write the object, also for a reply that broke off; raises its GemmaError then."""
        replies = Replies(self._options)
        async for event in events:
            replies.take(event)
            if isinstance(event, Declined):
                declined(event)
        finished, usage = replies.finished, replies.usage
        if finished is not None or replies.text(0):
            answer = {
                "model": self._model,
                **replies.described(0),
                "reasoning": replies.reasoning or None,
                "prompt_tokens": usage.prompt_tokens if usage else None,
                "completion_tokens": usage.completion_tokens if usage else None,
                "ttft_s": finished.ttft if finished else None,
                "seconds": finished.seconds if finished else None,
            }
            if self._options.n > 1:
                answer["choices"] = [replies.described(index) for index in range(self._options.n)]
            # Escaped beyond ASCII, which also keeps control characters of the model off a terminal.
            print(json.dumps(answer), flush=True)
        replies.check()


async def show_phases(session: Session) -> None:
    """Show the engine's phases on one line of the terminal until it is ready; raises what `wait_ready` raises."""
    showing = asyncio.create_task(_phases(session))
    try:
        await session.wait_ready()
    finally:
        showing.cancel()
        await asyncio.wait([showing])
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


async def _phases(session: Session) -> None:
    async for event in session.watch():
        if isinstance(event, PhaseChanged):
            phase = event.phase
            line = clean(f"{phase.name} {phase.detail}".strip(), keep_newlines=False)
            sys.stderr.write(f"\r\x1b[K{line[:78]}")
            sys.stderr.flush()
