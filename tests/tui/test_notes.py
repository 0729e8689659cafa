"""What vLLM does without a word, or says in words that mislead, is said where a person looks."""

from __future__ import annotations

from pathlib import Path

from gemma_backend.engine import notes
from gemma_backend.types import EngineNote, Phase, PhaseChanged
from gemma_tui.tui.app import GemmaApp
from gemma_tui.tui.screens.log import LogScreen
from stubs.openai_server import OpenAIServer
from tui.pilots import attached, idle, ready, screen_text, until
from tui.test_snapshots import starting

COLD = Path(__file__).parents[1] / "fixtures" / "engine-logs" / "h200-nvfp4a16-cold-start-ready-then-sigterm.log"


def words(app: GemmaApp) -> str:
    return " ".join(screen_text(app).split())


async def test_while_it_starts_they_stand_below_the_phases() -> None:
    app = starting()
    async with app.run_test(size=(80, 24)) as pilot:
        app.main.take(PhaseChanged(Phase("weights", 1.0, None, "shard 1 of 7")))
        for note in (notes.SM12X, notes.NO_UNITS):
            app.main.take(EngineNote(note))
        await until(pilot, lambda: "no faster" in screen_text(app))
        shown = words(app)
        assert "i On this GPU vLLM chooses CUTLASS kernels" in shown and "i This GPU has no FP4 units" in shown
        assert "weights" in shown and "shard 1 of 7" in shown


async def test_once_something_was_said_one_stands_above_the_composer(server: OpenAIServer) -> None:
    app = attached(server.url)
    async with app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        await pilot.press(*"hi", "enter")
        await idle(pilot)
        app.main.take(EngineNote(notes.NATIVE))
        await until(pilot, lambda: app.main.notice.message == notes.NATIVE and "no native support" in words(app))


async def test_in_the_log_they_stand_below_the_line_they_explain() -> None:
    async with starting().run_test(size=(120, 40)) as pilot:
        screen = LogScreen(COLD)
        await pilot.app.push_screen(screen)
        await until(pilot, lambda: "Application shutdown complete" in str(screen.pane.lines.entries[-20:]))
        entries = screen.pane.lines.entries
        [place] = [number for number, entry in enumerate(entries) if entry.text == notes.NATIVE]
        assert "does not have native support for FP4" in entries[place - 1].text
        screen.pane.set_filter("is normal")
        assert isinstance(pilot.app, GemmaApp)
        await until(pilot, lambda: "has no native support for FP4 is normal" in words(pilot.app))  # type: ignore[arg-type]
