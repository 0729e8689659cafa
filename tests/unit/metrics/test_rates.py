"""Rates and quantiles, by hand and by rule."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_backend.metrics.parse import parse
from gemma_backend.metrics.rates import quantiles, rates, sample
from gemma_backend.metrics.reading import Histogram, Reading, read
from gemma_backend.types import Quantiles

FIXTURES = Path(__file__).parents[2] / "fixtures" / "metrics"


def page(generation: float, *, started: float = 100.0, engine: str = "0") -> str:
    return f'process_start_time_seconds {started}\nvllm:generation_tokens_total{{engine="{engine}"}} {generation}\n'


def test_the_busy_capture_by_hand() -> None:
    idle = parse((FIXTURES / "vllm-0.32-cpu-idle.prom").read_text(), at=10.0)
    busy = parse((FIXTURES / "vllm-0.32-cpu-busy.prom").read_text(), at=14.0)
    seen = rates(idle, busy)
    before = {
        line.split("{")[0]: float(line.split()[-1])
        for line in (FIXTURES / "vllm-0.32-cpu-idle.prom").read_text().splitlines()
        if line.startswith("vllm:generation_tokens_total{")
    }["vllm:generation_tokens_total"]
    assert seen.generation_rate == (244 - before) / 4
    assert (seen.running, seen.waiting) == (3, 0)
    assert seen.kv_cache == 0.006595822645657723
    assert seen.kv_tokens == 55_356
    assert seen.preemptions == 0


def test_latencies_of_the_busy_capture_since_its_start() -> None:
    text = (FIXTURES / "vllm-0.32-cpu-busy.prom").read_text()
    zeroed = "\n".join(
        line if line.startswith(("#", "process")) else line.rpartition(" ")[0] + " 0.0" for line in text.splitlines()
    )
    seen = rates(parse(zeroed, at=0.0), parse(text, at=1.0))
    assert seen.ttft.mean == pytest.approx(2.0265772342681885 / 5)
    assert seen.itl.mean == pytest.approx(31.967382769001233 / 239)
    # By hand from the buckets: the cumulative counts of the capture.
    counts = {
        float(line.split('le="')[1].split('"')[0]): float(line.split()[-1])
        for line in text.splitlines()
        if line.startswith("vllm:inter_token_latency_seconds_bucket")
    }
    bounds = sorted(counts)
    at = next(i for i, bound in enumerate(bounds) if counts[bound] >= 239 / 2)
    lower, below = (bounds[at - 1], counts[bounds[at - 1]]) if at else (0.0, 0.0)
    expected = lower + (bounds[at] - lower) * (239 / 2 - below) / (counts[bounds[at]] - below)
    assert seen.itl.p50 == pytest.approx(expected)


def test_the_h200_capture_tells_its_cache() -> None:
    reading = read(parse((FIXTURES / "vllm-0.26-h200-after-load.prom").read_text()))
    assert sample(None, reading).kv_tokens == 9_245_496


def test_a_restart_is_seen_in_the_counter_or_in_the_start_time() -> None:
    fell = rates(parse(page(1000), at=0), parse(page(30), at=2))
    assert fell.generation_rate == 15.0
    overtook = rates(parse(page(1000), at=0), parse(page(1200, started=200.0), at=2))
    assert overtook.generation_rate == 600.0


def test_engines_are_summed_and_a_new_one_says_nothing_yet() -> None:
    old = parse(page(100) + page(500, engine="1"), at=0)
    new = parse(page(110) + page(530, engine="1") + page(10_000, engine="2"), at=1)
    assert rates(old, new).generation_rate == 40.0
    assert rates(parse(page(1, engine="a"), at=0), parse(page(50, engine="b"), at=1)).generation_rate is None


def test_absent_not_a_number_and_negative_are_not_available() -> None:
    empty = parse("", at=0)
    assert rates(empty, parse(page(5), at=1)).generation_rate is None
    assert rates(parse(page(5), at=0), parse("", at=1)).generation_rate is None
    assert rates(parse(page(5), at=0), parse(page(math.nan), at=1)).generation_rate is None
    assert rates(parse(page(5), at=0), parse(page(-7), at=1)).generation_rate is None
    seen = rates(empty, parse("vllm:num_requests_running NaN\nvllm:kv_cache_usage_perc 37", at=1))
    assert (seen.running, seen.kv_cache) == (None, None)


def test_no_time_between_readings_gives_no_rate() -> None:
    assert rates(parse(page(5), at=1), parse(page(9), at=1)).generation_rate is None


def test_prefix_hits_are_a_share_of_what_was_asked_meanwhile() -> None:
    def text(asked: int, hit: int) -> str:
        return f"vllm:prefix_cache_queries_total {asked}\nvllm:prefix_cache_hits_total {hit}\n"

    assert rates(parse(text(100, 100), at=0), parse(text(180, 120), at=1)).prefix_hit_rate == 0.25
    assert rates(parse(text(100, 100), at=0), parse(text(100, 100), at=1)).prefix_hit_rate is None


@pytest.mark.parametrize(
    ("text", "running", "rate"),
    [
        ("llamacpp:tokens_predicted_total {n}\nllamacpp:requests_processing 2\n", 2, 20.0),
        (
            'sglang:generation_tokens_total{{model_name="m"}} {n}\nsglang:num_running_reqs{{model_name="m"}} 2\n',
            2,
            20.0,
        ),
        ("tgi_batch_current_size 2\ntgi_request_generated_tokens_sum {n}\n", 2, None),
        ("node_cpu_seconds_total {n}\n", None, None),
    ],
)
def test_other_servers(text: str, running: int | None, rate: float | None) -> None:
    seen = rates(parse(text.format(n=100), at=0), parse(text.format(n=140), at=2))
    assert (seen.running, seen.generation_rate) == (running, rate)


def test_quantiles_by_hand() -> None:
    histogram = Histogram((0.1, 0.2, 0.4, math.inf), (10, 30, 40, 40), 8.0)
    found = quantiles(histogram)
    assert found.p50 == pytest.approx(0.1 + 0.1 * (20 - 10) / 20)
    assert found.p95 == pytest.approx(0.2 + 0.2 * (38 - 30) / 10)
    assert found.mean == pytest.approx(0.2)
    assert quantiles(Histogram((0.1, math.inf), (0, 5))).p50 == 0.1
    assert quantiles(Histogram((math.inf,), (5,), 10.0)) == Quantiles(mean=2.0)
    assert quantiles(Histogram((0.1, math.inf), (0, 0), 0.0)) == Quantiles()


def test_bounds_that_changed_are_not_compared() -> None:
    def text(bounds: tuple[str, ...], count: int) -> str:
        return "".join(f'vllm:time_to_first_token_seconds_bucket{{le="{bound}"}} {count}\n' for bound in bounds)

    old, new = parse(text(("1.0", "+Inf"), 5), at=0), parse(text(("2.0", "+Inf"), 9), at=1)
    assert rates(old, new).ttft == Quantiles()
    assert rates(old, parse(text(("1.0", "+Inf"), 9), at=1)).ttft.p50 == pytest.approx(0.5)


BOUNDS = (0.001, 0.01, 0.1, 1.0, 10.0, math.inf)


def cumulative(values: list[float]) -> Histogram:
    return Histogram(BOUNDS, tuple(sum(value <= bound for value in values) for bound in BOUNDS), sum(values))


@given(st.lists(st.floats(0.0, 9.0), min_size=1, max_size=200))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(values: list[float]) -> None:
    found = quantiles(cumulative(values))
    true = sorted(values)[math.ceil(0.5 * len(values)) - 1]
    bucket = next(i for i, bound in enumerate(BOUNDS) if true <= bound)
    assert found.p50 is not None
    assert (BOUNDS[bucket - 1] if bucket else 0.0) <= found.p50 <= BOUNDS[bucket]
    assert found.p95 is not None
    assert found.p99 is not None
    assert found.p50 <= found.p95 <= found.p99


COUNTS = st.one_of(st.floats(0, 1e12), st.sampled_from([math.nan, math.inf, -1.0]))


@given(
    before=st.dictionaries(st.sampled_from("abc"), COUNTS),
    after=st.dictionaries(st.sampled_from("abc"), COUNTS),
    seconds=st.floats(0.01, 1e4),
)
def test_a_rate_is_never_negative_nor_more_than_all_there_is(
    before: dict[str, float], after: dict[str, float], seconds: float
) -> None:
    def text(series: dict[str, float]) -> str:
        return "".join(f'vllm:generation_tokens_total{{engine="{key}"}} {value}\n' for key, value in series.items())

    rate = rates(parse(text(before), at=0), parse(text(after), at=seconds)).generation_rate
    good = sum(value for value in after.values() if math.isfinite(value) and value >= 0)
    assert rate is None or 0 <= rate <= good / seconds * (1 + 1e-9)


@given(
    counts=st.lists(st.floats(-1e3, 1e6), min_size=6, max_size=6),
    earlier=st.lists(st.floats(-1e3, 1e6), min_size=6, max_size=6),
)
def test_hostile_buckets_give_a_number_or_nothing(counts: list[float], earlier: list[float]) -> None:
    readings = [
        Reading(at, histograms={"ttft": {"": Histogram(BOUNDS, tuple(each), 1.0)}})
        for at, each in enumerate((earlier, counts))
    ]
    found = sample(readings[0], readings[1]).ttft
    for value in (found.p50, found.p95, found.p99):
        assert value is None or 0 <= value <= 10.0
