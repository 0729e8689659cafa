"""HTTP/1.1 for a load generator: bytes are handed on with the time they came, at a few microseconds a token.

A server that streams sends each token as a chunk of its own. General clients spend 50 to 100 us on such a chunk, which
would make the client what is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import urlsplit

from gemma_backend.endpoint.address import place
from gemma_backend.endpoint.faults import transport_sentence
from gemma_backend.endpoint.http import CONNECT_SECONDS, ssl_context
from gemma_backend.types import Endpoint, EndpointError

HEAD_LIMIT = 64 << 10
"""Bytes of a status line and headers; more is no answer of an OpenAI server."""
END_SECONDS = 0.5
"""How long the end of a body may follow the reply's own end mark."""


class Sink(Protocol):
    """Takes in one answer's body; `at` is when the bytes came, in seconds of the wire's clock."""

    def take(self, body: bytes, at: float) -> None:
        """Take in the next bytes of the body."""

    @property
    def done(self) -> bool:
        """Whether nothing more is wanted."""


class BadAnswer(Exception):
    """What came is not HTTP/1.1; `str()` says what was wrong in a few words."""


class Closed(BadAnswer):
    """The server closed the connection before the first byte of an answer."""


class AnswerReader:
    """Reads one HTTP answer from bytes, wherever they were cut.

    `status` is 0 until the head is complete; `complete` is true after the last byte of the body, and `keep_alive`
    tells whether another request may follow on the same connection.
    """

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.complete = False
        self.keep_alive = True
        self._rest = b""
        self._left = 0
        self._chunked = False
        self._until_close = False
        self._trailer = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the pieces of body that `data` holds; raises BadAnswer."""
        if not self.status:
            data = self._rest + data
            self._rest = b""
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                if len(head) > HEAD_LIMIT:
                    raise BadAnswer("its headers never end")
                self._rest = head
                return []
            self._read_head(head)
            if self.status < 200:
                self.status = 0
                return self.feed(data)
            if not data:
                return []
        if self._chunked:
            return self._chunks(data)
        if self._until_close:
            return [data]
        piece = data[: self._left]
        self._left -= len(piece)
        self.complete = self._left == 0
        return [piece] if piece else []

    def end(self) -> None:
        """The connection was closed: that ends a body whose length nobody said; raises BadAnswer for any other."""
        self.keep_alive = False
        if self._until_close and self.status:
            self.complete = True
        if self.complete:
            return
        if not self.status and not self._rest:
            raise Closed("it closed the connection")
        raise BadAnswer("it ended the connection in mid-reply")

    def _read_head(self, head: bytes) -> None:
        line, *fields = head.split(b"\r\n")
        version, _, rest = line.partition(b" ")
        if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
            raise BadAnswer("it did not answer in HTTP/1.1")
        self.status = int(rest[:3])
        self.headers = {}
        for field in fields:
            name, _, value = field.partition(b":")
            self.headers[name.strip().lower()] = value.strip()
        connection = self.headers.get(b"connection", b"").lower()
        self.keep_alive = connection != b"close" and (version != b"HTTP/1.0" or connection == b"keep-alive")
        if b"chunked" in self.headers.get(b"transfer-encoding", b"").lower():
            self._chunked = True
        elif (length := self.headers.get(b"content-length")) is not None:
            if not length.isdigit():
                raise BadAnswer("its Content-Length is no number")
            self._left = int(length)
            self.complete = self._left == 0
        elif self.status in (204, 304):
            self.complete = True
        elif self.status >= 200:
            self._until_close = True
            self.keep_alive = False

    def _chunks(self, data: bytes) -> list[bytes]:
        pieces: list[bytes] = []
        if self._rest:
            data = self._rest + data
            self._rest = b""
        position, size = 0, len(data)
        while position < size and not self.complete:
            if self._left > 2:
                # The two bytes after a chunk's data are its line end.
                piece = data[position : position + self._left - 2]
                pieces.append(piece)
                self._left -= len(piece)
                position += len(piece)
            elif self._left:
                skipped = min(self._left, size - position)
                position += skipped
                self._left -= skipped
            else:
                end = data.find(b"\r\n", position)
                if end < 0:
                    if size - position > HEAD_LIMIT:
                        raise BadAnswer("a chunk of it has no length")
                    self._rest = data[position:]
                    break
                self._line(data[position:end])
                position = end + 2
        return pieces

    def _line(self, line: bytes) -> None:
        if self._trailer:
            self.complete = not line
            return
        try:
            length = int(line.partition(b";")[0], 16)
        except ValueError:
            raise BadAnswer("a chunk of it has no length") from None
        if length < 0:
            raise BadAnswer("a chunk of it has no length")
        if length:
            self._left = length + 2
        else:
            self._trailer = True


class Wire(asyncio.Protocol):
    """One connection to a server, used for one request after another."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._transport: asyncio.Transport | None = None
        self._reader: AnswerReader | None = None
        self._sink: Sink | None = None
        self._refusal = bytearray()
        self._answered: asyncio.Future[None] | None = None
        self._ending = False

    @property
    def usable(self) -> bool:
        """Whether another request can go out on it."""
        return self._transport is not None and not self._transport.is_closing() and self._reader is None

    async def ask(self, request: bytes, sink: Sink) -> tuple[float, int, bytes]:
        """Send `request`, feed a 200's body to `sink`; returns when it was sent, the status and a refusal's body.

        Raises BadAnswer or OSError where there is no whole answer. Being cancelled closes the connection, on which a
        server stops generating.
        """
        assert self._transport is not None
        self._reader, self._sink, self._refusal, self._ending = AnswerReader(), sink, bytearray(), False
        self._answered = asyncio.get_running_loop().create_future()
        sent = self._clock()
        self._transport.write(request)
        try:
            await self._answered
            reader = self._reader
            if not reader.keep_alive or not reader.complete:
                self.close()
            return sent, reader.status, bytes(self._refusal)
        except BaseException:
            self.close()
            raise
        finally:
            self._reader = self._sink = self._answered = None

    def close(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        at = self._clock()
        reader, sink = self._reader, self._sink
        if reader is None or sink is None or self._answered is None:
            # Nobody asked: the connection is of no more use.
            self.close()
            return
        try:
            for piece in reader.feed(data):
                if reader.status == 200:
                    sink.take(piece, at)
                elif len(self._refusal) < HEAD_LIMIT:
                    self._refusal += piece
        except BadAnswer as error:
            self._settle(error)
            return
        if reader.complete:
            self._settle(None)
        elif sink.done and not self._ending:
            # The end of the body mostly follows in a packet of its own; without it the connection is of no more use.
            self._ending = True
            asyncio.get_running_loop().call_later(END_SECONDS, self._settle, None, self._answered)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._reader is None:
            return
        if exc is not None:
            self._settle(exc)
            return
        try:
            self._reader.end()
        except BadAnswer as error:
            self._settle(error)
        else:
            self._settle(None)

    def _settle(self, error: Exception | None, meant: asyncio.Future[None] | None = None) -> None:
        if self._answered is None or self._answered.done() or meant not in (None, self._answered):
            return
        if error is None:
            self._answered.set_result(None)
        else:
            self._answered.set_exception(error)


class Wires:
    """Connections to one endpoint, as many as requests run at once; close it after use."""

    def __init__(self, endpoint: Endpoint, clock: Callable[[], float] = time.perf_counter) -> None:
        self.endpoint = endpoint
        self._clock = clock
        self._idle: list[Wire] = []
        parts = urlsplit(endpoint.base_url)
        self._host, self._tls = parts.hostname or "", parts.scheme == "https"
        self._port = parts.port or (443 if self._tls else 80)
        self._path, self._netloc = parts.path, parts.netloc

    def request(self, path: str, body: bytes) -> bytes:
        """The bytes of a POST of JSON to `path` (such as `/v1/completions`)."""
        lines = [
            f"POST {self._path}{path} HTTP/1.1",
            f"Host: {self._netloc}",
            "Content-Type: application/json",
            "Accept: text/event-stream",
            "Accept-Encoding: identity",
            "User-Agent: gemma-tui",
            f"Content-Length: {len(body)}",
        ]
        if self.endpoint.api_key:
            lines.append(f"Authorization: Bearer {self.endpoint.api_key}")
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body

    async def ask(self, request: bytes, sink: Sink) -> tuple[float, int, bytes]:
        """Send `request` on an idle connection or a new one; see `Wire.ask`.

        Raises EndpointError, besides, where no connection can be had.
        """
        while self._idle:
            wire = self._idle.pop()
            if wire.usable:
                # A server may close an idle connection in the moment in which it is used again.
                with contextlib.suppress(Closed, ConnectionResetError, BrokenPipeError):
                    return await self._asked(wire, request, sink)
        return await self._asked(await self._connected(), request, sink)

    async def _asked(self, wire: Wire, request: bytes, sink: Sink) -> tuple[float, int, bytes]:
        answer = await wire.ask(request, sink)
        if wire.usable:
            self._idle.append(wire)
        return answer

    async def _connected(self) -> Wire:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                if self.endpoint.socket is not None:
                    _, wire = await loop.create_unix_connection(self._wire, self.endpoint.socket)
                else:
                    tls: Any = {"ssl": ssl_context(self.endpoint), "server_hostname": self._host} if self._tls else {}
                    _, wire = await loop.create_connection(self._wire, self._host, self._port, **tls)
        except TimeoutError:
            where = place(self.endpoint)
            raise EndpointError(f"{where} did not take the connection in time: check address and network.") from None
        except OSError as error:
            raise EndpointError(transport_sentence(error, self.endpoint)) from None
        return wire

    def close(self) -> None:
        """Close those that are idle."""
        for wire in self._idle:
            wire.close()
        self._idle.clear()

    def _wire(self) -> Wire:
        return Wire(self._clock)
