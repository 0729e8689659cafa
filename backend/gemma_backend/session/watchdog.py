"""Notice that a server elsewhere has gone while nothing is asked of it."""

from __future__ import annotations

import asyncio
import contextlib
from urllib.parse import urlsplit

from gemma_backend.types import Endpoint

LOOK_SECONDS = 2.0
CONNECT_SECONDS = 3.0
# One refused connection may be a restart that is over in a moment.
IN_A_ROW = 2


async def gone(endpoint: Endpoint) -> None:
    """Return once `endpoint` takes no connections any more; never, where it took none directly to begin with.

    A proxy may be the only way to it. Nothing is sent: a connection is made and closed.
    """
    if not await takes_connections(endpoint):
        await asyncio.Event().wait()
    failed = 0
    while failed < IN_A_ROW:
        await asyncio.sleep(LOOK_SECONDS)
        failed = 0 if await takes_connections(endpoint) else failed + 1


async def takes_connections(endpoint: Endpoint) -> bool:
    """Whether somebody listens there."""
    parts = urlsplit(endpoint.base_url)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            if endpoint.socket is not None:
                _, writer = await asyncio.open_unix_connection(endpoint.socket)
            else:
                port = parts.port or (443 if parts.scheme == "https" else 80)
                _, writer = await asyncio.open_connection(parts.hostname, port)
    except (OSError, TimeoutError, ValueError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
