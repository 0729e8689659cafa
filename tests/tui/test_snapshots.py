"""Pictures of the main screens at 80x24 and 120x40, with time and figures standing still.

`pytest tests/tui/test_snapshots.py --snapshot-update` makes them anew after a change that is meant.
"""

import dataclasses
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from textual import events
from textual.pilot import Pilot

from gemma_backend.config.profiles import list_profiles
from gemma_backend.session.setup import Need, Survey
from gemma_backend.types import (
    EarlierPhase,
    EarlierStarts,
    EngineFailed,
    Failure,
    HostMemory,
    LogLine,
    ModelInfo,
    Phase,
    PhaseChanged,
    Quantiles,
    Sample,
)
from gemma_tui.tui.app import GemmaApp
from gemma_tui.tui.opening import Opened, Opening, SetUpNeeded, Wanted, open_session
from gemma_tui.tui.screens.log import LogScreen
from gemma_tui.tui.screens.models import ModelScreen
from gemma_tui.tui.screens.quit import QuitScreen
from gemma_tui.tui.screens.setup import SetUpScreen
from stubs.openai_server import OpenAIServer, Reply
from tui.pilots import idle, ready, screen_text, until

SIZES = [(80, 24), (120, 40)]
Compare = Callable[..., bool]
Before = Callable[[Pilot[int]], Awaitable[None]]

REPLY = """The Moon is falling towards the Earth all the time, and missing it.

1. It moves **sideways** at about 1 km/s.
2. Gravity bends its path by just as much as the ground curves away.

```python
speed = (G * mass / distance) ** 0.5
```

| body | km/s |
| --- | --- |
| Moon | 1.02 |
| ISS | 7.66 |
"""


def standing_still() -> float:
    return 12.0


def on_a_server(**options: Any) -> GemmaApp:
    """The app on a server that is started with it, under an address that stays the same."""

    async def opener(wanted: Wanted) -> Opening:
        server = OpenAIServer(reply=Reply(REPLY), models=["bg-digitalservices/Gemma-4-E2B-NVFP4A16"])
        await server.__aenter__()
        opened = await open_session(wanted.on(server.url))
        assert isinstance(opened, Opened)
        return dataclasses.replace(opened, title="http://workstation:8000")

    return GemmaApp(Wanted(), opener=opener, poll=False, now=standing_still, **options)


async def never(wanted: Wanted) -> Opening:
    import asyncio

    await asyncio.Event().wait()
    raise AssertionError


def starting(now: Callable[[], float] = standing_still) -> GemmaApp:
    """The app while it is still being chosen what to start."""
    return GemmaApp(Wanted(), opener=never, poll=False, now=now)


async def feed_dashboard(pilot: Pilot[int]) -> None:
    app = pilot.app
    assert isinstance(app, GemmaApp)
    for second in range(40):
        wave = 1 + math.sin(second / 5)
        app.main.dashboard.show(
            Sample(
                at=float(second),
                generation_rate=120 * wave,
                prompt_rate=40.0 if second % 10 == 0 else 0.0,
                running=1,
                waiting=0,
                kv_cache=second / 400,
                kv_tokens=55_356,
                ttft=Quantiles(0.026, 0.041, 0.05, 0.03),
                itl=Quantiles(0.0037, 0.0051, 0.006, 0.004),
                host=HostMemory(25_200_000_000, 14_000_000_000, 2_900_000_000, 1.4),
            )
        )
    await pilot.pause()


async def talk(pilot: Pilot[int]) -> None:
    await ready(pilot)
    await pilot.press(*"Why does the Moon not fall down?", "enter")
    await idle(pilot)
    await feed_dashboard(pilot)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("theme", ["gemma-dark", "gemma-light"])
def test_chat(snap_compare: Compare, size: tuple[int, int], theme: str) -> None:
    assert snap_compare(on_a_server(theme=theme), terminal_size=size, run_before=talk)


EARLIER = EarlierStarts(
    5,
    93.0,
    (EarlierPhase("imports", 20.0, 73.0), EarlierPhase("config", 4.0, 69.0), EarlierPhase("weights", 11.0, 58.0)),
)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("earlier", [None, EARLIER], ids=["first", "again"])
def test_start(snap_compare: Compare, size: tuple[int, int], earlier: EarlierStarts | None) -> None:
    time = [12.0]

    async def before(pilot: Pilot[int]) -> None:
        main = pilot.app.screen
        assert isinstance(pilot.app, GemmaApp)
        main = pilot.app.main
        main.start_view.introduce(
            "Gemma 4 E2B, NVFP4 · bg-digitalservices/Gemma-4-E2B-NVFP4A16",
            "NVIDIA H200 has 139.2 GiB of memory free; the full model needs 12.",
        )
        if earlier is not None:
            main.take(earlier)
        main.take(PhaseChanged(Phase("imports", 0.0)))
        main.take(PhaseChanged(Phase("config", 19.8, None, "Gemma4ForConditionalGeneration")))
        main.take(PhaseChanged(Phase("weights", 24.1, None, "shard 3 of 5")))
        time[0] += 29.0
        main.take(LogLine("INFO 11-23 19:03:11 Loading safetensors checkpoint shards: 60% Completed | 3/5"))
        await pilot.press(*"typed early")
        await pilot.pause()

    assert snap_compare(starting(lambda: time[0]), terminal_size=size, run_before=before)


@pytest.mark.parametrize("size", SIZES)
def test_start_under_a_queued_message(snap_compare: Compare, size: tuple[int, int]) -> None:
    time = [12.0]

    async def before(pilot: Pilot[int]) -> None:
        assert isinstance(pilot.app, GemmaApp)
        main = pilot.app.main
        await pilot.press(*"Are you there?", "enter")
        await until(pilot, lambda: main.conversation.waiting)
        main.take(EARLIER)
        main.take(PhaseChanged(Phase("imports", 0.0)))
        main.take(PhaseChanged(Phase("weights", 24.1, None, "shard 3 of 5")))
        main.take(LogLine("INFO 11-23 19:03:11 Loading safetensors checkpoint shards: 60% Completed | 3/5"))
        time[0] += 29.0
        main.tick()
        await pilot.pause()

    assert snap_compare(starting(lambda: time[0]), terminal_size=size, run_before=before)


@pytest.mark.parametrize("size", SIZES)
def test_quit(snap_compare: Compare, size: tuple[int, int]) -> None:
    async def before(pilot: Pilot[int]) -> None:
        await pilot.app.push_screen(QuitScreen(30.0))
        await pilot.pause()

    assert snap_compare(starting(), terminal_size=size, run_before=before)


LOGS = Path(__file__).parents[1] / "fixtures" / "engine-logs"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("theme", ["gemma-dark", "gemma-light"])
def test_log(snap_compare: Compare, size: tuple[int, int], theme: str, tmp_path: Path) -> None:
    async def before(pilot: Pilot[int]) -> None:
        pilot.app.theme = theme
        path = LOGS / "fail-missing-weights.log"
        screen = LogScreen(path)
        screen.standing = lambda: LogScreen.standing(screen).partition(" · /")[0]  # type: ignore[method-assign]
        await pilot.app.push_screen(screen)
        await until(pilot, lambda: len(screen.pane.lines.entries) > 100)
        await pilot.press("l", "slash", *"k_norm", "enter")
        await pilot.pause()

    assert snap_compare(starting(), terminal_size=size, run_before=before)


@pytest.mark.parametrize("size", SIZES)
def test_queued_and_failed(snap_compare: Compare, size: tuple[int, int]) -> None:
    async def before(pilot: Pilot[int]) -> None:
        assert isinstance(pilot.app, GemmaApp)
        main = pilot.app.main
        await pilot.press(*"Are you there?", "enter")
        await until(pilot, lambda: main.conversation.waiting)
        main.take(PhaseChanged(Phase("imports", 0.0)))
        main.take(
            EngineFailed(
                Failure(
                    "The GPU has 3.1 GiB of memory free and the engine was to take 7.2 GiB.",
                    "Close what else uses the GPU, or start with --profile small-gpu.",
                    log_path="/home/me/.local/state/gemma-tui/log/engine-1.log",
                )
            )
        )
        await pilot.pause()

    assert snap_compare(starting(), terminal_size=size, run_before=before)


@pytest.mark.parametrize("size", SIZES)
def test_attachments(snap_compare: Compare, size: tuple[int, int], tmp_path: Path) -> None:
    picture = tmp_path / "sunset.png"
    gradient = Image.linear_gradient("L").resize((640, 400))
    Image.merge("RGB", (gradient, gradient.rotate(180), Image.new("L", (640, 400), 120))).save(picture)

    async def before(pilot: Pilot[int]) -> None:
        await ready(pilot)
        assert isinstance(pilot.app, GemmaApp)
        main = pilot.app.main
        main.composer.post_message(events.Paste(str(picture)))
        await until(pilot, lambda: main.chips.chips and main.chips.chips[0].part)
        await pilot.press(*"What is this?", "enter")
        await idle(pilot)
        await until(pilot, lambda: not main.conversation.answering and len(main.transcript.document.turns) == 2)
        main.transcript.action_scroll_home()
        main.composer.post_message(events.Paste(str(picture)))
        main.composer.post_message(events.Paste("a line\r" * 100))
        await until(pilot, lambda: len(main.chips.chips) == 2 and all(chip.part for chip in main.chips.chips))
        await feed_dashboard(pilot)

    assert snap_compare(on_a_server(), terminal_size=size, run_before=before)


@pytest.mark.parametrize("size", SIZES)
def test_set_up(snap_compare: Compare, size: tuple[int, int]) -> None:
    def survey() -> Survey:
        return Survey(
            memory=HostMemory(25_200_000_000, 23_000_000_000),
            disk_free=78_500_000_000,
            folder="/home/me/.local/share/gemma-tui",
            profiles=tuple(profile for profile in list_profiles() if profile.name in ("workstation", "pocket")),
            needs={"cpu": Need(615_700_000, 2_200_000_000), "cuda": Need(4_100_000_000, 9_800_000_000)},
            lacking=frozenset({"workstation"}),
        )

    async def before(pilot: Pilot[int]) -> None:
        await pilot.app.push_screen(SetUpScreen(SetUpNeeded("pocket", ""), Wanted(), survey))
        await until(pilot, lambda: "Attach to a URL" in screen_text(pilot.app))  # type: ignore[arg-type]

    assert snap_compare(starting(), terminal_size=size, run_before=before)


@pytest.mark.parametrize("size", SIZES)
def test_models(snap_compare: Compare, size: tuple[int, int]) -> None:
    async def before(pilot: Pilot[int]) -> None:
        models = (ModelInfo("google/gemma-4-E2B", 131_072), ModelInfo("gemma-tui/pocket", 4_096), ModelInfo("other"))
        await pilot.app.push_screen(ModelScreen(models))
        await pilot.pause()

    assert snap_compare(starting(), terminal_size=size, run_before=before)


@pytest.mark.parametrize("size", SIZES)
def test_keys(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(starting(), terminal_size=size, press=["f1"])


def test_no_colour(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(on_a_server(), terminal_size=(80, 24), run_before=talk)
