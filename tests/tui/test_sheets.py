"""Ctrl+C on what lies over the main screen: a person who wants out gets out."""

from gemma_tui.tui.screens.help import HelpScreen
from gemma_tui.tui.screens.models import ModelScreen
from stubs.openai_server import OpenAIServer
from tui.pilots import attached, ready, until


async def test_control_c_closes_the_keys(server: OpenAIServer) -> None:
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await pilot.press("ctrl+c")
        await until(pilot, lambda: app.screen is app.main)
        assert not app._exit


async def test_control_c_leaves_where_there_is_nothing_behind(server: OpenAIServer) -> None:
    server.models = ["first/one", "second/one"]
    app = attached(server.url)
    async with app.run_test() as pilot:
        await until(pilot, lambda: isinstance(app.screen, ModelScreen))
        await pilot.press("ctrl+c")
        await until(pilot, lambda: app._exit)
