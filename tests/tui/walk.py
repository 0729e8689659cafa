"""Every screen of the program, one after the other, each with something in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from textual import events
from textual.pilot import Pilot
from textual.screen import Screen

from gemma_assets import path as asset
from gemma_backend.config.profiles import list_profiles
from gemma_backend.config.prompts import list_prompts
from gemma_backend.media.play import Player
from gemma_backend.session.setup import Need, Survey
from gemma_backend.types import EngineFailed, Failure, HostMemory, ModelInfo, Phase, PhaseChanged
from gemma_tui.tui.app import GemmaApp
from gemma_tui.tui.branch_rows import branch_rows
from gemma_tui.tui.opening import SetUpNeeded, Wanted
from gemma_tui.tui.screens.branches import BranchScreen
from gemma_tui.tui.screens.clip import ClipScreen
from gemma_tui.tui.screens.fetch import FetchScreen
from gemma_tui.tui.screens.figures import FiguresScreen
from gemma_tui.tui.screens.files import FilesScreen
from gemma_tui.tui.screens.help import HelpScreen
from gemma_tui.tui.screens.history import HistoryScreen
from gemma_tui.tui.screens.line import LineScreen, SureScreen
from gemma_tui.tui.screens.link import LinkScreen, LinksScreen
from gemma_tui.tui.screens.log import LogScreen
from gemma_tui.tui.screens.models import ModelScreen
from gemma_tui.tui.screens.picture import BudgetScreen
from gemma_tui.tui.screens.profiles import ProfilesScreen
from gemma_tui.tui.screens.prompts import PromptsScreen, VariablesScreen
from gemma_tui.tui.screens.quit import QuitScreen
from gemma_tui.tui.screens.record import RecordScreen
from gemma_tui.tui.screens.setup import SetUpScreen
from gemma_tui.tui.screens.studio_controls import ControlsScreen
from gemma_tui.tui.screens.studio_documents import DocumentsScreen
from gemma_tui.tui.screens.studio_few_shot import FewShotScreen
from gemma_tui.tui.screens.studio_line import LineScreen as StudioLineScreen
from gemma_tui.tui.screens.studio_menu import MenuScreen
from gemma_tui.tui.screens.studio_request import RequestScreen
from gemma_tui.tui.widgets.chips import Chip
from gemma_tui.tui.widgets.choice_list import ChoiceList
from stubs.completion_server import CompletionServer
from stubs.replies import Reply
from tui.pilots import idle, pad_of, ready, screen_text, until
from tui.studio_pilots import go_on
from tui.test_snapshots import feed_dashboard

LOG = Path(__file__).parents[1] / "fixtures" / "engine-logs" / "fail-missing-weights.log"
URL = "https://example.org/a/rather/long/address/of/a/page?with=a&query=that&goes=on&and=on&until=the&row=is&full=1"
REPLY = """# A heading

Text with `code`, **strong** words, $x^2$ and [a link](https://example.org/a).

- one
- two

> quoted

```python
def f(x: int) -> str:  # says it
    return "text" + str(x * 2)
```

```diff
-old
+new
```

| a | b |
|---|---|
| 1 | 2 |
"""
SHOWN = (
    ModelScreen, SetUpScreen, QuitScreen, LogScreen, FiguresScreen, HelpScreen, HistoryScreen, BranchScreen, LineScreen,
    SureScreen, LinkScreen, LinksScreen, FilesScreen, FetchScreen, BudgetScreen, PromptsScreen, VariablesScreen,
    ClipScreen, RecordScreen, ControlsScreen, MenuScreen, FewShotScreen, RequestScreen, DocumentsScreen,
    StudioLineScreen, ProfilesScreen,
)  # fmt: skip
"""Every screen that lies on the main one."""

Look = Callable[[str, Pilot[int]], Awaitable[None]]


@asynccontextmanager
async def walking(size: tuple[int, int], theme: str = "gemma-dark") -> AsyncIterator[tuple[GemmaApp, Pilot[int]]]:
    """The app on a server with something to say."""
    server = CompletionServer(models=["stub/model"], texts=[" named Ella, who lived here.", " of old.", " once."])
    server.reply = Reply(REPLY, reasoning="I think.")
    async with server:
        app = GemmaApp(Wanted(url=server.url), poll=False, theme=theme, now=lambda: 12.0)
        async with app.run_test(size=size) as pilot:
            yield app, pilot


async def walk(app: GemmaApp, pilot: Pilot[int], look: Look) -> None:
    """Call `look` with a name on each screen, and on the states of the main one that differ most."""
    main = app.main
    await ready(pilot)
    await look("empty", pilot)
    main.take(PhaseChanged(Phase("weights", 24.1, None, "shard 3 of 5")))
    await pilot.press(*"hello", "enter")
    await idle(pilot)
    await feed_dashboard(pilot)
    await look("conversation", pilot)
    await pilot.press("alt+z", "f7", "t")
    await pilot.pause()
    await look("chosen turn", pilot)
    await pilot.press("escape")
    main.take(EngineFailed(Failure("The GPU is full.", "Close what else uses it.", log_path="/home/me/engine.log")))
    await until(pilot, lambda: "The GPU is full." in screen_text(app))
    await look("failed", pilot)
    main.notice.close()
    main.composer.post_message(events.Paste("a line\r" * 100))
    main.chips.chips = (*main.chips.chips, Chip("a red square.png", None))
    await pilot.press("/")
    await pilot.pause()
    await look("completing a command", pilot)
    await pilot.press("escape", "backspace")
    main.chips.chips = ()
    for name, screen in _sheets(app):
        await _on(app, pilot, screen, name, look)
    history = await app.open_history()

    async def deleted(number: int) -> None:
        raise AssertionError(number)

    await _on(app, pilot, HistoryScreen(history, deleted), "history", look, lambda: "hello" in screen_text(app))
    assert main.talk is not None
    await _on(app, pilot, BranchScreen(branch_rows(main.talk.tree), None), "branches", look)
    await _studio(app, pilot, look)


def _sheets(app: GemmaApp) -> Iterator[tuple[str, Screen[object]]]:
    main = app.main
    prompt = list_prompts()[0]
    models = (ModelInfo("google/gemma-4-E2B", 131_072), ModelInfo("other"))
    yield "models", ModelScreen(models)  # type: ignore[misc]
    yield "setup", SetUpScreen(SetUpNeeded("pocket", ""), Wanted(), _survey)  # type: ignore[misc]
    yield "profiles", ProfilesScreen("pocket")  # type: ignore[misc]
    yield "quit", QuitScreen(30.0)  # type: ignore[misc]
    yield "log", LogScreen(LOG)  # type: ignore[misc]
    yield "figures", FiguresScreen(main.dashboard, None)  # type: ignore[misc]
    yield "help", HelpScreen(main.commander.offered)  # type: ignore[misc]
    yield "title", LineScreen("Title", "A title", "Left empty it is the first words again.")  # type: ignore[misc]
    yield "sure", SureScreen("Delete?", "hello\nThe turn after it too.", "deletes")  # type: ignore[misc]
    yield "link", LinkScreen(URL, opens=True)  # type: ignore[misc]
    yield "address", LinkScreen(URL, opens=False)  # type: ignore[misc]
    yield "links", LinksScreen(["https://example.org/a", "https://example.org/b"])  # type: ignore[misc]
    yield "files", FilesScreen(asset("samples"))  # type: ignore[misc]
    yield "fetch", FetchScreen(URL)  # type: ignore[misc]
    yield "budget", BudgetScreen(None, 280)  # type: ignore[misc]
    yield "prompts", PromptsScreen(list_prompts())  # type: ignore[misc]
    yield "variables", VariablesScreen(prompt, ["language", "style"])  # type: ignore[misc]
    yield "clip", ClipScreen(asset("samples", "words.wav"), 0.0, 30.0, Player())  # type: ignore[misc]
    yield "record", RecordScreen("clip.wav")  # type: ignore[misc]


async def _studio(app: GemmaApp, pilot: Pilot[int], look: Look) -> None:
    await pilot.press("f2")
    pad_of(app).put("  Once upon a time\tthere was a girl")
    await go_on(pilot, "ctrl+g")
    await look("studio", pilot)
    await go_on(pilot, "f6", "left")
    await look("studio tokens", pilot)
    await go_on(pilot, "escape", "f9", "f7")
    await look("studio alternatives", pilot)
    await go_on(pilot, "escape")
    room = app.main.studio
    assert room is not None
    await room.save()
    assert app.session is not None and app.session.endpoint is not None
    request = room.studio.request()
    about = await asyncio.to_thread((await app.open_history()).documents)
    for name, screen in (
        ("controls", ControlsScreen(room.studio, room.preset, room.use)),
        ("menu", MenuScreen(room.tools)),
        ("few shot", FewShotScreen()),
        ("request", RequestScreen(app.session.endpoint, request)),  # type: ignore[arg-type]
        ("documents", DocumentsScreen(about)),
        ("studio line", StudioLineScreen("Insert a picture or clip", "Path of the file", "Enter inserts it")),
    ):
        await _on(app, pilot, screen, name, look)  # type: ignore[arg-type]


async def _on(
    app: GemmaApp,
    pilot: Pilot[int],
    screen: Screen[object],
    name: str,
    look: Look,
    true: Callable[[], bool] = lambda: True,
) -> None:
    await app.push_screen(screen)
    await until(pilot, lambda: app.screen is screen and screen.is_mounted)
    await until(pilot, lambda: true() and all(choices.items for choices in screen.query(ChoiceList)))
    await pilot.pause(0.1)
    await look(name, pilot)
    if app.screen is screen:
        await app.pop_screen()
    await until(pilot, lambda: app.screen is app.main)


def _survey() -> Survey:
    return Survey(
        memory=HostMemory(25_200_000_000, 23_000_000_000),
        disk_free=78_500_000_000,
        folder="/home/me/.local/share/gemma-tui",
        profiles=tuple(profile for profile in list_profiles() if profile.name in ("workstation", "pocket")),
        needs={"cpu": Need(615_700_000, 2_200_000_000), "cuda": Need(4_100_000_000, 9_800_000_000)},
        lacking=frozenset({"workstation"}),
    )
