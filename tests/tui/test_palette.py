"""The palette runs what has a key, and every command that can be typed."""

from textual.binding import Binding

from gemma_tui.tui.palette import MOVES
from stubs.openai_server import OpenAIServer
from tui.pilots import attached, idle, ready, until


async def test_every_action_of_the_main_screen_is_in_the_palette(server: OpenAIServer) -> None:
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        app.main.transcript.add_turn("user", "hello")
        app.main.changed()
        await pilot.press("f7")
        offered = {command.title for command in app.get_system_commands(app.main)}
        missing = [
            binding.description
            for owner in (app, app.main)
            for kind in type(owner).__mro__
            if kind.__module__.startswith("gemma_tui.")
            for binding in vars(kind).get("BINDINGS", ())
            if isinstance(binding, Binding)
            and binding.action.partition("(")[0] not in MOVES
            and binding.description not in offered
        ]
        assert not missing
        assert {command.shown for command in app.main.commander.offered} <= offered


async def test_a_command_that_takes_something_is_put_into_the_message(server: OpenAIServer) -> None:
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        commands = {command.title: command.callback for command in app.get_system_commands(app.main)}
        await commands["/title [WORDS]"]()
        assert app.main.composer.text == "/title "
        app.main.composer.load_text("")
        await pilot.press(*"hello", "enter")
        await idle(pilot)
        await commands["/new"]()
        await until(pilot, lambda: not app.main.transcript.document.turns)
