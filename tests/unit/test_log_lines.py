"""A log as rows of a screen: filtered, searched, wrapped; no widget is needed for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from gemma_tui.tui.widgets import log_lines
from gemma_tui.tui.widgets.log_lines import LogLines

LOGS = Path(__file__).parents[1] / "fixtures" / "engine-logs"


def of(*lines: str, **changes: object) -> LogLines:
    log = LogLines()
    log.arrange(**changes)
    log.add(lines)
    return log


def texts(log: LogLines) -> list[str]:
    found = [log.row(number) for number in range(log.rows)]
    return [row.head + row.part for row in found if row is not None]


CORE = "(EngineCore pid=22) "
HEAD = f"{CORE}ERROR 11-23 08:00:30 [core.py:1330] "


def test_time_process_and_loudness_stand_in_front() -> None:
    log = of(
        "(APIServer pid=11) INFO 11-23 08:00:09 [model.py:1788] Using max model len 131072",
        "(APIServer pid=11) WARNING 11-23 08:00:10 [x.py:1] careful",
        f"{HEAD}EngineCore failed to start.",
        "some/library.py:24: DeprecationWarning: old",
    )
    assert texts(log) == [
        "  08:00:09 server   Using max model len 131072",
        "W 08:00:10 server   careful",
        "E 08:00:30 core     EngineCore failed to start.",
        "                    some/library.py:24: DeprecationWarning: old",
    ]


def test_levels_keep_tracebacks_whole() -> None:
    lines = [
        "(APIServer pid=11) INFO 11-23 08:00:09 [model.py:1788] hello",
        "(APIServer pid=11) Traceback (most recent call last):",
        '(APIServer pid=11)   File "x.py", line 1, in f',
        "(APIServer pid=11) WARNING 11-23 08:00:10 [x.py:1] careful",
        "(APIServer pid=11) ValueError: no",
        "(APIServer pid=11)   a second line of it",
    ]
    log = of(*lines)
    log.arrange(level="errors")
    assert [row.partition("server   ")[2] for row in texts(log)] == [
        "Traceback (most recent call last):", '  File "x.py", line 1, in f', "ValueError: no", "  a second line of it",
    ]  # fmt: skip
    log.arrange(level="warnings")
    assert log.shown == 5
    log.arrange(level="all", filter="CAREFUL")
    assert log.shown == 1
    log.add([lines[3], lines[0]])
    assert log.shown == 2 and len(log.entries) == 8


def test_of_a_progress_bar_the_latest_state_is_kept() -> None:
    bar = "(Worker pid=5) Capturing CUDA graphs (FULL): {0}%|██  | {1}/51 [00:0{1}<00:02]"
    log = of(*(bar.format(2 * n, n) for n in range(1, 9)), "done", bar.format(18, 9))
    assert log.rows == 3
    assert "8/51" in texts(log)[0] and "9/51" in texts(log)[2]


def test_searching_goes_round_in_both_directions() -> None:
    log = of("one", "two", "one more", "three")
    assert log.find("ONE", -1, 1) == 0
    assert log.find("one", 0, 1) == 2
    assert log.find("one", 2, 1) == 0
    assert log.find("one", 0, -1) == 2
    assert log.find("four", 0, 1) is None
    assert log.find("", 0, 1) is None
    assert log.count("one") == 2
    log.arrange(filter="three")
    assert log.find("one", 0, 1) is None


def test_control_characters_are_shown_and_do_nothing() -> None:
    log = of("\x1b[31mred\x1b[0m \x07 \x9b2J [bold]x[/bold] \u202e")
    [row] = texts(log)
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in row)
    assert "[bold]x[/bold]" in row and "red" in row


def test_a_very_long_log_loses_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_lines, "KEPT", 100)
    monkeypatch.setattr(log_lines, "_DROPPED", 20)
    log = of(*(f"line {number}" for number in range(100)))
    assert log.add(["line 100"]) == 21
    assert log.rows == 80 and texts(log)[-1].endswith("line 100")


@pytest.mark.parametrize("path", sorted(LOGS.glob("*.log")), ids=lambda path: path.stem)
def test_captures_lose_nothing_when_wrapped(path: Path) -> None:
    log = of(*path.read_text(encoding="utf-8").splitlines(), width=60)
    wrapped: dict[int, str] = {}
    for number in range(log.rows):
        row = log.row(number)
        assert row is not None and cell_len(row.head + row.part) <= 60
        wrapped[id(row.entry)] = wrapped.get(id(row.entry), "") + row.part
    assert [wrapped[id(entry)] for entry in log.entries] == [entry.text for entry in log.entries]
    log.arrange(wrap=False)
    assert log.rows == len(log.entries)


@given(
    st.lists(st.text(max_size=200), max_size=30),
    st.integers(20, 120),
    st.sampled_from(log_lines.LEVELS),
    st.text(max_size=3),
    st.booleans(),
)
def test_rows_are_the_same_whether_it_grew_or_was_arranged(
    lines: list[str], width: int, level: str, wanted: str, wrap: bool
) -> None:
    changes: dict[str, object] = {"width": width, "level": level, "filter": wanted, "wrap": wrap}
    grown, arranged = of(*lines, **changes), of(*lines)
    arranged.arrange(**changes)
    assert texts(grown) == texts(arranged)
    assert grown.row(grown.rows) is None and grown.row(-1) is None
    for entry in grown.entries:
        assert grown.place(entry) <= grown.rows
