"""One writer's events for any number of readers, each of whom gets all of them from the beginning."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Generic, TypeVar

T = TypeVar("T")


class Feed(Generic[T]):
    """A growing list of events that can be read while it grows."""

    def __init__(self) -> None:
        self._events: list[T] = []
        self._closed = False
        self._news = asyncio.Event()

    def publish(self, event: T) -> None:
        """Add `event` and wake every reader."""
        self._events.append(event)
        self._wake()

    def close(self) -> None:
        """End every reader's iteration after the last event."""
        self._closed = True
        self._wake()

    async def read(self) -> AsyncGenerator[T]:
        """Yield every event from the first on, until the feed is closed."""
        position = 0
        while True:
            while position < len(self._events):
                yield self._events[position]
                position += 1
            if self._closed:
                return
            # Taken before the wait and without one in between, so that no event slips through.
            await self._news.wait()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
