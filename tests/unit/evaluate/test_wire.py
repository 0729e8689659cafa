"""The load generator's HTTP: answers read wherever they were cut, as h11 reads them, and nothing else accepted."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_backend.evaluate.bench.wire import AnswerReader, BadAnswer, Closed, Wires
from gemma_backend.types import Endpoint, EndpointError


class Kept:
    def __init__(self) -> None:
        self.body = b""
        self.times: list[float] = []
        self.done = False

    def take(self, body: bytes, at: float) -> None:
        self.body += body
        self.times.append(at)


def by_h11(data: bytes) -> bytes:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    body = b""
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        assert not isinstance(event, type(h11.NEED_DATA))
        body += bytes(event.data) if isinstance(event, h11.Data) else b""
    return body


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    st.lists(st.integers(0, 1000), max_size=8),
    st.sampled_from([b"", b"; name=value"]),
    st.sampled_from([b"", b"Trailer: x\r\n"]),
)
def test_chunks_are_read_as_h11_reads_them(
    chunks: list[bytes], places: list[int], extension: bytes, trailer: bytes
) -> None:
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    data += b"".join(b"%x%s\r\n%s\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
    data += b"0\r\n" + trailer + b"\r\n"
    reader = AnswerReader()
    read = [piece for part in cut(data, places) for piece in reader.feed(part)]
    assert b"".join(read) == b"".join(chunks) == by_h11(data)
    assert reader.complete and reader.keep_alive and reader.status == 200


@given(st.binary(max_size=60), st.lists(st.integers(0, 1000), max_size=5))
def test_a_body_of_a_stated_length(body: bytes, places: list[int]) -> None:
    reader = AnswerReader()
    data = b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    assert b"".join(piece for part in cut(data, places) for piece in reader.feed(part)) == body
    assert reader.complete
    assert reader.status == 404


def test_a_body_that_ends_with_its_connection() -> None:
    reader = AnswerReader()
    assert reader.feed(b"HTTP/1.0 200 OK\r\n\r\nsome") == [b"some"]
    assert not reader.complete
    reader.end()
    assert reader.complete
    assert not reader.keep_alive


def test_an_interim_answer_is_passed_over() -> None:
    reader = AnswerReader()
    assert reader.feed(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") == [b"ok"]


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
        b"x" * 70_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 70_000,
    ],
)
def test_what_is_no_answer_is_said_so(data: bytes) -> None:
    with pytest.raises(BadAnswer):
        AnswerReader().feed(data)


def test_an_early_end_is_told_from_no_beginning() -> None:
    with pytest.raises(Closed):
        AnswerReader().end()
    reader = AnswerReader()
    reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
    with pytest.raises(BadAnswer, match="mid-reply"):
        reader.end()


@asynccontextmanager
async def server(answer: Callable[[int], bytes], *, close: bool = False) -> AsyncIterator[tuple[Wires, list[int]]]:
    """A server that gives `answer(n)` to the n-th request; yields connections to it and a count of those it took."""
    taken: list[int] = []
    asked: list[int] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(1)
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                asked.append(1)
                writer.write(answer(len(asked)))
                await writer.drain()
                if close:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    listening = await asyncio.start_server(talk, "127.0.0.1", 0)
    wires = Wires(Endpoint(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"))
    try:
        yield wires, taken
    finally:
        wires.close()
        listening.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def test_one_connection_serves_one_request_after_another() -> None:
    async with server(lambda number: OK) as (wires, taken):
        for _ in range(3):
            sink = Kept()
            sent, status, said = await wires.ask(wires.request("/v1/completions", b""), sink)
            assert (status, said, sink.body) == (200, b"", b"ok")
            assert sent <= sink.times[0]
        assert len(taken) == 1


async def test_a_connection_that_was_closed_meanwhile_is_opened_anew() -> None:
    async with server(lambda number: OK, close=True) as (wires, taken):
        for _ in range(3):
            _, status, _ = await wires.ask(wires.request("/", b""), Kept())
            assert status == 200
        assert len(taken) == 3


async def test_a_refusal_is_handed_back_and_never_taken_for_text() -> None:
    refusal = b'HTTP/1.1 400 Bad\r\nContent-Length: 9\r\n\r\n{"a": 1}\n'
    async with server(lambda number: refusal) as (wires, _):
        sink = Kept()
        _, status, said = await wires.ask(wires.request("/", b""), sink)
        assert (status, said, sink.body) == (400, b'{"a": 1}\n', b"")


async def test_nobody_there() -> None:
    async with server(lambda number: OK) as (wires, _):
        pass
    with pytest.raises(EndpointError, match="Nothing listens"):
        await wires.ask(b"", Kept())
    with pytest.raises(EndpointError, match="no socket"):
        await Wires(Endpoint("http://localhost", "/nonexistent/x.sock")).ask(b"", Kept())


async def test_the_key_goes_with_the_request() -> None:
    wires = Wires(Endpoint("http://host:8000/base", api_key="secret"))
    head = wires.request("/v1/completions", b"{}").split(b"\r\n")
    assert head[0] == b"POST /base/v1/completions HTTP/1.1"
    assert b"Host: host:8000" in head
    assert b"Authorization: Bearer secret" in head
    assert b"Content-Length: 2" in head
