"""Figures, comparison, tables and pictures of a benchmark, against numbers computed by hand and by numpy."""

from __future__ import annotations

import dataclasses
import io
import random
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageColor, ImageOps

from gemma_backend.evaluate.bench import card, compare, drawing, plot, records, tables
from gemma_backend.evaluate.bench.records import Asked, ClientLoad, Report, Round, ServerLoad, Target
from gemma_backend.evaluate.bench.summary import kept, quantile, spread, summarise
from gemma_backend.types import BadInput

GIB = 1 << 30


def request(at: float, ttft: float, gap: float, tokens: int = 5) -> Asked:
    itl = (gap,) * (tokens - 1)
    return Asked(at, "text", 10, tokens, ttft, ttft + sum(itl), itl, tokens)


def report(*rounds: Round, **more: object) -> Report:
    return Report(
        Target("http://x", "model", "vLLM 0.32.0"),
        {"prompt_tokens": "10", "output_tokens": "5", "mix": "text=1", "api": "completions", "temperature": 0.0},
        rounds,
        made="2026-11-25T12:00:00+00:00",
        tool="0.1.0",
        **more,  # type: ignore[arg-type]
    )


BY_HAND = Round(
    2.0, (request(0.0, 0.1, 0.01), request(0.5, 0.3, 0.03), Asked(1.0, "text", error="it broke")), concurrency=2
)


def test_figures_by_hand() -> None:
    found = summarise(BY_HAND, {"ttft": 0.2})
    assert (found.requests, found.failed, found.seconds) == (2, 1, 2.0)
    assert found.output_rate == 5.0
    assert found.prompt_rate == 10.0
    assert found.request_rate == 1.0
    assert found.goodput == 0.5
    assert found.ttft.p50 == pytest.approx(0.2)
    assert found.itl.p50 == pytest.approx(0.02)
    assert found.tpot.mean == pytest.approx(0.02)
    assert found.stream_rate == pytest.approx(50.0)
    assert found.e2e.mean == pytest.approx((0.14 + 0.42) / 2)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1))
def test_quantiles_are_numpys(values: list[float], share: float) -> None:
    assert quantile(sorted(values), share) == pytest.approx(float(numpy.quantile(values, share)), rel=1e-9, abs=1e-9)


def test_nothing_measured_is_none_and_never_zero() -> None:
    found = summarise(Round(1.0, (Asked(0.0, "text", error="x"),)))
    assert dataclasses.asdict(found.ttft) == dataclasses.asdict(spread([]))
    assert found.ttft.p50 is None
    assert found.stream_rate is None
    assert found.prompt_rate is None
    assert found.goodput is None


def test_a_service_level_needs_every_limit_kept() -> None:
    asked = request(0.0, 0.1, 0.02)
    assert kept(asked, {"ttft": 0.1, "tpot": 0.021, "itl": 0.021, "e2e": 0.2})
    assert not kept(asked, {"ttft": 0.1, "tpot": 0.019})
    assert not kept(asked, {"e2e": 0.17})


def test_a_report_comes_back_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    server = ServerLoad(0.5, None, 3, 8 * GIB, 300.5)
    full = report(dataclasses.replace(BY_HAND, server=server, client=ClientLoad(0.5, 0.001)), goodput={"ttft": 0.2})
    records.write(full, path)
    assert records.read(path) == full


def test_a_large_report_keeps_only_some_gaps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "ITL_KEPT", 100)
    asked = tuple(request(at, 0.1, 0.01, tokens=11) for at in range(40))
    records.write(report(Round(40.0, asked)), tmp_path / "a.json")
    back = records.read(tmp_path / "a.json").rounds[0].asked
    assert sum(len(one.itl) for one in back) == 100
    assert [one.e2e for one in back] == [one.e2e for one in asked]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": "other", "target": {"url": "", "model": ""}, "workload": {}, "rounds": []}',
             "[" * 100_000, '{"rounds": 5}', "\xff"],
)  # fmt: skip
def test_a_file_that_is_no_report_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadInput, match="is no result of"):
        records.read(path)
    with pytest.raises(BadInput, match="cannot be read"):
        records.read(tmp_path / "absent.json")
    newer = dataclasses.replace(report(BY_HAND), version=99)
    records.write(newer, path)
    with pytest.raises(BadInput, match="newer gemma-tui"):
        records.read(path)


def test_the_table_of_a_terminal() -> None:
    text = tables.text(report(BY_HAND, goodput={"ttft": 0.2}))
    assert all(len(line) <= 80 for line in text.splitlines() if "failed" not in line and "goodput counts" not in line)
    rows = {match[1].strip(): match[2] for match in re.finditer(r"^(.{24}) +(\S+(?: at once)?)$", text, re.MULTILINE)}
    assert rows["load"] == "2 at once"
    assert rows["generation, tok/s"] == "5.0"
    assert rows["TTFT p50, ms"] == "200.0"
    assert rows["goodput, requests/s"] == "0.50"
    assert rows["failed"] == "1"
    assert "GPU power" not in text
    assert "1 of 3 requests failed, the first because it broke" in text


def test_repeats_are_shown_by_their_median_and_range() -> None:
    rounds = [Round(seconds, (request(0.0, 0.1, 0.01),), 1, repeat=n) for n, seconds in enumerate((1.0, 2.0, 5.0), 1)]
    text = tables.text(report(*rounds))
    assert re.search(r"generation, tok/s +2\.5\n +lowest +1\.0\n +highest +5\.0", text)
    assert text.count("1 at once") == 1


def test_seven_loads_take_two_blocks() -> None:
    text = tables.text(report(*(dataclasses.replace(BY_HAND, concurrency=n) for n in range(1, 8))))
    assert text.count("generation, tok/s") == 2
    assert "7 at once" in text


def test_markdown_is_a_table_with_as_many_columns_in_each_row() -> None:
    lines = [line for line in tables.markdown(report(BY_HAND, BY_HAND)).splitlines() if line.startswith("|")]
    assert len(lines) > 10
    assert {line.count("|") for line in lines} == {3}
    assert tables.table(["a|b"], [["c\nd"]])[0] == "| a\\|b |"


def rounds(seed: int, factor: float, repeats: int = 4) -> list[Round]:
    chance = random.Random(seed)
    found = []
    for repeat in range(1, repeats + 1):
        asked = tuple(
            request(0.0, factor * chance.gauss(0.1, 0.005), factor * chance.gauss(0.01, 0.0005)) for _ in range(40)
        )
        found.append(Round(sum(one.e2e or 0 for one in asked), asked, 1, repeat=repeat))
    return found


def test_a_change_is_shown_with_an_interval_that_holds_it() -> None:
    changes = {change.figure: change for change in compare.compare(report(*rounds(1, 1.0)), report(*rounds(2, 1.2)))}
    assert set(changes) == set(compare.FIGURES)
    for name, change in changes.items():
        true = 1 / 1.2 if name == "output_rate" else 1.2
        assert change.ratio == pytest.approx(true, rel=0.02)
        assert change.low < change.ratio < change.high
        assert change.verdict == "worse"
    better = compare.compare(report(*rounds(1, 1.2)), report(*rounds(2, 1.0)))
    assert {change.verdict for change in better} == {"better"}


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of 40 comparisons of equals, 95% intervals miss in 2 on average; more than 8 is one in ten thousand."""
    missed = 0
    for seed in range(40):
        a, b = rounds(2 * seed, 1.0, 1), rounds(2 * seed + 1, 1.0, 1)
        (change,) = [one for one in compare.compare(report(*a), report(*b), seed=seed) if one.figure == "ttft"]
        missed += change.verdict != "no difference shown"
    assert missed <= 8


def test_results_without_a_common_load_are_refused() -> None:
    other = dataclasses.replace(BY_HAND, concurrency=None, rate=3.0)
    with pytest.raises(BadInput, match="no load in common"):
        compare.compare(report(BY_HAND), report(other))


def test_what_is_compared_is_said_in_words_and_markdown() -> None:
    changes = compare.compare(report(*rounds(1, 1.0)), report(*rounds(2, 1.2)))
    text = compare.text(changes)
    assert text.startswith("1 at once\n")
    assert "TTFT median, ms" in text
    assert "worse" in text
    assert compare.markdown(changes).count("\n| ") == 6


def test_ticks_are_round_and_reach_the_top() -> None:
    assert plot.ticks(100) == [0, 20, 40, 60, 80, 100]
    assert plot.ticks(9.3) == [0, 2, 4, 6, 8, 10]
    assert plot.ticks(0) == [0, 1]
    assert plot.ticks(1.0) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])


@given(st.floats(1e-6, 1e9))
def test_ticks_cover_any_range_with_few_marks(top: float) -> None:
    marks = plot.ticks(top)
    assert marks[0] == 0
    assert marks[-1] >= top * (1 - 1e-9)
    assert len(marks) <= 7


def test_the_picture_is_drawn_where_it_was_computed_by_hand() -> None:
    """Throughput over time: the x axis ends at 3 s, the y axis at 100, so each point has a known place."""
    one = dataclasses.replace(BY_HAND, tokens_by_second=(20.0, 100.0, 50.0))
    root = ElementTree.fromstring(plot.svg(report(one)))
    space = "{http://www.w3.org/2000/svg}"
    words = [element.text for element in root.iter(f"{space}text")]
    for said in ("Throughput over time", "seconds", "generated tokens/s", "TTFT: how many are faster", "2 at once"):
        assert said in words
    course = next(group for group in root.iter(f"{space}g") if "Throughput over time" in "".join(group.itertext()))
    (line,) = course.iter(f"{space}polyline")
    points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
    across, up = plot.WIDTH - plot.RIGHT - plot.LEFT, plot.HEIGHT - plot.BOTTOM - plot.TOP
    expected = [
        (plot.LEFT + x / 2.5 * across, plot.TOP + (1 - y / 100) * up) for x, y in ((0.5, 20), (1.5, 100), (2.5, 50))
    ]
    assert points == [pytest.approx(point, abs=0.06) for point in expected]


def test_the_png_has_each_curve_where_the_svg_has_it() -> None:
    one = dataclasses.replace(BY_HAND, tokens_by_second=(20.0, 100.0, 50.0))
    found = plot.picture(report(one))
    image = Image.open(io.BytesIO(drawing.png(found)))
    unit = drawing.SCALE
    assert image.size == (found.width * unit, found.height * unit)
    course = next(shape for shape in found.shapes if isinstance(shape, drawing.Group))
    (path,) = (shape for shape in course.shapes if isinstance(shape, drawing.Path))
    for x, y in path.points:
        place = (round((course.x + x) * unit), round((course.y + y) * unit))
        near = [image.getpixel((place[0] + across, place[1] + down)) for across in (-1, 0, 1) for down in (-1, 0, 1)]
        assert ImageColor.getrgb(path.colour) in near
    # The name of the y axis stands upright at the left of the diagram.
    left, top = round(course.x * unit), round((course.y + plot.TOP) * unit)
    axis = image.crop((left, top, left + 20 * unit, top + (plot.HEIGHT - plot.BOTTOM - plot.TOP) * unit))
    (darkest, _), _, _ = axis.getextrema()
    assert darkest < 128
    box = ImageOps.invert(axis.convert("L")).getbbox()
    assert box is not None
    assert box[3] - box[1] > 4 * (box[2] - box[0])


def test_hostile_names_stay_text_in_the_picture() -> None:
    hostile = dataclasses.replace(report(BY_HAND), target=Target("http://x", '<script>"&\x1b]0;x\x07\n\u202e'))
    assert ElementTree.fromstring(plot.svg(hostile)) is not None
    assert all(mark not in plot.svg(hostile) for mark in ("<script>", "\x1b", "\u202e"))
    assert Image.open(io.BytesIO(plot.png(hostile))).format == "PNG"


def test_a_report_without_any_answer_still_makes_a_picture() -> None:
    nothing = report(Round(1.0, (Asked(0.0, "text", error="it broke"),)))
    assert ElementTree.fromstring(plot.svg(nothing)) is not None
    assert Image.open(io.BytesIO(plot.png(nothing))).format == "PNG"


def test_the_cards_table_stands_beside_ours() -> None:
    single = Round(2.0, (request(0.0, 0.1, 0.01, 200),), 1, server=ServerLoad(gpu_memory_peak=9 * GIB))
    here = Target("x", "m", gpus=("NVIDIA H200",), checkpoint_bytes=7_511_000_000, weights_bytes=int(7.37 * GIB))
    rows = card.rows(dataclasses.replace(report(single), target=here))
    assert [(published, ours) for _, published, ours in rows] == [
        ("about 7.5", "7.51"), ("about 90", "100.0"), ("about 7.5", "7.91"), ("-", "9.00")
    ]  # fmt: skip
    assert "GB10" in card.text(dataclasses.replace(report(single), target=here))
