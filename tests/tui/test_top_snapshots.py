"""Pictures of the dashboard alone: the recorded hour as it stood at one moment, on a card and on servers elsewhere.

`pytest tests/tui/test_top_snapshots.py --snapshot-update` makes them anew after a change that is meant.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from gemma_backend.metrics.facts import Facts, MemoryParts
from gemma_backend.metrics.limit import TokenBytes
from gemma_backend.metrics.parse import parse
from gemma_backend.metrics.poll import UNREACHABLE
from gemma_backend.metrics.rates import sample
from gemma_backend.metrics.reading import read
from gemma_backend.metrics.together import together
from gemma_backend.metrics.window import Readings
from gemma_backend.types import Endpoint, GpuMemory, HostMemory, Replica, Sample
from gemma_tui.tui.themes import DARK, LIGHT
from gemma_tui.tui.top import TopApp
from stubs.recording import pages

HOUR = Path(__file__).parents[1] / "fixtures" / "metrics" / "vllm-0.32-cpu-hour.jsonl.xz"
FIRST, LAST = 745, 805
GIB = 1 << 30
CARD = GpuMemory(
    0, "NVIDIA GB10", "u", total=119 * GIB, used=int(31.4 * GIB), unified=True, utilisation=0.92, power=38.2,
    temperature=61, clock=2418,
)  # fmt: skip
FACTS = Facts(MemoryParts(), True, TokenBytes(1_856_000_000, 17_920, 0), bandwidth=273e9, device="GB10")
Compare = Callable[..., bool]


@cache
def minute() -> tuple[Sample, ...]:
    """A minute of the recorded hour in which much was asked."""
    readings, found = Readings(), []
    for second, page in enumerate(list(pages(HOUR))[FIRST:LAST]):
        reading = read(parse(page, float(second)))
        old = readings.last
        readings.add(reading)
        since = readings.since(60.0)
        found.append(sample(old, reading, since if since is not reading else None))
    return tuple(found)


class Still(TopApp):
    """Looks at nobody: its boards are given what they show."""

    async def _show_samples(self, index: int) -> None:
        return

    def _add_up(self) -> None:
        return


def shown(compare: Compare, app: Still, feed: Callable[[Still], None], size: tuple[int, int]) -> bool:
    async def before(pilot: Pilot[Any]) -> None:
        await pilot.pause()
        feed(app)
        await pilot.pause()

    return compare(app, terminal_size=size, run_before=before)


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
@pytest.mark.parametrize("theme", [DARK.name, LIGHT.name])
def test_a_card_and_its_limit(snap_compare: Compare, theme: str, size: tuple[int, int]) -> None:
    """What a DGX Spark shows: one pool of memory, and how near decoding comes to what it allows."""
    app = Still([("dgx-spark", Endpoint("http://127.0.0.1:9"), None)])
    app.theme = theme

    def feed(app: Still) -> None:
        (board,) = app.boards
        board.show_engine("ready", None, 754.0)
        board.show_facts(FACTS)
        for one in minute():
            host = HostMemory(119 * GIB, int(87.6 * GIB), int(9.4 * GIB), 1.4)
            board.show(dataclasses.replace(one, host=host, gpus=(CARD,)))

    assert shown(snap_compare, app, feed, size)


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
def test_servers_side_by_side(snap_compare: Compare, size: tuple[int, int]) -> None:
    """One with two engines, one of another make, one that is gone, and the sum of those that answer."""
    names = ("http://tower:8000", "http://laptop:8080", "http://gone:8000")
    app = Still([(name, Endpoint(name), None) for name in names])

    def feed(app: Still) -> None:
        total, two, other, gone = app.boards
        for one in minute():
            half = one.generation_rate / 2 if one.generation_rate is not None else None
            replicas = tuple(Replica(name, half, 0.0, 4, 1, 0.004) for name in ("0", "1"))
            first = dataclasses.replace(one, replicas=replicas)
            second = Sample(one.at, 31.5, 0.0, running=1, waiting=0, kv_cache=0.12, make="llama.cpp")
            third = Sample(one.at, note=UNREACHABLE)
            for board, each in ((two, first), (other, second), (gone, third)):
                board.show_engine("stopped" if each.note else "ready")
                board.show(each)
            total.show_engine("ready")
            total.show(together([first, second, third]))

    assert shown(snap_compare, app, feed, size)
