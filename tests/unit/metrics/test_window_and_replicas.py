"""Windows of latencies up to an hour, engines apart, and what is told besides: on captures and made-up series."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_backend.metrics.parse import Snapshot, parse
from gemma_backend.metrics.rates import MOST_REPLICAS, rates, sample
from gemma_backend.metrics.reading import Histogram, Reading, read
from gemma_backend.metrics.window import TIERS, WINDOWS, Readings

FIXTURES = Path(__file__).parents[2] / "fixtures" / "metrics"
H200 = (FIXTURES / "vllm-0.26-h200-after-load.prom").read_text()
BUSY = (FIXTURES / "vllm-0.32-cpu-busy.prom").read_text()


def test_a_window_begins_where_it_was_chosen_to() -> None:
    readings = Readings()
    for second in range(7200):
        readings.add(Reading(float(second)))
    assert readings.last is not None
    assert readings.last.at == 7199
    for window, slack in zip(WINDOWS, (1, 1, 10, 60), strict=True):
        since = readings.since(window)
        assert since is not None
        assert window <= 7199 - since.at <= window + slack


@given(st.lists(st.floats(0.2, 400), min_size=1, max_size=400))
def test_memory_of_a_window_is_bounded_and_its_beginning_is_kept(gaps: list[float]) -> None:
    readings, at = Readings(), 0.0
    for gap in gaps:
        at += gap
        readings.add(Reading(at))
    assert len(readings) <= 60 / 0.2 + 540 / 10 + 3000 / 60 + 6
    for window in WINDOWS:
        since = readings.since(window)
        assert since is not None
        assert since.at <= at - window or since.at >= at - max(3600.0, window) - 2 * max(gaps)


def test_latencies_over_an_hour_come_from_its_deltas() -> None:
    """A request a second of one second for 40 minutes, then of three seconds: the window decides what is the median."""
    readings = Readings()
    bounds = (1.0, 2.0, 4.0, float("inf"))
    for second in range(3000):
        slow = max(0, second - 2400)
        fast = min(second, 2400)
        counts = (float(fast), float(fast), float(fast + slow), float(fast + slow))
        readings.add(Reading(float(second), histograms={"ttft": {"": Histogram(bounds, counts)}}))
    newest = readings.last
    assert newest is not None
    short, long = (sample(None, newest, readings.since(window)).ttft.p50 for window in (60.0, 3600.0))
    assert short is not None and 2 < short <= 4
    assert long is not None and long <= 1


def two_engines(text: str, more: float) -> str:
    """A capture as a server of two engines would write it, whose second one has counted `more` more."""
    lines = []
    for line in text.splitlines():
        lines.append(line)
        if line.startswith("vllm:") and 'engine="0"' in line:
            name, _, value = line.rpartition(" ")
            other = float(value) + (more if "tokens_total" in name.split("{")[0] else 0)
            lines.append(f"{name} {value}".replace(f" {value}", f" {other}").replace('engine="0"', 'engine="1"'))
    return "\n".join(lines)


def snapshot(text: str, at: float) -> Snapshot:
    return parse(text, at)


def test_two_engines_apart_and_together() -> None:
    old, new = snapshot(two_engines(H200, 0), 10.0), snapshot(two_engines(H200, 500), 12.0)
    found = rates(old, new)
    assert [replica.name for replica in found.replicas] == ["0", "1"]
    assert [replica.generation_rate for replica in found.replicas] == [0.0, 250.0]
    assert found.generation_rate == 250.0
    assert [replica.kv_tokens for replica in found.replicas] == [9_245_496] * 2
    assert found.kv_tokens == 2 * 9_245_496


def test_one_engine_has_no_replicas() -> None:
    assert rates(snapshot(H200, 1.0), snapshot(H200, 2.0)).replicas == ()


def test_an_engine_that_vanishes_and_one_that_restarts() -> None:
    both, one = two_engines(H200, 300), H200
    gone = rates(snapshot(both, 1.0), snapshot(one, 2.0))
    assert gone.replicas == ()
    assert gone.generation_rate == 0.0
    anew = re.sub(r'(vllm:generation_tokens_total\{engine="1"[^}]*\}) [\d.e+]+', r"\1 40.0", both)
    found = rates(snapshot(both, 1.0), snapshot(anew, 3.0))
    assert [replica.generation_rate for replica in found.replicas] == [0.0, 20.0]


@given(st.lists(st.tuples(st.text(min_size=1, max_size=30), st.floats(allow_nan=True)), max_size=100))
def test_engines_with_any_name_and_number_are_bounded_and_never_negative(engines: list[tuple[str, float]]) -> None:
    def page(shift: float) -> Snapshot:
        series = tuple((f'engine="{name}"', value + shift) for name, value in engines)
        return Snapshot(shift, {"vllm:generation_tokens_total": series, "vllm:num_requests_running": series})

    found = rates(page(1.0), page(2.0))
    assert len(found.replicas) <= MOST_REPLICAS
    for replica in found.replicas:
        assert replica.generation_rate is None or replica.generation_rate >= 0
        assert len(replica.name) <= 20


def test_what_the_h200_told() -> None:
    later = H200
    for name, value in (("mm_cache_queries", 10), ("mm_cache_hits", 4)):
        later = re.sub(rf"(vllm:{name}_total\{{[^}}]*\}}) 0.0", rf"\1 {value}.0", later)
    later = re.sub(r"process_cpu_seconds_total [\d.]+", "process_cpu_seconds_total 47.97", later)
    later = later.replace(
        'finished_reason="length",model_name="m"} 292.0', 'finished_reason="length",model_name="m"} 296.0'
    )
    later = re.sub(r"(vllm:iteration_tokens_total_count\{[^}]*\}) 2510.0", r"\1 2710.0", later)
    found = rates(snapshot(H200, 10.0), snapshot(later, 12.0))
    assert found.make == "vLLM"
    assert found.mm_hit_rate == 0.4
    assert found.api_cpu == pytest.approx(0.75)
    assert found.request_rate == 2.0
    assert found.steps == 100.0
    assert found.kv_width == 1.0
    assert found.kv_bytes is None
    busy = read(snapshot(BUSY, 1.0))
    assert busy.kv_bytes == 1 << 30
    assert busy.kv_width == 2.0


def test_a_restart_is_no_negative_processor_time() -> None:
    anew = re.sub(r"process_cpu_seconds_total [\d.]+", "process_cpu_seconds_total 0.5", H200)
    assert rates(snapshot(H200, 1.0), snapshot(anew, 2.0)).api_cpu is None
    moved = dataclasses.replace(read(snapshot(H200, 1.0)), at=1.0)
    assert sample(moved, moved).api_cpu is None


def test_tiers_reach_as_far_as_the_longest_window() -> None:
    assert TIERS[-1][0] == max(WINDOWS)
