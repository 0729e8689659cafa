"""Several servers added up."""

from __future__ import annotations

import pytest

from gemma_backend.metrics.together import together
from gemma_backend.types import HostMemory, Quantiles, Sample

ONE = Sample(
    1.0, generation_rate=10.0, running=1, waiting=0, kv_cache=0.5, kv_tokens=100, ttft=Quantiles(0.1), make="vLLM"
)
TWO = Sample(2.0, generation_rate=30.0, running=2, waiting=5, kv_cache=0.1, kv_tokens=300, make="vLLM")
SILENT = Sample(3.0)


def test_what_can_be_added_is_added() -> None:
    total = together([ONE, TWO])
    assert (total.generation_rate, total.running, total.waiting, total.kv_tokens) == (40.0, 3, 5, 400)
    assert total.kv_cache == pytest.approx((50 + 30) / 400)
    assert total.ttft == Quantiles()


def test_a_sum_without_a_figure_of_one_of_them_would_be_wrong() -> None:
    total = together([ONE, Sample(3.0, generation_rate=5.0, make="llama.cpp")])
    assert (total.generation_rate, total.running, total.kv_cache, total.note) == (15.0, None, None, "")


def test_who_tells_nothing_is_left_out_and_said() -> None:
    total = together([ONE, SILENT, TWO])
    assert (total.generation_rate, total.running, total.kv_tokens) == (40.0, 3, 400)
    assert total.note == "2 of 3 servers tell their figures: the sum is of those."
    nobody = together([SILENT, SILENT])
    assert (nobody.generation_rate, nobody.running) == (None, None)
    assert nobody.note.startswith("0 of 2 servers")


def test_memory_is_counted_once_or_not_at_all() -> None:
    host = HostMemory(10, 5)
    assert together([Sample(1.0, host=host), SILENT]).host == host
    assert together([Sample(1.0, host=host), Sample(1.0, host=host)]).host is None
    assert together([]) == Sample(0.0)
