"""The poller against real sockets: fast, slow, endless, absent, restarting."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gzip
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from gemma_backend.metrics import poll
from gemma_backend.metrics.own import OwnMeasures
from gemma_backend.metrics.poll import Poller
from gemma_backend.types import Endpoint, Sample

FIXTURES = Path(__file__).parents[2] / "fixtures" / "metrics"
BUSY = (FIXTURES / "vllm-0.32-cpu-busy.prom").read_bytes()

Answer = Callable[[asyncio.StreamWriter, int], Awaitable[None]]


def page(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


class Server:
    """Answers each request with what `answer` writes; counts them, and keeps what was asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[str] = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(head.decode())
                await self.answer(writer, len(self.requests))
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def served(answer: Answer | bytes, *, socket: Path | None = None) -> AsyncIterator[tuple[Endpoint, Server]]:
    async def same(writer: asyncio.StreamWriter, _: int) -> None:
        assert isinstance(answer, bytes)
        writer.write(answer)

    server = Server(same if isinstance(answer, bytes) else answer)
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        await server.talk(reader, writer)

    if socket is not None:
        listening = await asyncio.start_unix_server(connected, socket)
        endpoint = Endpoint("http://localhost", socket=str(socket))
    else:
        listening = await asyncio.start_server(connected, "127.0.0.1", 0)
        endpoint = Endpoint(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
    try:
        yield endpoint, server
    finally:
        listening.close()
        for task in tasks:
            task.cancel()


async def some(poller: Poller, count: int, *, answered: bool = False) -> list[Sample]:
    """The first `count` samples; with `answered` without those for which a busy machine's server was not in time."""
    found = []
    async with contextlib.aclosing(poller.samples()) as samples:
        async for sample in samples:
            if answered and "has not answered for" in sample.note:
                continue
            found.append(sample)
            if len(found) == count:
                break
    return found


async def test_samples_of_a_growing_counter() -> None:
    async def answer(writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(page(f"vllm:generation_tokens_total {number * 10}\nvllm:num_requests_running 1\n".encode()))

    async with served(answer) as (endpoint, server):
        first, second, third = await some(Poller(endpoint, os.getpid(), 0.05), 3, answered=True)
    assert first.generation_rate is None
    assert first.running == 1
    assert second.generation_rate == pytest.approx(10 / (second.at - first.at))
    assert third.generation_rate == pytest.approx(10 / (third.at - second.at))
    assert third.note == ""
    assert third.host is None or (third.host.engine or 0) > 1 << 20
    assert server.requests[0].startswith("GET /metrics HTTP/1.1\r\n")
    assert "gzip" not in server.requests[0]


async def test_over_a_unix_socket(tmp_path: Path) -> None:
    async with served(page(BUSY), socket=tmp_path / "s") as (endpoint, _):
        (sample,) = await some(Poller(endpoint, interval=0.05), 1, answered=True)
    assert (sample.running, sample.kv_tokens, sample.note) == (3, 55_356, "")


async def test_latencies_reach_back_over_the_window() -> None:
    async def answer(writer: asyncio.StreamWriter, number: int) -> None:
        seen = 10 if number > 1 else 0
        writer.write(
            page(
                f'vllm:time_to_first_token_seconds_bucket{{le="1.0"}} {seen}\n'
                f'vllm:time_to_first_token_seconds_bucket{{le="+Inf"}} {seen}\n'.encode()
            )
        )

    async with served(answer) as (endpoint, _):
        wide = await some(Poller(endpoint, interval=0.02, window=60), 5, answered=True)
        assert [sample.ttft.p50 for sample in wide] == [None, 0.5, 0.5, 0.5, 0.5]


async def test_a_server_without_metrics_is_left_alone() -> None:
    async with served(page(b"nothing here", "404 Not Found")) as (endpoint, server):
        samples = await some(Poller(endpoint, interval=0.02), 5, answered=True)
    assert {sample.note for sample in samples} == {poll.ABSENT}
    assert {sample.running for sample in samples} == {None}
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "note"),
    [
        (page(b"", "401 Unauthorized"), poll.KEYLESS),
        (page(b"<html>hello</html>"), poll.UNKNOWN),
        (page(b"", "302 Found", "Location: http://example.org/\r\n"), poll.ABSENT),
        (page(gzip.compress(bytes(1 << 20)), headers="Content-Encoding: gzip\r\n"), poll.ABSENT),
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", poll.UNREACHABLE),
        (page(b"vllm:num_requests_running \x1b[31m\xff\n"), poll.UNKNOWN),
    ],
    ids=["key", "html", "redirect", "bomb", "no-http", "escapes"],
)
async def test_what_is_no_metrics_page_is_said(answer: bytes, note: str) -> None:
    async with served(answer) as (endpoint, _):
        (sample,) = await some(Poller(endpoint, interval=0.05), 1, answered=True)
    assert sample.note == note
    assert sample.running is None


async def test_a_page_behind_a_key() -> None:
    async def answer(writer: asyncio.StreamWriter, _: int) -> None:
        right = "authorization: bearer right" in server.requests[-1].lower()
        writer.write(page(BUSY) if right else page(b"", "403 Forbidden"))

    async with served(answer) as (endpoint, server):
        (opened,) = await some(Poller(dataclasses.replace(endpoint, api_key="right"), interval=0.05), 1, answered=True)
        (closed,) = await some(Poller(dataclasses.replace(endpoint, api_key="wrong"), interval=0.05), 1, answered=True)
        # With requests of our own in view, the note says whose figures are shown.
        mine = Poller(endpoint, interval=0.05, own=OwnMeasures())
        (measured,) = await some(mine, 1, answered=True)
    assert (opened.note, opened.running) == ("", 3)
    assert closed.note == poll.REFUSED
    assert measured.note == f"{poll.KEYLESS} {poll.MEASURED}"


async def test_nobody_listens() -> None:
    async with served(b"") as (endpoint, _):
        pass
    (sample,) = await some(Poller(endpoint, interval=0.05), 1, answered=True)
    assert sample.note == poll.UNREACHABLE


async def test_an_endless_page_is_bounded() -> None:
    sent = 0

    async def answer(writer: asyncio.StreamWriter, _: int) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        line = b"vllm:num_requests_running 1\n" * 1000
        while True:
            writer.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            await writer.drain()
            sent += len(line)

    async with served(answer) as (endpoint, _):
        notes: list[str] = []
        poller = Poller(endpoint, interval=0.2)
        async with contextlib.aclosing(poller.samples()) as samples:
            async for sample in samples:
                notes.append(sample.note)
                if sample.note == poll.TOO_LARGE:
                    break
    assert sent < 10 * poll.MAX_BYTES


async def test_a_server_that_never_answers_does_not_hold_up_samples() -> None:
    async def answer(_: asyncio.StreamWriter, __: int) -> None:
        await asyncio.sleep(3600)

    async with served(answer) as (endpoint, server):
        started = time.monotonic()
        samples = await some(Poller(endpoint, interval=0.05), 6)
        # Far below the ten seconds that one answer is waited for.
        assert time.monotonic() - started < 5
    assert all("has not answered for" in sample.note for sample in samples)
    assert len(server.requests) == 1


async def test_a_restart_in_between_is_survived() -> None:
    async def answer(writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(page(f"vllm:generation_tokens_total {1000 if number == 1 else 30 * number}\n".encode()))

    async with served(answer) as (endpoint, _):
        samples = await some(Poller(endpoint, interval=0.02), 3, answered=True)
    assert all(sample.generation_rate is None or sample.generation_rate >= 0 for sample in samples)
    assert samples[1].generation_rate == pytest.approx(60 / (samples[1].at - samples[0].at))


async def test_without_a_server_the_machine_is_still_shown() -> None:
    (sample,) = await some(Poller(None, os.getpid(), 0.5), 1)
    assert sample.running is None
    assert sample.host is None or sample.host.total > 0


async def test_this_machines_memory_is_not_taken_for_a_servers_elsewhere() -> None:
    # TEST-NET-1: no such server, so there is nothing but what is known here.
    (sample,) = await some(Poller(Endpoint("http://192.0.2.1:8000"), interval=0.1), 1)
    assert (sample.host, sample.gpus) == (None, ())


async def test_another_server_begins_afresh() -> None:
    one, two = page(b"vllm:num_requests_running 1\n"), page(b"vllm:num_requests_running 2\n")
    async with served(one) as (first, _), served(two) as (second, _):
        poller = Poller(first, interval=0.02)
        seen: list[int | None] = []
        async with contextlib.aclosing(poller.samples()) as samples:
            async for sample in samples:
                # A sample for which the server was not in time tells nothing.
                if sample.running is not None and seen[-1:] != [sample.running]:
                    seen.append(sample.running)
                    poller.watch(second)
                if len(seen) == 2:
                    break
    assert seen == [1, 2]


async def test_once_gives_rates() -> None:
    async def answer(writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(page(f"vllm:generation_tokens_total {number}\n".encode()))

    async with served(answer) as (endpoint, _):
        assert ((await Poller(endpoint).once(apart=0.05)).generation_rate or 0) > 0
