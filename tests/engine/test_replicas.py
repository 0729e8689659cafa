"""A real vLLM of two replicas on the CPU, watched apart and together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gemma_backend.checkpoint.locate import locate
from gemma_backend.config.profiles import load_profile
from gemma_backend.engine.engine import Engine
from gemma_backend.evaluate.bench.drive import Driver
from gemma_backend.evaluate.bench.wire import Wires
from gemma_backend.evaluate.bench.workload import Pace, Span, Workload
from gemma_backend.metrics.poll import Poller
from gemma_backend.types import Endpoint, Sample
from gemma_tui.tui.top import TopApp
from gemma_tui.tui.widgets.dashboard import Dashboard
from stubs.real_engine import cpu_runtime

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]


@pytest_asyncio.fixture
async def replicas(engine_homes: Path) -> AsyncIterator[tuple[Endpoint, int]]:
    """Two engines behind one server: vLLM's own data parallelism, by a flag of the profile."""
    profile = load_profile("pocket")
    flags = {**profile.flags, "data-parallel-size": 2}
    engine = Engine(
        profile.model_copy(update={"name": "two-replicas", "flags": flags}),
        cpu_runtime(),
        locate(profile.checkpoint or ""),
        reuse=False,
    )
    await engine.start()
    try:
        endpoint = await engine.wait_ready()
        assert engine.pid is not None
        yield endpoint, engine.pid
    finally:
        await engine.stop()
    assert engine.left == []


async def test_two_replicas_apart_and_together(replicas: tuple[Endpoint, int]) -> None:
    endpoint, pid = replicas
    seen: list[Sample] = []

    async def watch() -> None:
        poller = Poller(endpoint, pid, 0.5)
        async with contextlib.aclosing(poller.samples()) as samples:
            async for sample in samples:
                seen.append(sample)  # noqa: PERF401 - what came must be there when this is cancelled

    watching = asyncio.create_task(watch())
    driver = Driver(Wires(endpoint), "gemma-tui/pocket", Workload(output_tokens=Span(60, 60)))
    try:
        await driver.prepare()
        one = await driver.round(Pace(concurrency=8, requests=24, warmup=0))
    finally:
        driver.close()
    await asyncio.sleep(1.5)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert [asked.error for asked in one.asked] == [""] * 24
    told = [sample for sample in seen if sample.replicas]
    assert {tuple(replica.name for replica in sample.replicas) for sample in told} == {("0", "1")}
    # Both have worked, and what they did together is what the sum says.
    for number in (0, 1):
        assert max(sample.replicas[number].generation_rate or 0 for sample in told) > 0
    for sample in told:
        rates = [replica.generation_rate for replica in sample.replicas]
        if sample.generation_rate is not None and None not in rates:
            assert sample.generation_rate == pytest.approx(sum(rate or 0 for rate in rates))
        assert sample.running == sum(replica.running or 0 for replica in sample.replicas)
        assert sample.kv_tokens == sum(replica.kv_tokens or 0 for replica in sample.replicas)
    assert max(sample.host.engine or 0 for sample in told if sample.host) > 3 << 30

    app = TopApp([("two", endpoint, pid)], 0.5)
    async with app.run_test(size=(120, 40)) as pilot:
        for _ in range(200):
            if "engine 1" in app.query_one(Dashboard).words():
                break
            await pilot.pause(0.1)
        assert "engine 0" in app.query_one(Dashboard).words()
        assert "engine 1" in app.query_one(Dashboard).words()
