"""A reply in flight: a task of its own that reads the stream, so that it can be ended from anywhere at any time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from gemma_backend.types import Failed, Finished, StreamEvent

ABORTED = Finished("abort")


class Reply:
    """Runs `stream` in a task and hands its events to one reader; however it ends, the last is Finished or Failed.

    `ended` is called once, when the stream is closed and before the reader gets the last event.
    """

    def __init__(self, stream: AsyncGenerator[StreamEvent], ended: Callable[[Reply], None]) -> None:
        self._ended = ended
        self._queue: asyncio.Queue[StreamEvent | BaseException] = asyncio.Queue()
        self._task = asyncio.create_task(self._run(stream))
        # Also called for a task that was cancelled before its first step.
        self._task.add_done_callback(self._finish)

    async def events(self) -> AsyncGenerator[StreamEvent]:
        """Yield the events; leaving the iteration early ends the reply."""
        try:
            while True:
                event = await self._queue.get()
                if isinstance(event, BaseException):
                    raise event
                yield event
                if isinstance(event, Finished | Failed):
                    return
        finally:
            await self.cancel()

    async def cancel(self) -> None:
        """End the reply and wait until its connection is closed."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self, stream: AsyncGenerator[StreamEvent]) -> StreamEvent:
        async with aclosing(stream):
            async for event in stream:
                if isinstance(event, Finished | Failed):
                    return event
                self._queue.put_nowait(event)
        return ABORTED

    def _finish(self, task: asyncio.Task[StreamEvent]) -> None:
        self._ended(self)
        if task.cancelled():
            self._queue.put_nowait(ABORTED)
        else:
            self._queue.put_nowait(task.exception() or task.result())
