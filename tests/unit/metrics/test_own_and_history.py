"""What this client measures itself, and the course of figures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_backend.metrics.history import MINUTES, SECONDS, History, Ring
from gemma_backend.metrics.own import OwnMeasures
from gemma_backend.types import Delta, Finished, GpuMemory, HostMemory, Quantiles, Sample, Started, Usage


def test_a_steady_stream_by_hand() -> None:
    measures = OwnMeasures()
    request = measures.begin(10.0)
    request.observe(Started(10.05), 10.05)
    request.observe(Delta("Once"), 10.5)
    request.observe(Usage(5, 1), 10.5)
    for step in range(1, 41):
        request.observe(Delta(" upon"), 10.5 + step * 0.1)
        request.observe(Usage(5, 1 + step * 4), 10.5 + step * 0.1)
    seen = measures.sample(14.5)
    assert seen.running == 1
    assert seen.generation_rate == pytest.approx(40.0)
    assert seen.ttft.p50 == pytest.approx(0.5)
    assert seen.itl.p50 == pytest.approx(0.025)
    request.observe(Finished("stop"), 14.5)
    after = measures.sample(17.0)
    assert (after.running, after.generation_rate) == (0, 0.0)
    gone = measures.sample(100.0)
    assert gone.ttft == Quantiles()


def test_a_server_that_counts_only_at_the_end() -> None:
    measures = OwnMeasures()
    request = measures.begin(0.0)
    request.observe(Delta("a"), 1.0)
    request.observe(Delta("b"), 2.0)
    assert measures.sample(2.0).generation_rate is None
    request.observe(Usage(3, 21), 3.0)
    seen = measures.sample(3.0)
    assert seen.generation_rate == pytest.approx(10.0)
    assert seen.itl.p50 == pytest.approx(0.1)


def test_only_gaps_are_filled() -> None:
    measures = OwnMeasures()
    measures.begin(0.0).observe(Delta("a"), 0.25)
    told = Sample(1.0, running=7)
    filled = measures.fill(told)
    assert filled.running == 7
    assert filled.ttft.p50 == 0.25


def test_an_abandoned_request_can_be_ended() -> None:
    measures = OwnMeasures()
    request = measures.begin(0.0)
    request.end()
    request.end()
    assert measures.sample(1.0).running == 0


@given(size=st.integers(1, 20), values=st.lists(st.one_of(st.none(), st.integers(0, 1000)), max_size=60))
def test_a_ring_keeps_the_newest(size: int, values: list[int | None]) -> None:
    ring = Ring(size)
    for value in values:
        ring.add(value)
    assert ring.last(size) == values[-size:]
    assert ring.last(3) == values[-min(3, size) :]
    assert len(ring) == min(size, len(values))


def test_numbers_too_large_for_a_float_are_gaps() -> None:
    ring = Ring(2)
    ring.add(1e300)
    assert ring.last(1) in ([None], [float("inf")])


def test_an_hour_and_a_day_are_kept_and_no_more() -> None:
    history = History()
    host = HostMemory(total=100, available=40, engine=30, engine_cpu=1.5)
    for second in range(2 * SECONDS):
        gpu = GpuMemory(0, "a", "b", used=7)
        history.add(Sample(float(second), generation_rate=float(second), host=host, gpus=(gpu, gpu)))
    assert len(history) == SECONDS
    assert history.last("generation", 2) == [2 * SECONDS - 2, 2 * SECONDS - 1]
    assert history.last("host_memory", 1) == [60]
    assert history.last("gpu_memory", 1) == [14]
    assert history.last("waiting", 1) == [None]
    minutes = history.minutes("generation")
    assert len(minutes) == 2 * SECONDS // 60 - 1
    assert minutes[:2] == [29.5, 89.5]


def test_a_pause_leaves_gaps_in_the_minutes() -> None:
    history = History()
    history.add(Sample(0.0, generation_rate=1.0))
    history.add(Sample(200.0, generation_rate=2.0))
    assert history.minutes("generation") == [1.0, None, None]
    history.add(Sample(1e9, generation_rate=2.0))
    assert len(history.minutes("generation")) == MINUTES
