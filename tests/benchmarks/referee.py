"""A proxy that hands bytes on and writes down when: what a server did, whichever client measures it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

EVENT = b'"text"'
"""Is in every event that carries a token, and not in the last one, which carries counts."""


@dataclass(slots=True)
class Seen:
    """One request: when it came, and when each read with tokens in it was handed on, in seconds."""

    sent: float
    tokens: list[float] = field(default_factory=list)


class Referee:
    """Between a client and the server at `port`; `seen` are the requests since it was emptied."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.seen: list[Seen] = []

    async def _talk(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        server, onward = await asyncio.open_connection("127.0.0.1", self.port)
        present: list[Seen] = []

        async def forward() -> None:
            while data := await client.read(1 << 16):
                if data.startswith(b"POST /v1/"):
                    present[:] = [Seen(time.perf_counter())]
                    self.seen += present
                onward.write(data)
            onward.close()

        async def back() -> None:
            while data := await server.read(1 << 16):
                answer.write(data)
                if EVENT in data and present:
                    present[0].tokens.append(time.perf_counter())
            answer.close()

        with contextlib.suppress(ConnectionError):
            await asyncio.gather(forward(), back())

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Where a client finds it."""
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
