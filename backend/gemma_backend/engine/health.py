"""Whether an engine answers: `/health` gives 200 only once it is ready."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from gemma_backend.types import Endpoint

PROBE_SECONDS = 2.0


def healthy(endpoint: Endpoint) -> bool:
    """Whether `/health` answers 200 at once."""
    try:
        with connect(endpoint) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return b" 200 " in connection.recv(64).split(b"\r\n")[0] + b" "
    except OSError:
        return False


async def answers(endpoint: Endpoint) -> bool:
    """Whether `/health` answers 200 within two seconds."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            if endpoint.socket is not None:
                reader, writer = await asyncio.open_unix_connection(endpoint.socket)
            else:
                host, _, port = endpoint.base_url.partition("://")[2].rpartition(":")
                reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            with contextlib.closing(writer):
                writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return b" 200" in await reader.readline()
    except (OSError, TimeoutError):
        return False


def connect(endpoint: Endpoint) -> socket.socket:
    """A connection to where `endpoint` listens; raises OSError."""
    if endpoint.socket is None:
        host, _, port = endpoint.base_url.partition("://")[2].rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE_SECONDS)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(PROBE_SECONDS)
    connection.connect(endpoint.socket)
    return connection
