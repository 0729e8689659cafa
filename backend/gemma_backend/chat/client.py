"""The OpenAI client, imported late and off the event loop: it takes a quarter of a second and some 10 MB."""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, Any

from gemma_backend.chat.late_types import put_off
from gemma_backend.endpoint.http import client as http_client
from gemma_backend.types import Endpoint

if TYPE_CHECKING:
    import openai

_MODULES = ("openai", "openai.resources.chat.completions", "openai.resources.completions")


def _import_all() -> None:
    put_off()
    for name in _MODULES:
        importlib.import_module(name)


async def warm_import() -> None:
    """Import the OpenAI client in a thread; later calls return at once. Await it before the first prompt."""
    await asyncio.to_thread(_import_all)


def openai_client(endpoint: Endpoint, *, read_seconds: float) -> openai.AsyncOpenAI:
    """An OpenAI client for `endpoint`, to be closed after use; its requests carry `request_headers`."""
    import openai

    return openai.AsyncOpenAI(
        api_key=endpoint.api_key or "none",
        base_url=endpoint.v1,
        http_client=http_client(endpoint, read_seconds=read_seconds),
        max_retries=0,
    )


def request_headers(endpoint: Endpoint) -> dict[str, Any]:
    """Headers of one request: no compression, and nothing of the environment's OpenAI account or of a missing key."""
    import openai

    headers: dict[str, Any] = {
        "Accept-Encoding": "identity",
        "OpenAI-Organization": openai.Omit(),
        "OpenAI-Project": openai.Omit(),
    }
    if endpoint.api_key is None:
        headers["Authorization"] = openai.Omit()
    return headers
