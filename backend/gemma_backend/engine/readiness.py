"""When an engine that is being started answers, and that it is this engine which does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gemma_backend.engine.health import answers
from gemma_backend.engine.proc import holds, listening
from gemma_backend.engine.reap import Remains
from gemma_backend.types import Endpoint

LOOK_SECONDS = 0.1
OTHERS_SECONDS = 1.0


async def until_ready(endpoint: Endpoint, says_so: Callable[[], bool], remains: Remains) -> None:
    """Return once `/health` answers 200; `says_so` is whether the engine's log told that its server comes up.

    On TCP somebody else's server might answer until ours has the port, so its own word is waited for. Where that is
    lost, because the disk is full, one of its processes must listen there.
    """
    while True:
        ours = endpoint.socket is not None or says_so()
        answered = await answers(endpoint)
        if answered and (ours or await asyncio.to_thread(_has_port, endpoint, remains)):
            return
        await asyncio.sleep(LOOK_SECONDS if ours or not answered else OTHERS_SECONDS)


def _has_port(endpoint: Endpoint, remains: Remains) -> bool:
    port = endpoint.base_url.rpartition(":")[2]
    sockets = listening(int(port)) if port.isdigit() else set()
    return any(holds(pid, sockets) for pid in remains.pids())
