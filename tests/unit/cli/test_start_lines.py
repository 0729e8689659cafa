"""What a start looks like as lines: each phase once, whatever it is written to."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from gemma_backend.engine import notes
from gemma_backend.engine.explain import LogReader
from gemma_backend.types import EarlierPhase, EarlierStarts, EngineNote, EngineReady, LogLine, Phase, PhaseChanged
from gemma_backend.types import Endpoint as Place
from gemma_tui.cli.start_lines import StartLines

LOGS = Path(__file__).parents[2] / "fixtures" / "engine-logs"
COLD = LOGS / "h200-nvfp4a16-cold-start-ready-then-sigterm.log"


def played(log: Path, **options: object) -> str:
    """What is written while `log` grows."""
    stream, reader = io.StringIO(), LogReader()
    lines = StartLines(stream, **options)  # type: ignore[arg-type]
    lines.take(reader.begin())
    for row in log.read_text(encoding="utf-8").split("\n"):
        for event in reader.feed(row):
            lines.take(event)
    lines.take(EngineReady(Place("http://localhost"), "m", 180.0))
    return stream.getvalue()


def names(rows: list[str]) -> list[str]:
    return [found[1].strip() for row in rows if (found := re.match(r" *[\d.]+ s  (.{15})", row.ljust(60)))]


def test_in_a_pipe_a_line_for_each_phase_and_the_figures_at_the_end() -> None:
    rows = played(COLD, live=False).splitlines()
    told = names(rows)
    assert told == list(dict.fromkeys(told))
    assert {"imports", "weights", "compile", "graphs", "kv cache"} <= set(told) and "ready" not in told
    assert "\x1b" not in "".join(rows)
    assert rows[-1] == "weights loaded 7.37 GiB in 5.2 s; kv cache 9,245,496 tokens, 70.54 x 131,072"
    # vLLM's own warning, in words that say what it means.
    assert rows.count(f"Note: {notes.NATIVE}") == 1


def test_on_a_terminal_a_phase_is_drawn_over_as_it_goes_on() -> None:
    written = played(COLD, live=True, columns=80)
    kept = [row.rpartition("\x1b[K")[2] for row in written.split("\n")]
    told = names(kept)
    assert told == list(dict.fromkeys(told)) and "graphs" in told
    graphs = written[written.index("graphs") :]
    assert "graph 3 of 51" in graphs and "graph 51 of 51" in graphs
    assert next(row for row in kept if "graphs" in row).endswith("graph 51 of 51, FULL")
    drawn = [part for part in written.replace("\n", "\r\x1b[K").split("\r\x1b[K") if names([part])]
    assert max(len(part) for part in drawn) < 80


@pytest.mark.parametrize("live", [False, True])
def test_what_was_planned_is_told_whole(live: bool) -> None:
    stream, plan = io.StringIO(), "word " * 40
    lines = StartLines(stream, live=live, columns=80)
    lines.take(PhaseChanged(Phase("memory planned", 0.0, 0.0, plan)))
    lines.take(PhaseChanged(Phase("imports", 0.0)))
    assert plan.rstrip() in stream.getvalue() and names(stream.getvalue().split("\n"))[:1] == ["memory planned"]


@pytest.mark.parametrize("live", [False, True])
def test_the_time_left_is_that_of_earlier_starts(live: bool) -> None:
    earlier = EarlierStarts(2, 100.0, (EarlierPhase("imports", 20.0, 80.0), EarlierPhase("weights", 50.0, 30.0)))
    stream, at = io.StringIO(), 0.0
    lines = StartLines(stream, live=live, columns=80, now=lambda: at)
    lines.take(earlier)
    lines.take(PhaseChanged(Phase("imports", 0.0)))
    at = 30.0
    lines.take(PhaseChanged(Phase("weights", 30.0, None, "shard 1 of 7")))
    assert "30.0 s  weights        shard 1 of 7 · about 80 s left" in stream.getvalue()
    at = 50.0
    lines.tick()
    assert ("shard 1 of 7 · about 60 s left" in stream.getvalue()) is live
    lines.take(EngineNote("mind\x1b[2J this"))
    assert "\x1b[2J" not in stream.getvalue() and "Note: mind" in stream.getvalue()
    lines.take(LogLine("hello"))
    assert "hello" not in stream.getvalue()
