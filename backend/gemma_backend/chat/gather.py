"""Takes in a streamed body in few, large reads, so that a fast reply costs little and a slow one is not delayed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from types import TracebackType
from typing import Any, Self

import httpx2

GATHER_SECONDS = 0.05
# A reader that falls this many bytes behind stops the reading, and so in the end the server.
_BACKLOG_LIMIT = 4 << 20
# A read that ends sooner than this was served from what a TLS layer had already taken in.
_AT_ONCE_SECONDS = 0.0005
_RESUMED_SECONDS = 0.5

_Read = Callable[..., Awaitable[bytes]]


class Gathered:
    """The body of `response`, in pieces that hold what came in within `seconds`.

    HTTP chunks are mostly single tokens. Between two reads of the socket this waits until `seconds` after the last
    one, and the kernel gathers meanwhile; after a longer silence it reads at once. Gathering begins with `start()`,
    so that the first token is not held back behind the headers. Use as an asynchronous context manager.
    """

    def __init__(self, response: httpx2.Response, *, stall_seconds: float, seconds: float = GATHER_SECONDS) -> None:
        self._response = response
        self._stall = stall_seconds
        self._seconds = seconds
        self._started = False
        self._parts: list[bytes] = []
        self._size = 0
        self._filled = asyncio.Event()
        self._taken = asyncio.Event()
        self._ended = False
        self._error: Exception | None = None
        # A documented extension of httpx; without it each part is passed on as it comes.
        self._network: Any = response.extensions.get("network_stream")
        self._patched = callable(getattr(self._network, "read", None))

    async def __aenter__(self) -> Self:
        if self._patched:
            self._network.read = self._gathering_read(self._network.read)
        self._pump = asyncio.create_task(self._take_in())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pump.cancel()
        await asyncio.wait([self._pump])
        if self._patched:
            del self._network.read

    def start(self) -> None:
        """Begin to gather."""
        self._started = True

    async def pieces(self) -> AsyncGenerator[bytes]:
        """Yield what has come in; raises TimeoutError after a silence of `stall_seconds`, and the client's errors."""
        while True:
            if not self._filled.is_set():
                await self._until_filled()
            self._filled.clear()
            parts, self._parts, self._size = self._parts, [], 0
            self._taken.set()
            if parts:
                yield b"".join(parts)
            if self._ended and not self._parts:
                if self._error is not None:
                    raise self._error
                return

    async def _until_filled(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._stall):
                await self._filled.wait()
            return
        # A program that was suspended for longer than that has what came meanwhile, and reads it only now.
        async with asyncio.timeout(_RESUMED_SECONDS):
            await self._filled.wait()

    async def _take_in(self) -> None:
        plain = "content-encoding" not in self._response.headers
        try:
            async for part in self._response.aiter_raw() if plain else self._response.aiter_bytes():
                self._parts.append(part)
                self._size += len(part)
                if not self._patched or self._size > _BACKLOG_LIMIT:
                    self._filled.set()
                if self._size > _BACKLOG_LIMIT:
                    self._taken.clear()
                    await self._taken.wait()
        except (httpx2.HTTPError, httpx2.StreamError, OSError) as error:
            self._error = error
        finally:
            self._ended = True
            self._filled.set()

    def _gathering_read(self, read: _Read) -> _Read:
        loop = asyncio.get_running_loop()
        # Over TLS one read gives one record, so what is already here is read before the next wait.
        layered = self._network.get_extra_info("ssl_object") is not None
        resume_at = 0.0

        async def gathering_read(max_bytes: int, timeout: float | None = None) -> bytes:
            nonlocal resume_at
            if self._parts:
                self._filled.set()
            if self._started and (pause := resume_at - loop.time()) > 0:
                await asyncio.sleep(pause)
            begun = loop.time()
            data = await read(max_bytes, timeout)
            ended = loop.time()
            more = len(data) == max_bytes or (layered and ended - begun < _AT_ONCE_SECONDS)
            resume_at = 0.0 if more else ended + self._seconds
            return data

        return gathering_read
