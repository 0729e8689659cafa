"""An hour that was recorded from a real vLLM, with a restart in it, played through everything the dashboard does."""

from __future__ import annotations

import asyncio
import contextlib
import tracemalloc
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gemma_backend.metrics.history import History
from gemma_backend.metrics.parse import parse
from gemma_backend.metrics.poll import UNREACHABLE, Poller
from gemma_backend.metrics.rates import sample
from gemma_backend.metrics.reading import read
from gemma_backend.metrics.window import WINDOWS, Readings
from gemma_backend.types import Endpoint, Sample
from stubs.recording import pages

HOUR = Path(__file__).parents[2] / "fixtures" / "metrics" / "vllm-0.32-cpu-hour.jsonl.xz"


@cache
def recorded() -> tuple[str, ...]:
    return tuple(pages(HOUR))


def by_prometheus(page: str, name: str) -> float | None:
    """The sum of a counter as prometheus-client's parser reads it (given the lines of that name, as it is slow)."""
    lines = "".join(f"{line}\n" for line in page.split("\n") if line.startswith(name))
    values = [
        one.value for family in text_string_to_metric_families(lines) for one in family.samples if one.name == name
    ]
    return sum(values) if values else None


@cache
def played() -> tuple[list[Sample], History, Readings]:
    """Every page a second after the one before."""
    readings, history, found = Readings(), History(), []
    for second, page in enumerate(recorded()):
        reading = read(parse(page, float(second)))
        if reading.server:
            old = readings.last
            readings.add(reading)
            since = readings.since(3600.0)
            look = sample(old, reading, since if since is not reading else None)
        else:
            look = Sample(float(second), note=UNREACHABLE)
        history.add(look)
        found.append(look)
    return found, history, readings


def test_every_token_is_counted_once_through_a_restart() -> None:
    found, _, _ = played()
    true, before = 0.0, None
    for page in recorded():
        now = by_prometheus(page, "vllm:generation_tokens_total")
        if now is None:
            continue
        if before is not None:
            true += now - before if now >= before else now
        before = now
    # Rates times the time since the last page that was there.
    counted, last = 0.0, None
    for look in found:
        if look.note:
            continue
        if look.generation_rate is not None and last is not None:
            counted += look.generation_rate * (look.at - last)
        last = look.at
    assert true > 10_000
    assert counted == pytest.approx(true)
    assert all(look.generation_rate is None or look.generation_rate >= 0 for look in found)


def test_what_was_away_is_a_gap_and_never_a_zero() -> None:
    found, history, _ = played()
    away = [index for index, look in enumerate(found) if look.note]
    assert len(away) > 100
    course = history.last("generation")
    assert len(course) == 3600
    assert all(course[index] is None for index in away)
    assert any(value for value in course if value is not None)


def test_latencies_of_the_hour_lie_between_their_buckets() -> None:
    """The median over the last engine's life, from deltas that prometheus-client's parser gives."""
    found, _, _ = played()
    whole = [page for page in recorded() if page.strip()]
    buckets: dict[float, float] = {}
    for family in text_string_to_metric_families(whole[-1]):
        for one in family.samples:
            if one.name == "vllm:time_to_first_token_seconds_bucket":
                bound = float(one.labels["le"])
                buckets[bound] = buckets.get(bound, 0.0) + one.value
    last = found[-1].ttft
    assert last.p50 is not None and last.p95 is not None
    bounds = sorted(buckets)
    # What the first engine counted after the window began is known no more once it has restarted.
    half = next(index for index, bound in enumerate(bounds) if buckets[bound] >= buckets[bounds[-1]] / 2)
    assert (bounds[half - 1] if half else 0.0) <= last.p50 <= bounds[half]
    assert last.p50 <= last.p95


def test_an_hour_is_kept_in_bounded_memory() -> None:
    _, history, readings = played()
    assert len(readings) < 200
    assert readings.since(max(WINDOWS)) is not None
    tracemalloc.start()
    again = History()
    for look in played()[0]:
        again.add(look)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 1 << 20
    assert again.last("running") == history.last("running")


@contextlib.asynccontextmanager
async def replaying(first: int, step: int) -> AsyncIterator[Endpoint]:
    """A server that gives every `step`-th recorded page from `first` on; while the real one was away it hangs up."""
    number = first

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal number
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                body = recorded()[min(number, len(recorded()) - 1)].encode()
                number += step
                if not body.strip():
                    break
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield Endpoint(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    finally:
        server.close()


async def test_the_poller_sees_the_same_over_http() -> None:
    """From before the restart to after it, over a real socket and far faster than it was."""
    gone = next(index for index, page in enumerate(recorded()) if index > 500 and not page.strip())
    found: list[Sample] = []
    async with (
        replaying(gone - 60, 5) as endpoint,
        contextlib.aclosing(Poller(endpoint, None, 0.02).samples()) as looks,
    ):
        async for look in looks:
            found.append(look)
            back = any(one.note for one in found) and look.generation_rate is not None
            if back or len(found) > 2000:
                break
    assert any(one.note == UNREACHABLE and one.generation_rate is None for one in found)
    assert found[-1].generation_rate is not None
    assert found[-1].generation_rate >= 0
    assert found[-1].make == "vLLM"
