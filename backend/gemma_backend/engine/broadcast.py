"""One stream of events for any number of readers, each of whom gets everything from the beginning."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from gemma_backend.types import EngineEvent, EngineFailed, EngineStopped, LogLine

LINES_KEPT = 5_000


class Broadcast:
    """Events of one engine; of log lines only the latest thousands are kept for readers who come later."""

    def __init__(self) -> None:
        self._history: list[EngineEvent] = []
        self._readers: list[asyncio.Queue[EngineEvent | None]] = []

    @property
    def history(self) -> tuple[EngineEvent, ...]:
        """What happened up to now."""
        return tuple(self._history)

    def read(self) -> AsyncIterator[EngineEvent]:
        """Everything from the start on, until an event says that the engine has stopped or failed."""
        queue: asyncio.Queue[EngineEvent | None] = asyncio.Queue()
        for event in self._history:
            queue.put_nowait(event)
        if self._history and _last(self._history[-1]):
            queue.put_nowait(None)
        else:
            self._readers.append(queue)
        return _drain(queue)

    def publish(self, event: EngineEvent) -> None:
        """Hand `event` to every reader; after the last one of an engine readers end."""
        self._history.append(event)
        if isinstance(event, LogLine) and len(self._history) > 2 * LINES_KEPT:
            recent = deque((one for one in self._history if isinstance(one, LogLine)), maxlen=LINES_KEPT)
            kept = {id(one) for one in recent}
            self._history = [one for one in self._history if not isinstance(one, LogLine) or id(one) in kept]
        for queue in self._readers:
            queue.put_nowait(event)
        if _last(event):
            for queue in self._readers:
                queue.put_nowait(None)
            self._readers.clear()


def _last(event: EngineEvent) -> bool:
    return isinstance(event, EngineStopped | EngineFailed)


async def _drain(queue: asyncio.Queue[EngineEvent | None]) -> AsyncIterator[EngineEvent]:
    while (event := await queue.get()) is not None:
        yield event
