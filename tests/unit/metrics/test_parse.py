"""Our parser beside the library's, on captures and on generated pages."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gemma_backend.metrics.parse import labels_of, parse

FIXTURES = Path(__file__).parents[2] / "fixtures" / "metrics"
CAPTURES = sorted(FIXTURES.glob("*.prom"))

Key = tuple[str, tuple[tuple[str, str], ...], float | str]


def as_number(value: float) -> float | str:
    return "NaN" if math.isnan(value) else value


def ours(text: str) -> Counter[Key]:
    return Counter(
        (name, tuple(sorted(labels_of(labels).items())), as_number(value))
        for name, series in parse(text).series.items()
        for labels, value in series
    )


def theirs(text: str) -> Counter[Key]:
    return Counter(
        (sample.name, tuple(sorted(sample.labels.items())), as_number(sample.value))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    )


def test_there_are_captures() -> None:
    assert len(CAPTURES) == 3


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.stem)
def test_captures_are_read_as_the_library_reads_them(capture: Path) -> None:
    text = capture.read_text()
    read = ours(text)
    assert read == theirs(text)
    assert sum(read.values()) > 300


@given(
    values=st.lists(
        st.tuples(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), st.floats()),
        max_size=8,
        unique_by=lambda pair: pair[0],
    )
)
def test_any_label_and_number_that_the_library_writes(values: list[tuple[str, float]]) -> None:
    registry = CollectorRegistry()
    gauge = Gauge("a_gauge", "what\nit is", ["odd"], registry=registry)
    for label, value in values:
        gauge.labels(label).set(value)
    text = generate_latest(registry).decode()
    assert ours(text) == Counter(("a_gauge", (("odd", label),), as_number(value)) for label, value in values)


def test_stamps_spaces_and_rubbish() -> None:
    text = "\n".join(
        [
            "plain 1",
            "stamped 2 1395066363000",
            'labelled{a="b 1"} 3 1395066363000',
            '  spaced{a="}"}   4  ',
            'brace{a="}x} 1"} 5',
            "tabbed\t6",
            "no number",
            "half{a=",
            'half{a="b" 7',
            "{} 8",
            "   ",
            "9",
            "nan NaN",
            "big +Inf",
            "small -Inf",
            "windows 10\r",
        ]
    )
    read = {name: series for name, series in parse(text).series.items() if name != "nan"}
    assert read == {
        "plain": (("", 1.0),),
        "stamped": (("", 2.0),),
        "labelled": (('a="b 1"', 3.0),),
        "spaced": (('a="}"', 4.0),),
        "brace": (('a="}x} 1"', 5.0),),
        "big": (("", math.inf),),
        "small": (("", -math.inf),),
        "windows": (("", 10.0),),
    }
    assert math.isnan(parse(text).series["nan"][0][1])


@given(st.text())
def test_no_page_is_too_odd(text: str) -> None:
    for series in parse(text).series.values():
        for labels, value in series:
            assert isinstance(value, float)
            labels_of(labels)


def test_label_escapes() -> None:
    assert labels_of(r'a="x\"y",b="\\n",c="1\n2",d=""') == {"a": 'x"y', "b": r"\n", "c": "1\n2", "d": ""}
