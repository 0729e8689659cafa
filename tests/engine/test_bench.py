"""`bench` on a real vLLM: what it counts is what the engine counted."""

from __future__ import annotations

import pytest

from gemma_backend.endpoint.http import client
from gemma_backend.evaluate.bench.drive import Driver
from gemma_backend.evaluate.bench.summary import summarise
from gemma_backend.evaluate.bench.watch import Watch
from gemma_backend.evaluate.bench.wire import Wires
from gemma_backend.evaluate.bench.workload import Pace, Span, Workload
from gemma_backend.metrics.parse import Snapshot, parse
from gemma_backend.types import Endpoint
from stubs.real_engine import BackgroundEngine

pytestmark = pytest.mark.engine
MODEL = "gemma-tui/pocket"


async def scraped(endpoint: Endpoint) -> Snapshot:
    async with client(endpoint) as connection:
        return parse((await connection.get("/metrics")).text)


def total(snapshot: Snapshot, name: str) -> float:
    return sum(value for _, value in snapshot.of(name))


async def test_tokens_requests_and_first_tokens_are_the_engines_own(
    real_engine: BackgroundEngine, real_endpoint: Endpoint
) -> None:
    workload = Workload(
        prompt_tokens=Span(60, 120),
        output_tokens=Span(6, 12),
        mix={"text": 2, "image": 1, "audio": 1},
        audio_seconds=1.0,
    )
    driver = Driver(Wires(real_endpoint), MODEL, workload)
    try:
        await driver.prepare()
        before = await scraped(real_endpoint)
        one = await driver.round(
            Pace(concurrency=4, requests=12, warmup=0), watch=Watch(real_endpoint, real_engine.engine.pid)
        )
        after = await scraped(real_endpoint)
    finally:
        driver.close()
    assert [asked.error for asked in one.asked] == [""] * 12
    assert {asked.kind for asked in one.asked} == {"text", "image", "audio"}
    assert all(6 <= asked.output_tokens <= 12 for asked in one.asked)

    def grown(name: str) -> float:
        return total(after, name) - total(before, name)

    found = summarise(one)
    assert grown("vllm:generation_tokens_total") == sum(asked.output_tokens for asked in one.asked)
    assert grown("vllm:prompt_tokens_total") == sum(asked.prompt_tokens or 0 for asked in one.asked)
    assert grown("vllm:time_to_first_token_seconds_count") == 12
    # The engine's clock starts when a request has been read, ours when it is sent.
    assert found.ttft.mean is not None
    assert found.ttft.mean >= grown("vllm:time_to_first_token_seconds_sum") / 12 * 0.98
    assert one.server.engine_memory_peak is not None
    assert one.server.engine_memory_peak > 1 << 30
    text = [asked.prompt_tokens or 0 for asked in one.asked if asked.kind == "text"]
    assert all(45 <= count <= 150 for count in text)


async def test_prompts_come_out_as_long_as_was_asked_for(real_endpoint: Endpoint) -> None:
    driver = Driver(Wires(real_endpoint), MODEL, Workload(prompt_tokens=Span(400, 400), output_tokens=Span(1, 1)))
    try:
        await driver.prepare()
        one = await driver.round(Pace(requests=6, warmup=0))
    finally:
        driver.close()
    lengths = [asked.prompt_tokens or 0 for asked in one.asked]
    assert all(0.9 * 400 <= length <= 1.1 * 400 for length in lengths)
