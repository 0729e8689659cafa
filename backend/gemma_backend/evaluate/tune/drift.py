"""Whether an engine still says the same: log probabilities of fixed texts, compared token by token."""

from __future__ import annotations

import json
from typing import Any

import httpx2

from gemma_backend.endpoint.http import client
from gemma_backend.evaluate.tune.outcome import Drift
from gemma_backend.types import Endpoint

READ_SECONDS = 120.0
TEXTS = (
    "The lighthouse stood at the end of the long stone pier, and every evening an old woman climbed its ninety-four "
    "steps to light the lamp. She had done so since she was a girl, in calm weather and in storms, and she knew each "
    "ship by the sound of its engine before she could see it. One night in autumn a ship came that she did not know.",
    "To convert a temperature from degrees Celsius to degrees Fahrenheit, multiply it by nine, divide by five, and add "
    "thirty-two. Water freezes at 0 degrees Celsius, which is 32 degrees Fahrenheit, and boils at 100 degrees Celsius, "
    "which is 212 degrees Fahrenheit at sea level.",
    "def mean(values):\n    total = 0.0\n    for value in values:\n        total += value\n"
    "    return total / len(values)\n\n\nassert mean([1, 2, 3]) == 2.0\nassert mean([5]) == 5.0\n",
)
"""A story, an explanation and a program, so that a loss in any of them shows."""


async def prompt_logprobs(endpoint: Endpoint, model: str) -> tuple[float, ...]:
    """The log probability of each token of TEXTS given those before it; () where the server does not give them."""
    found: list[float] = []
    async with client(endpoint, read_seconds=READ_SECONDS) as connection:
        for text in TEXTS:
            body = {"model": model, "prompt": text, "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}
            try:
                response = await connection.post("/v1/completions", json=body)
                found += read_logprobs(response.content) if response.status_code == 200 else ()
            except (httpx2.HTTPError, OSError):
                return ()
    return tuple(found)


def read_logprobs(body: bytes) -> list[float]:
    """The prompt's log probabilities in vLLM's answer; [] for any other answer."""
    try:
        entries: Any = json.loads(body)["choices"][0]["prompt_logprobs"]
        # The first token has nothing before it.
        return [float(next(iter(entry.values()))["logprob"]) for entry in entries if entry]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, StopIteration):
        return []


def drift(baseline: tuple[float, ...], now: tuple[float, ...]) -> Drift | None:
    """How far `now` is from `baseline`; None where they cannot be compared."""
    if not baseline or len(baseline) != len(now):
        return None
    moved = [later - earlier for earlier, later in zip(baseline, now, strict=True)]
    apart = [abs(one) for one in moved]
    return Drift(sum(apart) / len(apart), max(apart), len(apart), sum(moved) / len(moved))
