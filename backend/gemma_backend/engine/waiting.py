"""Waiting for a keeper: its lines, its first answer, and its end, which may not come."""

from __future__ import annotations

import asyncio

from gemma_backend.types import EngineError

# TERM and its wait take 2.5 s, KILL and the resource trackers seldom another 2 s.
STOP_SECONDS = 30.0


async def first_of(*events: asyncio.Event) -> None:
    """Wait for one of `events`, but no longer than a stop can take."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=STOP_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()


def settle(future: asyncio.Future[bool], result: bool | EngineError) -> None:
    """Give `future` its result, or its exception, unless it has one."""
    if future.done():
        return
    if isinstance(result, bool):
        future.set_result(result)
    else:
        future.set_exception(result)


async def next_line(reader: asyncio.StreamReader) -> bytes:
    """The next line; b"" at the end, and where the connection breaks."""
    try:
        return await reader.readline()
    except (OSError, ValueError):
        return b""
