"""The dashboard: what is drawn equals what was computed by hand, at every size."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from gemma_backend.metrics.facts import Facts, MemoryParts
from gemma_backend.metrics.history import History
from gemma_backend.metrics.limit import TokenBytes
from gemma_backend.types import EngineState, GpuMemory, HostMemory, OwnRow, Phase, Quantiles, Replica, Sample
from gemma_tui.chart import area, bar, ceiling, columns_of, stacked
from gemma_tui.tui.themes import DARK, LIGHT, variable_defaults
from gemma_tui.tui.widgets import dashboard_rows
from gemma_tui.tui.widgets import dashboard_words as words
from gemma_tui.tui.widgets.dashboard import Dashboard
from gemma_tui.tui.widgets.dashboard_board import View, course, course_of
from gemma_tui.tui.widgets.dashboard_rows import Block, Board, Standing, compact, rows

GIB = 1 << 30
FULL = Sample(
    at=100.0,
    generation_rate=272.84,
    prompt_rate=0.0,
    running=3,
    waiting=12,
    kv_cache=0.006595822645657723,
    kv_tokens=55_356,
    ttft=Quantiles(p50=0.0264, p95=0.312),
    itl=Quantiles(p50=0.00366, p95=1.204),
    host=HostMemory(total=24 * GIB, available=18 * GIB, engine=int(2.9 * GIB), engine_cpu=1.87),
    gpus=(
        GpuMemory(
            0, "NVIDIA H100", "u", total=80 * GIB, used=20 * GIB, utilisation=0.87, power=411.6, temperature=61
        ),
    ),
)  # fmt: skip


def text(board: Board, width: int = 36, height: int = 60) -> list[str]:
    return ["".join(run for run, _ in row) for row in rows(board, width, height)]


def board(
    *samples: Sample, state: EngineState = "ready", phase: Phase | None = None, facts: Facts | None = None
) -> Board:
    history = History()
    for sample in samples:
        history.add(sample)
    return Board(Standing(state, phase, 131.0), samples[-1] if samples else None, history, facts)


def figures(lines: list[str]) -> dict[str, str]:
    """Label and value of each line that has both."""
    pairs = (line.strip().split("  ", 1) for line in lines)
    return {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2}


def test_every_figure_by_hand() -> None:
    shown = figures(text(board(FULL), width=44))
    assert shown["● ready"] == "2:11"
    assert shown["generation"] == "272.8 tok/s"
    assert shown["prompt"] == "0.0 tok/s"
    assert shown["requests"] == "3 running · 12 waiting"
    assert shown["KV cache"] == "0.7 % of 55,356 tokens"
    assert shown["first token (TTFT)"] == "26 ms · p95 312 ms"
    assert shown["each token (ITL)"] == "3.7 ms · p95 1.20 s"
    assert shown["engine"] == "2.9 GiB · 187 % CPU"
    assert shown["this machine"] == "6.0 of 24.0 GiB"
    assert shown["GPU 0"] == "20.0 of 80.0 GiB"
    assert shown["H100"] == "87 % busy · 412 W · 61 °C"


def test_nothing_known_is_said_and_never_a_zero() -> None:
    lines = text(board(Sample(0.0, note="This server has no /metrics. What is shown was measured here.")))
    shown = figures(lines)
    assert set(shown.values()) == {"2:11", "not available"}
    assert set(shown) >= {"generation", "prompt", "requests", "KV cache", "first token", "each token", "whole reply"}
    assert "This server has no /metrics." in lines[1]
    assert not any(character.isdigit() for line in lines[1:] for character in line if "last 1 min" not in line)


def seconds(*values: float | None) -> list[Sample]:
    """A sample a second with these rates."""
    return [Sample(float(at), generation_rate=value) for at, value in enumerate(values)]


def test_a_chart_with_axes_by_hand() -> None:
    """Eighty seconds over forty columns: each column is the mean of two, each row of four is 50 tok/s of 200."""
    rising = board(*seconds(*(float(2 * (second // 2)) * 100 / 29 for second in range(60))))
    narrow = course(rising, "generation", 34, 5, "tok/s")
    assert "".join(run for run, _ in narrow[0])[:4] == "200┤"
    rising = board(*seconds(*(float(2 * (second // 2)) * 100 / 39 for second in range(80))))
    rising = dataclasses.replace(rising, view=View(span=80.0))
    found = course(rising, "generation", 40 + len("200 tok/s") + 1, 5, "tok/s")
    lines = ["".join(run for run, _ in row) for row in found]
    assert [line[:10] for line in lines] == ["200 tok/s┤", "         ┤", "         ┤", "  0 tok/s┤", " " * 10]
    assert lines[4][10:] == "1 min ago" + " " * 28 + "now"
    levels = " ▁▂▃▄▅▆▇█"
    for column in range(40):
        value = 2 * column * 100 / 39
        height = max(1, round(value / 200 * 32))
        drawn = [levels.index(lines[row][10 + column]) for row in range(3, -1, -1)]
        assert sum(drawn) == height
        assert drawn == [min(8, max(0, height - 8 * row)) for row in range(4)]


def test_a_small_course_has_its_scale_at_the_right() -> None:
    (row,) = course(board(*seconds(10.0, 20.0, 25.0)), "generation", 28, 1, "tok/s")
    # Sixty seconds over twenty columns: the three seconds are one column, 18.3 of 30 high.
    assert "".join(run for run, _ in row) == " " * 19 + "▅" + "      30"
    (row,) = course(board(Sample(0.0, ttft=Quantiles(0.0194))), "ttft", 20, 1, "s")
    assert "".join(run for run, _ in row) == " " * 11 + "█" + "   20 ms"


def test_zoom_changes_what_a_column_stands_for() -> None:
    many = board(*seconds(*(float(second) for second in range(600))))
    minute, quarter = (
        course_of(dataclasses.replace(many, view=View(span=span)), "generation", 10) for span in (60.0, 300.0)
    )
    assert minute == [542.5 + 6 * column for column in range(10)]
    assert quarter == [314.5 + 30 * column for column in range(10)]
    day = board(*(Sample(60.0 * minute, generation_rate=float(minute)) for minute in range(200)))
    hours = course_of(dataclasses.replace(day, view=View(span=6 * 3600.0)), "generation", 6)
    assert hours[:2] == [None, None]
    # The minute that runs is not among them.
    assert hours[-1] == pytest.approx(sum(range(180, 199)) / 19)


def test_memory_is_split_by_what_the_log_told() -> None:
    facts = Facts(MemoryParts(int(7.37 * GIB), int(10 * GIB), int(0.56 * GIB)), on_gpu=True)
    lines = text(board(FULL, facts=facts), 60)
    place = next(index for index, line in enumerate(lines) if "weights 7.4" in line)
    assert lines[place].split() == [
        "█",
        "weights",
        "7.4",
        "▓",
        "KV",
        "10.0",
        "▒",
        "graphs",
        "0.56",
        "░",
        "other",
        "2.1",
        "GiB",
    ]
    bar_row = lines[place - 1]
    assert [bar_row.count(texture) for texture in "█▓▒░"] == [22, 30, 2, 6]
    assert facts.parts.split(int(15 * GIB)) == ()


def test_the_limit_is_shown_with_its_sentence() -> None:
    facts = Facts(read=TokenBytes(1_856_000_000, 17_920, 0), bandwidth=273e9, device="GB10", on_gpu=True)
    one = dataclasses.replace(FULL, running=1, generation_rate=90.0)
    lines = text(board(one, facts=facts), 44)
    place = next(index for index, line in enumerate(lines) if line.startswith("of the limit"))
    assert lines[place].endswith(" 61 %")
    assert lines[place].count("█") == 6
    sentence = " ".join(line.strip() for line in lines[place + 1 : place + 5])
    assert sentence.startswith(
        "90 tok/s is 61 % of 147 tok/s, the most that GB10 can do for one stream: each token reads 1.86 GB at 273 GB/s."
    )
    idle = text(board(dataclasses.replace(one, running=0, generation_rate=0.0), facts=facts), 44)
    assert any(line.startswith("at most") and line.endswith("147.1 tok/s") for line in idle)
    unknown = text(board(one, facts=Facts(why_not="the checkpoint's files are not here")), 44)
    assert any(line.startswith("of the limit") and line.endswith("not available") for line in unknown)


def test_replicas_stand_apart_below_their_sum() -> None:
    replicas = tuple(Replica(str(number), 100.0 * number, 1.0, number, 0, 0.1) for number in range(10))
    lines = text(board(dataclasses.replace(FULL, replicas=replicas)), 44)
    shown = figures(lines)
    assert shown["engine 3"] == "300.0 tok/s · 3 running · KV 10 %"
    assert "engine 8" not in shown
    assert any(line.strip() == "and 2 more" for line in lines)


def test_own_requests_are_rows() -> None:
    own = (OwnRow("streaming", 3.2, 0.026, 271.4, 812), OwnRow("waiting", 0.4), OwnRow("failed", 75.0, None, None, 0))
    lines = text(board(dataclasses.replace(FULL, own=own)), 44)
    place = next(index for index, line in enumerate(lines) if line.startswith("sent from here"))
    assert lines[place].split() == ["sent", "from", "here", "TTFT", "tok/s", "tokens"]
    assert lines[place + 1].split() == ["streaming", "·", "3", "s", "26", "ms", "271.4", "812"]
    assert lines[place + 2].split() == ["waiting", "·", "0", "s", "–", "–", "0"]
    assert lines[place + 3].split()[:2] == ["failed", "·"]


@pytest.mark.parametrize(("width", "columns"), [(36, 1), (78, 2), (118, 2), (198, 3)])
def test_wide_panels_have_columns(width: int, columns: int) -> None:
    lines = text(board(*[FULL] * 80), width, 60)
    assert {cell_len(line) for line in lines} == {width}
    first = lines[0]
    assert first.startswith("● ready")
    # Each column begins in the first row.
    assert len([part for part in first.split("   ") if part.strip()]) >= columns


@pytest.mark.parametrize("height", [8, 22, 38, 58])
@pytest.mark.parametrize("width", [78, 118, 198])
def test_columns_keep_to_their_room(width: int, height: int) -> None:
    own = tuple(OwnRow("done", 3.2, 0.026, 271.4, 812) for _ in range(9))
    lines = text(board(*[dataclasses.replace(FULL, own=own)] * 80), width, height)
    assert len(lines) <= height
    assert {cell_len(line) for line in lines} == {width}
    assert "generation" in lines[0] + lines[1] + lines[2]


def test_unified_memory_is_called_so() -> None:
    gpu = GpuMemory(0, "NVIDIA GB10", "u", total=120 * GIB, used=30 * GIB, unified=True)
    assert figures(text(board(Sample(0.0, gpus=(gpu,)))))["unified memory"] == "30.0 of 120.0 GiB"


def test_a_start_shows_phase_and_detail() -> None:
    lines = text(board(state="starting", phase=Phase("loading weights", 3.0, None, "shard 2 of 4")))
    assert lines[0].startswith("◐ loading weights ")
    assert lines[0].endswith("2:11")
    assert lines[1].strip() == "shard 2 of 4"
    failed = text(board(state="failed", phase=Phase("loading weights", 3.0)))
    assert failed[0].startswith("✗ failed")


@pytest.mark.parametrize("height", range(1, 45))
@pytest.mark.parametrize("width", [1, 14, 30, 33, 44])
def test_every_row_is_as_wide_as_the_panel_and_none_is_too_many(width: int, height: int) -> None:
    lines = text(board(*[FULL] * 80), width, height)
    assert len(lines) <= height
    assert {cell_len(line) for line in lines} == {width}


def test_what_has_the_shape_of_a_second_ago_is_laid_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    before, other = board(*seconds(1.0, 2.0)), board(*seconds(3.0, 5.0))
    apart = rows(other, 61, 33)
    dashboard_rows._last.clear()
    rows(before, 61, 33)
    laid_out: list[int] = []
    blocks = dashboard_rows._blocks

    def counted(board: Board, width: int, tall: int) -> list[Block]:
        laid_out.append(tall)
        return blocks(board, width, tall)

    monkeypatch.setattr(dashboard_rows, "_blocks", counted)
    assert rows(other, 61, 33) == apart
    assert len(laid_out) == 1


def test_the_least_important_goes_first() -> None:
    def labels(height: int) -> str:
        return "\n".join(text(board(*[FULL] * 80), 36, height))

    assert "● ready" in labels(3)
    assert "generation" in labels(3)
    assert "this machine" not in labels(9)
    assert "KV cache" in labels(9)
    for height in range(3, 40):
        few, more = labels(height), labels(height + 1)
        for label in ("ready", "generation", "requests", "KV cache", "prompt", "engine", "first token", "each token"):
            assert label not in few or label in more
    assert "this machine" in labels(40)


def test_one_line_for_narrow_terminals() -> None:
    line = compact(board(FULL))
    assert line == (
        "● ready · 272.8 tok/s · 3 running + 12 waiting · KV cache 0.7 % · first token 26 ms · engine 2.9 GiB"
        " · GPU 20.0 of 80.0 GiB"
    )
    assert compact(Board()) == "○ stopped"
    (only,) = text(board(FULL), 30, 1)
    assert only == line[:29] + "…"


def test_the_course_by_hand() -> None:
    values = [0.0, 25.0, 50.0, None, 100.0]
    assert area(values, top=100.0) == ["▁▂▄ █"]
    assert area(values, 2, top=100.0) == ["    █", "▁▄█ █"]
    assert area([40.0, 50.0]) == ["▆█"]
    assert area([0.0, None]) == ["▁ "]
    assert area([]) == [""]


def test_columns_stay_where_they_are_while_the_course_moves_on() -> None:
    numbers = [float(number) for number in range(100)]
    assert columns_of(numbers[:10], 10, 3, 2) == [4.5, 6.5, 8.5]
    assert columns_of(numbers[:11], 11, 3, 2) == [6.5, 8.5, 10.0]
    assert columns_of(numbers[:12], 12, 3, 2) == [6.5, 8.5, 10.5]
    assert columns_of([1.0], 1, 3, 2) == [None, None, 1.0]
    assert columns_of([None, 3.0], 2, 1, 2) == [3.0]
    assert columns_of([], 0, 2, 2) == [None, None]


@given(st.floats(1e-6, 1e12))
def test_a_scale_ends_at_a_round_number_not_below(value: float) -> None:
    top = ceiling(value)
    assert value <= top * (1 + 1e-9)
    assert top <= value * 1.5 * (1 + 1e-6)
    assert f"{top:.1e}"[:3] in ("1.0", "1.5", "2.0", "3.0", "4.0", "5.0", "6.0", "8.0")


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=4), st.integers(4, 80))
def test_a_stacked_bar_fills_its_room_and_leaves_no_part_out(sizes: list[float], columns: int) -> None:
    whole = sum(sizes)
    cells = stacked([size / whole for size in sizes], columns)
    assert sum(cells) == columns
    assert min(cells) >= 1
    assert all(abs(count - size / whole * columns) <= 4 for count, size in zip(cells, sizes, strict=True))


def test_the_smallest_part_is_seen() -> None:
    assert stacked([0.007, 0.383, 0.61], 57) == [1, 22, 34]


@given(st.floats(0, 1), st.integers(1, 40))
def test_a_bar_shows_its_share(share: float, columns: int) -> None:
    full, empty = bar(share, columns)
    assert len(full + empty) == columns
    eighths = 8 * full.count("█") + (" ▏▎▍▌▋▊▉".find(full[-1]) if full and full[-1] != "█" else 0)
    assert abs(eighths / 8 / columns - share) <= max(0.5, 1 if share else 0) / (8 * columns) + 1e-9


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (words.number(4.2), "4.2"),
        (words.number(999.96), "1,000"),
        (words.number(9847), "9,847"),
        (words.number(1.25e9), "1.2 G"),
        (words.whole(9_245_496), "9.2 M"),
        (words.whole(10**17), "1.0e+17"),
        (words.share(0.0), "0 %"),
        (words.share(0.004), "0.4 %"),
        (words.share(0.452), "45 %"),
        (words.duration(0.00042), "0.42 ms"),
        (words.duration(0.9999), "1.00 s"),
        (words.duration(75), "1:15"),
        (words.clock(8.9), "8 s"),
        (words.clock(3729), "1:02:09"),
        (words.memory(700 * (1 << 20)), "700 MiB"),
        (words.memory(2.9 * GIB), "2.9 GiB"),
        (words.rate(None), "not available"),
    ],
)
def test_numbers_in_words(said: str, expected: str) -> None:
    assert said == expected


class Shown(App[None]):
    CSS = "Dashboard { width: 36; }"

    def __init__(self, theme: str = "gemma-dark") -> None:
        super().__init__()
        self.board = Dashboard()
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = theme

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return variable_defaults()

    def compose(self) -> ComposeResult:
        yield self.board


async def settled(pilot: Pilot[None]) -> None:
    await pilot.pause()
    await pilot.pause()


async def test_the_widget_draws_what_it_is_given() -> None:
    async with Shown().run_test(size=(80, 40)) as pilot:
        shown = pilot.app.query_one(Dashboard)
        shown.show(FULL)
        shown.show_engine("ready", None, 131.0)
        await settled(pilot)
        drawn = ["".join(segment.text for segment in shown.render_line(y)) for y in range(shown.size.height)]
        assert {len(line) for line in drawn} == {36}
        assert "\n".join(line.rstrip() for line in drawn).rstrip() == shown.words()
        assert "272.8 tok/s" in pilot.app.export_screenshot().replace("&#160;", " ")


async def test_only_rows_that_changed_are_drawn_again() -> None:
    async with Shown().run_test(size=(80, 40)) as pilot:
        shown = pilot.app.query_one(Dashboard)
        for _ in range(90):
            shown.show(FULL)
        await settled(pilot)
        drawn: list[int] = []
        render = shown.render_line

        def counted(y: int):  # type: ignore[no-untyped-def]
            drawn.append(y)
            return render(y)

        shown.render_line = counted  # type: ignore[method-assign]
        shown.show(FULL)
        await settled(pilot)
        assert drawn == []
        shown.show(dataclasses.replace(FULL, prompt_rate=12.0))
        await settled(pilot)
        place = next(y for y, line in enumerate(shown.words().splitlines()) if line.startswith("prompt"))
        # The figure, its course, and what stands right of it.
        assert place in drawn
        assert set(drawn) <= set(range(place, place + 4))


async def test_history_grows_while_hidden_and_is_there_when_shown() -> None:
    async with Shown().run_test(size=(80, 40)) as pilot:
        shown = pilot.app.query_one(Dashboard)
        shown.display = False
        await settled(pilot)
        for _ in range(5):
            shown.show(FULL)
        assert len(shown.history) == 5
        shown.display = True
        await settled(pilot)
        assert "272.8 tok/s" in shown.words()


async def test_one_row_is_the_short_form() -> None:
    class Narrow(Shown):
        CSS = "Dashboard { width: 1fr; height: 1; }"

    async with Narrow().run_test(size=(80, 24)) as pilot:
        shown = pilot.app.query_one(Dashboard)
        shown.show(FULL)
        await settled(pilot)
        assert shown.words().startswith("○ stopped · 272.8 tok/s · 3 running")


async def test_resizing_draws_afresh() -> None:
    async with Shown().run_test(size=(80, 40)) as pilot:
        shown = pilot.app.query_one(Dashboard)
        shown.show(FULL)
        await settled(pilot)
        tall = shown.words().count("\n")
        await pilot.resize_terminal(80, 12)
        await settled(pilot)
        assert shown.words().count("\n") < min(12, tall)


@pytest.mark.parametrize("theme", ["gemma-dark", "gemma-light", "textual-dark", "textual-light"])
async def test_every_theme_can_draw_it(theme: str) -> None:
    async with Shown(theme).run_test(size=(80, 40)) as pilot:
        pilot.app.query_one(Dashboard).show(FULL)
        await settled(pilot)
        assert "generation" in pilot.app.query_one(Dashboard).words()


async def test_hostile_names_stay_text() -> None:
    gpu = GpuMemory(0, "\x1b]0;owned\x07[red]", "u", total=GIB, used=GIB, power=1.0)
    async with Shown().run_test(size=(80, 40)) as pilot:
        shown = pilot.app.query_one(Dashboard)
        shown.show(Sample(0.0, note="\x1b[2J[bold]gone\x9b", gpus=(gpu,)))
        shown.show_engine("starting", Phase("\x1b[31mphase", 0.0, None, "[link=x]detail\x00"), 1.0)
        await settled(pilot)
        for y in range(shown.size.height):
            for segment in shown.render_line(y):
                assert all(character.isprintable() for character in segment.text), segment.text
        assert "[bold]gone" in shown.words()
        assert "[link=x]detail" in shown.words()
