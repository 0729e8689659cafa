"""When an engine that stays is slept, woken and stopped, on a server that answers like vLLM's."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gemma_backend.engine.idle import Idle, Use, use

METRICS = Path(__file__).parents[2] / "fixtures" / "metrics"


class Engine:
    """What it is asked is written down, what it answers is set."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.page = page(1)
        self.answers = True

    def ask(self, method: str, path: str, seconds: float) -> tuple[int, bytes]:
        self.asked.append(f"{method} {path}")
        return (200, self.page) if self.answers else (0, b"")


class Clock:
    """Time that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def page(tokens: int, running: int = 0) -> bytes:
    return (
        f'vllm:num_requests_running{{engine="0"}} {running}\nvllm:generation_tokens_total{{e="0"}} {tokens}\n'.encode()
    )


def run(idle: Idle, clock: Clock, seconds: float, leased: bool = False) -> bool:
    """Turn for `seconds`, a second at a time; whether it should be stopped at some point."""
    due = False
    for _ in range(int(seconds)):
        clock.now += 1.0
        due = idle.turn(leased) or due
        until(lambda: not idle.working)
    return due


def until(true: Callable[[], bool]) -> None:
    for _ in range(500):
        if true():
            return
        time.sleep(0.002)
    raise AssertionError("it did not come about")


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_captured_pages_are_read() -> None:
    idle = use((METRICS / "vllm-0.32-cpu-idle.prom").read_bytes())
    busy = use((METRICS / "vllm-0.32-cpu-busy.prom").read_bytes())
    assert idle is not None and busy is not None
    assert not idle.busy and busy.busy
    assert busy.counted > 0
    assert use(b"# nothing of vLLM's\nother_total 5\n") is None
    assert use(b"vllm:num_requests_running nan?\n") is None
    assert use(b'vllm:prompt_tokens_total{a="b c"} 7\n') == Use(7.0, False)


def test_it_is_stopped_once_nobody_used_it_for_so_long(engine: Engine, clock: Clock) -> None:
    idle = Idle(engine.ask, 100, 0, clock)
    engine.page = page(1)
    assert not run(idle, clock, 95)
    engine.page = page(2)
    assert not run(idle, clock, 95)
    engine.page = page(2, running=1)
    assert not run(idle, clock, 300)
    engine.page = page(2)
    assert run(idle, clock, 110)


def test_a_lease_counts_as_use_and_zero_as_never(engine: Engine, clock: Clock) -> None:
    idle = Idle(engine.ask, 50, 0, clock)
    assert not run(idle, clock, 500, leased=True)
    assert engine.asked == []
    assert not run(idle, clock, 45)
    assert run(idle, clock, 20)
    assert not run(Idle(engine.ask, 0, 0, clock), clock, 5000)


def test_one_that_still_starts_is_not_idle_and_one_that_hangs_is(engine: Engine, clock: Clock) -> None:
    idle = Idle(engine.ask, 60, 20, clock)
    engine.answers = False
    assert not run(idle, clock, 400)
    engine.answers = True
    assert not run(idle, clock, 10)
    engine.answers = False
    assert run(idle, clock, 90)


def test_it_sleeps_first_and_wakes_for_a_lease(engine: Engine, clock: Clock) -> None:
    idle = Idle(engine.ask, 200, 40, clock)
    run(idle, clock, 30)
    assert not idle.asleep
    run(idle, clock, 30)
    assert idle.asleep
    assert [one for one in engine.asked if "POST" in one] == ["POST /sleep?level=1&mode=wait"]
    assert not run(idle, clock, 2, leased=True)
    assert not idle.asleep and engine.asked[-1] == "POST /wake_up"
    run(idle, clock, 60)
    assert idle.asleep
    assert run(idle, clock, 200)


def test_a_request_without_a_lease_wakes_it(engine: Engine, clock: Clock) -> None:
    idle = Idle(engine.ask, 0, 40, clock)
    run(idle, clock, 60)
    assert idle.asleep
    engine.page = page(1, running=1)
    run(idle, clock, 5)
    assert not idle.asleep


def test_an_engine_that_cannot_sleep_is_asked_once(engine: Engine, clock: Clock) -> None:
    idle = Idle(engine.ask, 200, 40, clock)
    run(idle, clock, 10)
    engine.answers = False
    run(idle, clock, 100)
    assert not idle.asleep
    assert sum("sleep" in one for one in engine.asked) == 1
    assert run(idle, clock, 100)
