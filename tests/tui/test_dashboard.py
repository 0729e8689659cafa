"""The dashboard: what is drawn equals what was computed by hand, at every size."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from gemma_backend.metrics.history import History
from gemma_backend.types import EngineState, GpuMemory, HostMemory, Phase, Quantiles, Sample
from gemma_tui.chart import area, bar, ceiling, columns_of
from gemma_tui.tui.themes import DARK, LIGHT
from gemma_tui.tui.widgets import dashboard_words as words
from gemma_tui.tui.widgets.dashboard import Dashboard
from gemma_tui.tui.widgets.dashboard_rows import Board, Standing, compact, rows

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


def board(*samples: Sample, state: EngineState = "ready", phase: Phase | None = None) -> Board:
    history = History()
    for sample in samples:
        history.add(sample)
    return Board(Standing(state, phase, 131.0), samples[-1] if samples else None, history)


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
    lines = text(board(Sample(0.0, note="This server has no /metrics: what is shown was measured here.")))
    shown = figures(lines)
    assert set(shown.values()) == {"2:11", "not available"}
    assert len(shown) == 8
    assert "This server has no /metrics:" in lines[1]
    assert not any(character.isdigit() for line in lines[1:] for character in line)


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
@pytest.mark.parametrize("width", [30, 33, 44])
def test_every_row_is_as_wide_as_the_panel_and_none_is_too_many(width: int, height: int) -> None:
    lines = text(board(*[FULL] * 80), width, height)
    assert len(lines) <= height
    assert {cell_len(line) for line in lines} == {width}


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
    assert "this machine" in labels(10)


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
    assert top <= value * 2.5 * (1 + 1e-6)
    assert f"{top:.0e}"[0] in "125"


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
        assert set(drawn) == {place, place + 1}


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
