"""Looks at a server and this machine once a second and never waits for either longer than that."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Protocol

from gemma_backend.endpoint.address import is_local
from gemma_backend.metrics.gpu import gpus
from gemma_backend.metrics.host import ProcessTree, host_memory
from gemma_backend.metrics.own import OwnMeasures
from gemma_backend.metrics.parse import parse
from gemma_backend.metrics.rates import sample
from gemma_backend.metrics.reading import Reading, read
from gemma_backend.metrics.window import Readings
from gemma_backend.types import Endpoint, GpuMemory, HostMemory, Sample

if TYPE_CHECKING:
    import httpx2

WINDOW_SECONDS = 60.0
"""Latencies are those of requests that ended or went on in this time."""

MAX_BYTES = 4 << 20
"""A page of `/metrics` above this is not read: vLLM's has 60 kB, and 300 kB with many adapters."""

SCRAPE_SECONDS = 10.0
ABSENT_SECONDS = 30.0
"""How long a server that has no `/metrics` is not asked again."""

ABSENT = "This server has no /metrics."
REFUSED = "/metrics is closed to this key."
KEYLESS = "/metrics needs a key: give it with --api-key-file."
UNKNOWN = "/metrics holds nothing that is known here."
MEASURED = "What is shown was measured here."
"""Follows a note where this program's own requests stand in for what the server does not tell."""
TOO_LARGE = f"/metrics has more than {MAX_BYTES >> 20} MiB and was not read."
UNREACHABLE = "The server does not answer."
"""A note that begins with this is of a server that could not be reached."""


class FarSide(Protocol):
    """What is known of the machine of a server elsewhere."""

    def gpus(self) -> tuple[GpuMemory, ...]:
        """Its GPUs, () where nobody tells."""

    def problem(self) -> str:
        """Why there is no way to it, "" while there is one."""


class Poller:
    """Samples of one server; `window` is how far back latencies reach, in seconds, and may be changed at any time.

    Memory and GPUs are looked at only where the server is on this machine: those here would say nothing about it. `far`
    tells of the machine of a server elsewhere, where somebody knows it.
    """

    def __init__(
        self,
        endpoint: Endpoint | None,
        pid: int | None = None,
        interval: float = 1.0,
        *,
        window: float = WINDOW_SECONDS,
        own: OwnMeasures | None = None,
        far: FarSide | None = None,
    ) -> None:
        self.interval = interval
        self.window = window
        self.own = own
        self.far = far
        self._endpoint = endpoint
        self._tree = ProcessTree(pid) if pid is not None else None
        self._readings = Readings()
        self._note = ""
        self._ask_again = 0.0
        self._changed = False

    def watch(self, endpoint: Endpoint | None, pid: int | None = None) -> None:
        """Look at another server, or at the same one's new process, from the next sample on."""
        if endpoint != self._endpoint:
            self._endpoint, self._changed = endpoint, True
        if pid != (self._tree.pid if self._tree else None):
            self._tree = ProcessTree(pid) if pid is not None else None

    async def samples(self) -> AsyncGenerator[Sample]:
        """Yield a sample each `interval`, the first at once; close the generator to end it.

        Nothing is raised for a server that is slow, gone or hostile: its figures are None and `note` says why.
        """
        while True:
            self._changed = False
            self._readings.clear()
            self._note, self._ask_again = "", 0.0
            async with contextlib.AsyncExitStack() as stack:
                client = await stack.enter_async_context(_client(self._endpoint)) if self._endpoint else None
                async with contextlib.aclosing(self._looking(client)) as looking:
                    async for look in looking:
                        yield look
                        if self._changed:
                            break

    async def once(self, apart: float = 1.0) -> Sample:
        """Return one sample with rates, from two looks `apart` seconds from each other."""
        self.interval = apart
        async with contextlib.aclosing(self.samples()) as looks:
            await anext(looks)
            return await anext(looks)

    async def _looking(self, client: httpx2.AsyncClient | None) -> AsyncGenerator[Sample]:
        scrape: asyncio.Task[Reading | None] | None = None
        machine: asyncio.Task[tuple[HostMemory | None, tuple[GpuMemory, ...]]] | None = None
        host: HostMemory | None = None
        cards: tuple[GpuMemory, ...] = ()
        asked = due = time.monotonic()
        try:
            while True:
                if scrape is None and client is not None and time.monotonic() >= self._ask_again:
                    scrape, asked = asyncio.create_task(self._scrape(client)), time.monotonic()
                machine = machine or asyncio.create_task(asyncio.to_thread(self._machine))
                due = max(due + self.interval, time.monotonic())
                await asyncio.wait({machine, scrape} if scrape else {machine}, timeout=due - time.monotonic())
                if machine.done():
                    (host, cards), machine = machine.result(), None
                reading = None
                if scrape is not None and scrape.done():
                    reading, scrape = scrape.result(), None
                elif scrape is not None:
                    self._note = f"/metrics has not answered for {time.monotonic() - asked:.0f} s."
                yield self._sample(reading, host, cards)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
        finally:
            left = [task for task in (scrape, machine) if task is not None]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    def _sample(self, reading: Reading | None, host: HostMemory | None, cards: tuple[GpuMemory, ...]) -> Sample:
        if reading is None:
            look = Sample(time.monotonic())
        else:
            old = self._readings.last
            self._readings.add(reading)
            since = self._readings.since(self.window)
            look = sample(old, reading, since if since is not reading else None)
        note = self._note
        if note == UNREACHABLE and self.far is not None and (problem := self.far.problem()):
            note = f"{UNREACHABLE} {problem}"
        look = dataclasses.replace(look, host=host, gpus=cards, note=note)
        if self.own is None:
            return look
        if note in (ABSENT, REFUSED, KEYLESS, UNKNOWN):
            look = dataclasses.replace(look, note=f"{note} {MEASURED}")
        return self.own.fill(look)

    def _machine(self) -> tuple[HostMemory | None, tuple[GpuMemory, ...]]:
        if self._endpoint is not None and self._tree is None and not is_local(self._endpoint):
            return None, self.far.gpus() if self.far is not None else ()
        return host_memory(self._tree), gpus()

    async def _scrape(self, client: httpx2.AsyncClient) -> Reading | None:
        """Read `/metrics` once and say in `_note` why it could not be."""
        import httpx2

        try:
            async with asyncio.timeout(SCRAPE_SECONDS):
                body = await self._body(client)
        except TimeoutError:
            self._note = f"/metrics takes more than {SCRAPE_SECONDS:.0f} s to answer."
            return None
        except (httpx2.HTTPError, httpx2.StreamError, OSError):
            self._note = UNREACHABLE
            return None
        if body is None:
            self._ask_again = time.monotonic() + ABSENT_SECONDS
            return None
        reading = read(parse(body.decode("utf-8", "replace"), time.monotonic()))
        if not reading.server:
            self._note, self._ask_again = UNKNOWN, time.monotonic() + ABSENT_SECONDS
            return None
        self._note = ""
        return reading

    async def _body(self, client: httpx2.AsyncClient) -> bytes | None:
        # Asked for uncompressed: a few compressed kilobytes could be gigabytes.
        headers = {"Accept": "text/plain", "Accept-Encoding": "identity"}
        async with client.stream("GET", "/metrics", headers=headers) as response:
            if response.status_code != 200 or response.headers.get("content-encoding", "identity") != "identity":
                self._note = ABSENT
                if response.status_code in (401, 403):
                    self._note = REFUSED if self._endpoint and self._endpoint.api_key else KEYLESS
                return None
            chunks: list[bytes] = []
            size = 0
            async for chunk in response.aiter_raw():
                size += len(chunk)
                if size > MAX_BYTES:
                    self._note = TOO_LARGE
                    return None
                chunks.append(chunk)
            return b"".join(chunks)


def _client(endpoint: Endpoint) -> httpx2.AsyncClient:
    from gemma_backend.endpoint.http import client

    return client(endpoint)
