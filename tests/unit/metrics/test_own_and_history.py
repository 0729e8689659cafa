"""What this client measures itself, and the course of figures."""

from __future__ import annotations

import csv
import datetime
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_backend.metrics.export import as_csv, as_json
from gemma_backend.metrics.history import FIGURES, MINUTES, SECONDS, History, Ring
from gemma_backend.metrics.own import OwnMeasures
from gemma_backend.types import Delta, Failed, Finished, GpuMemory, HostMemory, Quantiles, Sample, Started, Usage


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


def test_rows_of_own_requests_by_hand() -> None:
    measures = OwnMeasures()
    first, second, third = (measures.begin(at) for at in (10.0, 11.0, 12.0))
    first.observe(Started(10.1), 10.1)
    first.observe(Delta("a"), 10.5)
    first.observe(Usage(7, 1), 10.5)
    first.observe(Usage(7, 21), 12.5)
    second.observe(Delta("b"), 11.25)
    second.observe(Usage(9, 11), 12.25)
    second.observe(Finished("stop"), 12.5)
    third.observe(Failed("gone"), 12.6)
    rows = measures.rows(13.0)
    assert [row.state for row in rows] == ["failed", "done", "streaming"]
    streaming = rows[2]
    assert (streaming.age, streaming.ttft, streaming.tokens, streaming.prompt_tokens) == (3.0, 0.5, 21, 7)
    assert streaming.rate == 10.0
    assert rows[1].rate == 10.0
    assert rows[0].ttft is None
    for _ in range(50):
        measures.begin(14.0)
    assert len(measures.rows(15.0)) == 20
    assert measures.fill(Sample(15.0)).own[0].state == "waiting"


def test_what_did_not_come_in_time_leaves_a_gap() -> None:
    history = History()
    for at in (0.0, 1.0, 2.1, 7.0):
        history.add(Sample(at, generation_rate=at))
    assert history.last("generation") == pytest.approx([0.0, 1.0, 2.1, None, None, None, None, 7.0])
    assert history.added == 8
    history.add(Sample(7.0 + 10**6, generation_rate=5.0))
    assert len(history) == 3600
    assert history.last("generation", 2) == [None, 5.0]


def test_a_history_is_written_as_a_table_and_comes_back() -> None:
    history = History()
    for second in range(4000):
        history.add(Sample(float(second), generation_rate=float(second)))
    until = datetime.datetime(2026, 11, 25, 12, 0, tzinfo=datetime.UTC)
    rows = list(csv.DictReader(io.StringIO(as_csv({"a": history}, until))))
    # An hour of seconds, before it the minutes that those do not cover.
    assert len(rows) == 3600 + 5
    assert rows[-1]["time"] == "2026-11-25T12:00:00+00:00"
    assert rows[-1]["generation (tokens/s)"] == "3999"
    assert rows[-1]["prompt (tokens/s)"] == ""
    assert [row["seconds"] for row in rows[:6]] == ["60"] * 5 + ["1"]
    assert float(rows[0]["generation (tokens/s)"]) == pytest.approx(sum(range(60)) / 60)
    whole = json.loads(as_json({"a": history, "b": History()}, until))
    assert whole["servers"][0]["rows"][-1]["generation"] == 3999
    assert whole["servers"][1]["rows"] == []
    assert set(whole["units"]) == set(FIGURES)
