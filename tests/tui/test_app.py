"""Beginning and end of the app: reaching an endpoint or not, choosing a model, quitting, and a bug of ours."""

import asyncio
import socket
from pathlib import Path

import pytest

from gemma_tui.tui.app import GemmaApp
from gemma_tui.tui.opening import Wanted
from gemma_tui.tui.screens.help import HelpScreen
from gemma_tui.tui.screens.models import ModelScreen
from gemma_tui.tui.screens.setup import SetUpScreen
from stubs.openai_server import OpenAIServer
from tui.pilots import attached, idle, ready, said, screen_text, until


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


async def test_an_endpoint_that_is_away_is_a_sentence_and_a_retry() -> None:
    port = free_port()
    app = attached(f"http://127.0.0.1:{port}")
    async with app.run_test() as pilot:
        await pilot.press(*"kept", "enter")
        await until(pilot, lambda: app.state == "failed" and "Ctrl+R" in screen_text(app))
        shown = screen_text(app)
        assert f"127.0.0.1:{port}" in shown
        assert "Ctrl+R" in shown
        assert "Traceback" not in shown
        async with OpenAIServer(port=port) as server:
            await pilot.press("ctrl+r")
            await until(pilot, lambda: server.finished == 1)
            await idle(pilot)
            assert said(app)[0] == ("user", "kept")
            assert not app.main.notice.message


async def test_a_refused_key_is_a_sentence(server: OpenAIServer) -> None:
    server.key = "right"
    app = attached(server.url)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.state == "failed")
        await pilot.pause()
        assert "key" in app.main.notice.message


async def test_one_of_several_models_is_chosen(server: OpenAIServer) -> None:
    server.models = ["first/one", "second/one"]
    app = attached(server.url)
    async with app.run_test() as pilot:
        await until(pilot, lambda: isinstance(app.screen, ModelScreen))
        await pilot.press("down", "enter")
        await ready(pilot)
        await pilot.press(*"hi", "enter")
        await idle(pilot)
    assert [request.json["model"] for request in server.requests if request.path.endswith("completions")] == [
        "second/one"
    ]


async def test_a_named_model_needs_no_choice(server: OpenAIServer) -> None:
    server.models = ["first/one", "second/one"]
    app = attached(server.url, model="first/one")
    async with app.run_test() as pilot:
        await ready(pilot)
        assert app.session is not None
        assert app.session.model == "first/one"


async def test_quitting_closes_the_session(server: OpenAIServer) -> None:
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        await pilot.press("ctrl+q")
        await until(pilot, lambda: app._exit)
    assert app.return_code == 0
    assert app.session is not None
    assert app.session.state == "stopped"


async def test_control_c_quits_when_pressed_twice(server: OpenAIServer) -> None:
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        await pilot.press("ctrl+c")
        await until(pilot, lambda: "once more" in screen_text(app))
        assert not app._exit
        await pilot.press("ctrl+c")
        await until(pilot, lambda: app._exit)


async def test_theme_and_keys(server: OpenAIServer) -> None:
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        await pilot.press("ctrl+t")
        assert app.theme == "gemma-light"
        await pilot.press("ctrl+t")
        assert app.theme == "gemma-dark"
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen) and "Stop the reply" in screen_text(app))
        await pilot.press("escape")
        assert app.screen is app.main


@pytest.mark.parametrize("in_worker", [False, True])
async def test_a_bug_leaves_a_log_without_variables(tmp_path: Path, in_worker: bool) -> None:
    async def broken() -> None:
        secret = "the prompt"
        raise RuntimeError(len(secret))

    app = GemmaApp(poll=False, opener=lambda wanted: asyncio.sleep(3600))  # type: ignore[arg-type,return-value]
    with pytest.raises(Exception, match=r".*"):
        async with app.run_test() as pilot:
            if in_worker:
                app.run_worker(broken())
            else:
                app.call_later(broken)
            await until(pilot, lambda: app.bug_log)
    assert app.return_code == 70
    assert app.bug_log is not None
    log = Path(app.bug_log).read_text()
    assert "RuntimeError" in log
    assert "the prompt" not in log
    assert "in broken" in log


async def test_a_server_without_metrics_is_told_plainly(server: OpenAIServer) -> None:
    server.metrics = False
    app = GemmaApp(Wanted(url=server.url))
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await until(pilot, lambda: "This server has no /metrics" in screen_text(app))
        await pilot.press(*"hi", "enter")
        await idle(pilot)
        await until(pilot, lambda: app.main.dashboard.words().count("not available") < 6)


async def test_the_dashboard_comes_and_goes(server: OpenAIServer) -> None:
    app = GemmaApp(Wanted(url=server.url))
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await until(pilot, lambda: "KV cache" in screen_text(app))
        await pilot.press("f3")
        await until(pilot, lambda: "KV cache" not in screen_text(app))
        assert app.main.transcript.size.width == 0 or app.main.composer.size.width > 100
        await pilot.resize_terminal(80, 24)
        await pilot.press("f3")
        await until(pilot, lambda: "KV cache" in screen_text(app))
        assert app.main.dashboard.size.height == 1


async def test_a_profile_on_a_runtime_that_is_away_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "config" / "profiles").mkdir(parents=True)
    (tmp_path / "config" / "profiles" / "mine.toml").write_text(
        'checkpoint = "bundled:pocket"\nruntime = "path:/nowhere/vllm"\n'
    )
    app = GemmaApp(Wanted(profile="mine"), poll=False)
    async with app.run_test() as pilot:
        await until(pilot, lambda: "/nowhere/vllm" in screen_text(app) and "Retry" in screen_text(app))
        assert app.state == "failed"


async def test_the_profile_that_was_asked_for_is_among_the_choices() -> None:
    app = GemmaApp(Wanted(profile="cpu"), poll=False)
    async with app.run_test(size=(100, 40)) as pilot:
        await until(
            pilot, lambda: isinstance(app.screen, SetUpScreen) and "▌ Gemma 4 E2B on the CPU" in screen_text(app)
        )
