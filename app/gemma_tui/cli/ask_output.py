"""How `ask` writes a reply: as text while it streams, or as one JSON object, and an engine's start as one line."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from gemma_backend.text.clean import StreamCleaner, clean
from gemma_backend.types import (
    BadInput,
    Delta,
    EndpointError,
    EngineError,
    Failed,
    Finished,
    GemmaError,
    PhaseChanged,
    StreamEvent,
    Usage,
    UsageError,
)

if TYPE_CHECKING:
    from gemma_backend.session.session import Session

_ERRORS: dict[int, type[GemmaError]] = {2: UsageError, 3: EngineError, 4: EndpointError, 5: BadInput}


class TextOutput:
    """Writes a reply as it comes: cleaned for a terminal, byte for byte into a pipe."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._cleaner = StreamCleaner()
        self._last = "\n"

    async def show(self, events: AsyncIterator[StreamEvent]) -> None:
        """Write the whole reply; raises the GemmaError of a reply that failed, after what there was of it."""
        failed: Failed | None = None
        async for event in events:
            if isinstance(event, Delta):
                self._write(event.text)
            elif isinstance(event, Failed):
                failed = event
        if self._terminal:
            self._put(self._cleaner.finish())
            if self._last != "\n":
                self._put("\n")
        if failed is not None:
            raise failure(failed)

    def _write(self, text: str) -> None:
        if self._terminal:
            self._put(self._cleaner.feed(text))
        else:
            sys.stdout.buffer.write(text.encode("utf-8", "replace"))
            sys.stdout.buffer.flush()

    def _put(self, text: str) -> None:
        if text:
            self._last = text[-1]
            encoding = sys.stdout.encoding or "utf-8"
            sys.stdout.buffer.write(text.encode(encoding, "replace"))
            sys.stdout.buffer.flush()


class JsonOutput:
    """Writes a reply as one line of JSON when it is over."""

    def __init__(self, model: str) -> None:
        self._model = model

    async def show(self, events: AsyncIterator[StreamEvent]) -> None:
        """Write the object, also for a reply that broke off; raises its GemmaError then."""
        text: list[str] = []
        reasoning: list[str] = []
        usage: Usage | None = None
        last: StreamEvent | None = None
        async for event in events:
            if isinstance(event, Delta):
                text.append(event.text)
                reasoning.append(event.reasoning)
            elif isinstance(event, Usage):
                usage = event
            last = event
        finished = last if isinstance(last, Finished) else None
        if finished is not None or text:
            answer = {
                "model": self._model,
                "text": "".join(text),
                "reasoning": "".join(reasoning) or None,
                "finish_reason": finished.reason if finished else "error",
                "prompt_tokens": usage.prompt_tokens if usage else None,
                "completion_tokens": usage.completion_tokens if usage else None,
                "ttft_s": finished.ttft if finished else None,
                "seconds": finished.seconds if finished else None,
            }
            # Escaped beyond ASCII, which also keeps control characters of the model off a terminal.
            print(json.dumps(answer), flush=True)
        if isinstance(last, Failed):
            raise failure(last)


def failure(event: Failed) -> GemmaError:
    """The exception whose exit code is that of `event`."""
    return _ERRORS.get(event.exit_code, EndpointError)(event.message)


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
