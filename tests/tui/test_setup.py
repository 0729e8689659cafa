"""First run: nothing is set up, nothing is fetched before a yes, and everything can be gone back on."""

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from gemma_tui.tui.app import GemmaApp
from gemma_tui.tui.opening import Wanted
from gemma_tui.tui.screens.setup import SetUpScreen
from stubs.docker_stand_in import docker
from stubs.openai_server import OpenAIServer
from tui.pilots import ready, screen_text, until


class Index(ThreadingHTTPServer):
    """A package index that has nothing, and holds every answer back until `gate` is open."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Nothing)
        self.asked: list[str] = []
        self.gate = threading.Event()


class _Nothing(BaseHTTPRequestHandler):
    server: Index

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.gate.wait()
        self.send_error(404)


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    with Index() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX"):
            monkeypatch.setenv(name, f"{url}/simple")
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, url)
        monkeypatch.setenv("PIP_RETRIES", "0")
        yield server
        server.gate.set()
        server.shutdown()


async def offered(pilot: Pilot[int]) -> SetUpScreen:
    """The set-up screen, once it shows what was found."""
    app = pilot.app
    assert isinstance(app, GemmaApp)
    await until(pilot, lambda: isinstance(app.screen, SetUpScreen) and "Attach to a URL" in screen_text(app))
    assert isinstance(app.screen, SetUpScreen)
    return app.screen


def unset() -> GemmaApp:
    return GemmaApp(Wanted(profile="pocket"), poll=False)


async def test_choices_are_shown_with_their_costs_and_nothing_is_fetched(index: Index) -> None:
    app = unset()
    async with app.run_test() as pilot:
        await offered(pilot)
        shown = screen_text(app)
        for words in ("Memory", "Disk", "vLLM", "recommended", "to fetch", "on disk", "Apache-2.0", "Attach to a URL"):
            assert words in shown
        assert "▌ Pocket checkpoint" in shown
        await pilot.press("escape")
        await until(pilot, lambda: app._exit)
    assert index.asked == []


async def test_attaching_from_the_set_up(server: OpenAIServer) -> None:
    app = unset()
    async with app.run_test() as pilot:
        screen = await offered(pilot)
        await pilot.press("end", "enter", *"nonsense", "enter")
        await until(pilot, lambda: "http://" in str(screen.query_one("#message").render()))
        screen.query_one(Input).value = server.url
        await pilot.press("enter")
        await ready(pilot)
        assert app.screen is app.main


async def test_an_installation_can_be_stopped_and_begun_again(index: Index) -> None:
    app = unset()
    async with app.run_test() as pilot:
        await offered(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: index.asked)
        assert "Esc stops" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: "Choose again to go on" in screen_text(app))
        asked = len(index.asked)
        await pilot.press("enter")
        await until(pilot, lambda: len(index.asked) > asked)
        await pilot.press("escape")
        await until(pilot, lambda: "Choose again to go on" in screen_text(app))
        assert app.screen is not app.main


@pytest.mark.parametrize("key", ["escape", "ctrl+c"])
async def test_asked_for_twice_it_is_stopped_and_left(index: Index, key: str) -> None:
    app = unset()
    async with app.run_test() as pilot:
        await offered(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: index.asked)
        await pilot.press(key, key)
        await until(pilot, lambda: app.return_code == 0)


async def test_yes_on_the_command_line_begins_at_once(index: Index) -> None:
    app = GemmaApp(Wanted(profile="pocket", yes=True), poll=False)
    async with app.run_test() as pilot:
        await until(pilot, lambda: index.asked)
        await pilot.press("escape")
        await until(pilot, lambda: "Choose again to go on" in screen_text(app))


async def test_a_container_image_is_fetched_and_the_engine_started_in_it(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("DATA", "STATE", "CACHE", "LOG", "CONFIG"):
        monkeypatch.setenv(f"GEMMA_TUI_{kind}_DIR", str(tmp_path / kind.lower()))
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.toml").write_text(
        '[profiles.mine]\ntitle = "Mine"\ncheckpoint = "bundled:pocket"\nruntime = "docker:somebody/vllm:1"\n'
        '[profiles.mine.container]\ngpus = ""\n'
    )
    gate = tmp_path / "gate"
    app = GemmaApp(Wanted(profile="mine"), poll=False)
    with docker(tmp_path_factory.mktemp("docker")) as service:
        monkeypatch.setenv("PATH", f"{service.path}:{os.environ['PATH']}")
        service.add_stand_in("somebody/vllm:1", hidden=[], pulled=False, gate=str(gate))
        async with app.run_test() as pilot:
            await offered(pilot)
            assert "▌ Mine" in screen_text(app) and "a container image of several GB" in screen_text(app)
            assert not any(words[0] == "pull" for words in service.asked())
            await pilot.press("enter")
            await until(pilot, lambda: "layer 1 of 2" in screen_text(app))
            await pilot.press("escape")
            await until(pilot, lambda: "Choose again to go on" in screen_text(app))
            assert service.images() == []
            gate.touch()
            await pilot.press("enter")
            await ready(pilot)
            assert app.screen is app.main and service.names()
            await app.quit_now()
            await until(pilot, lambda: app.return_code == 0)
        assert service.names() == []


async def test_left_from_outside_while_it_installs_it_ends_without_a_complaint(index: Index) -> None:
    app = unset()
    async with app.run_test() as pilot:
        await offered(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: index.asked)
        await app.quit_now()
        await until(pilot, lambda: app._exit)
    assert app.bug_log is None and app.return_code == 0


async def test_without_docker_the_set_up_says_so_and_offers_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    app = GemmaApp(Wanted(profile="dgx-spark"), poll=False)
    async with app.run_test(size=(100, 40)) as pilot:
        await offered(pilot)
        assert "No NVIDIA GPU was found" in screen_text(app) or "docker or podman" in screen_text(app)
        assert "Pocket checkpoint" in screen_text(app)
