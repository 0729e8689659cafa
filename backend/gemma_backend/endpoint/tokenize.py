"""How many tokens a text has, by the server that will get it."""

from __future__ import annotations

import json

import httpx2

from gemma_backend.endpoint.http import client
from gemma_backend.types import Endpoint

LONGEST = 400_000
"""Characters; a longer text is not sent for counting: the answer would hold every token."""
_ANSWER_LIMIT = 16 << 20


async def count_tokens(endpoint: Endpoint, model: str, text: str) -> int | None:
    """Return the number of tokens of `text` (without BOS), None where the server does not tell.

    vLLM answers `count`, llama.cpp `tokens` alone.
    """
    if len(text) > LONGEST:
        return None
    body = {"model": model, "prompt": text, "content": text, "add_special_tokens": False}
    try:
        async with client(endpoint) as connection:
            response = await connection.post("/tokenize", json=body)
            if response.status_code != 200 or len(response.content) > _ANSWER_LIMIT:
                return None
            answer = json.loads(response.content)
    except (httpx2.HTTPError, OSError, ValueError, RecursionError):
        return None
    count = answer.get("count") if isinstance(answer, dict) else None
    tokens = answer.get("tokens") if isinstance(answer, dict) else None
    if isinstance(count, int) and not isinstance(count, bool):
        return count
    return len(tokens) if isinstance(tokens, list) else None
