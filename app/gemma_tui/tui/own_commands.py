"""What the commands of the main screen do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from gemma_backend.config.nearest import nearest
from gemma_tui.tui.widgets.composer import Composer

if TYPE_CHECKING:
    from gemma_tui.tui.screens.composing import ComposingScreen

_PLACE = "\uffff"


def register_all(screen: ComposingScreen) -> None:
    """Register what this module can do; others register theirs on `screen.commander`."""
    commands = OwnCommands(screen)
    handlers: dict[str, Callable[[str], Awaitable[None] | None]] = {
        "help": commands.help,
        "keys": commands.keys,
        "new": commands.action("screen.new"),
        "again": commands.action("screen.again"),
        "completion": commands.action("screen.mode"),
        "dashboard": commands.action("screen.board"),
        "figures": commands.action("app.figures"),
        "quit": commands.action("app.quit"),
        "theme": commands.theme,
        "system": commands.system,
        "prompt": commands.prompt,
        "edit": commands.edit,
        "copy": commands.copy,
        "mouse": commands.mouse,
    }
    for name, handler in handlers.items():
        screen.commander.register(name, handler)


class OwnCommands:
    """Each method is a command; its argument is the rest of the line."""

    def __init__(self, screen: ComposingScreen) -> None:
        self._screen = screen

    def action(self, name: str) -> Callable[[str], Awaitable[None]]:
        """A command that is the same as a key's action."""

        async def run(_: str) -> None:
            await self._screen.run_action(name)

        return run

    def help(self, _: str) -> None:
        """Show every command."""
        from gemma_tui.tui.screens.help import HelpScreen

        self._screen.app.push_screen(HelpScreen(self._screen.commander.offered, "/"), self._insert)

    def keys(self, _: str) -> None:
        """Show every key and every command."""
        from gemma_tui.tui.screens.help import HelpScreen

        self._screen.app.push_screen(HelpScreen(self._screen.commander.offered), self._insert)

    def _insert(self, text: str | None) -> None:
        """Put a command that was chosen from the help into the message."""
        if text and self._screen.composer.display:
            self._screen.composer.rewrite(text)
            self._screen.composer.focus()

    def theme(self, name: str) -> None:
        """Switch to a theme, or between dark and light."""
        app = self._screen.app
        if not name:
            app.call_later(self._screen.run_action, "app.theme")
        elif name in app.available_themes:
            app.theme = name
        else:
            self._screen.refuse(f"There is no theme {name!r}: choose one of {', '.join(sorted(app.available_themes))}.")

    def system(self, text: str) -> None:
        """Say how replies should be, say so no more, or show what is said."""
        conversation, notice = self._screen.conversation, self._screen.notice
        if not text:
            said = conversation.system or "nothing; for example: /system Answer in one sentence."
            notice.say(f"Said to the model: {said}", keys="Esc closes this")
        elif text == "none":
            conversation.instruct("")
            notice.say("Nothing is said to the model beforehand any more.", keys="Esc closes this")
        else:
            conversation.instruct(text)
            self._screen.transcript.add_turn("system", text)
            # The first turn puts the transcript in the place of the start.
            self._screen.changed()

    def edit(self, _: str) -> None:
        """Write the message in an editor; what was typed as the command is gone from it."""
        self._screen.composer.load_text("")
        self._screen.composer.post_message(Composer.EditorAsked())

    def prompt(self, argument: str) -> None:
        """Insert a prompt from the library."""
        self._screen.run_worker(self._prompt(argument))

    async def _prompt(self, argument: str) -> None:
        from gemma_backend.config.prompts import TEXT, given_values, list_prompts
        from gemma_tui.tui.screens.prompts import PromptsScreen, VariablesScreen

        screen = self._screen
        name, _, rest = argument.partition(" ")
        prompts = await asyncio.to_thread(list_prompts)
        if name:
            prompt = next((one for one in prompts if one.name == name), None)
            if prompt is None:
                guess = nearest(name, [one.name for one in prompts])
                screen.refuse(
                    f"There is no prompt {name}" + (f"; did you mean {guess}?" if guess else ": see /prompt.")
                )
                return
        else:
            prompt = await screen.app.push_screen_wait(PromptsScreen(prompts))
            if prompt is None:
                return
        values, text = given_values(rest)
        if text.strip():
            values[TEXT] = text
        asked = [name for name in prompt.missing(values) if name != TEXT]
        if asked:
            given = await screen.app.push_screen_wait(VariablesScreen(prompt, asked))
            if given is None:
                return
            values |= given
        # Where the text is to go stands the cursor.
        before, place, after = prompt.filled({TEXT: _PLACE, **values}).partition(_PLACE)
        screen.composer.rewrite(before + after)
        if place:
            row = before.count("\n")
            screen.composer.move_cursor((row, len(before) - before.rfind("\n") - 1))
        screen.composer.focus()

    async def copy(self, what: str) -> None:
        """Copy the last reply, the code in it, or everything."""
        screen = self._screen
        if what == "code":
            await screen.run_action("screen.copy_code")
            return
        turns = screen.transcript.document.turns
        if what == "all":
            text, said = "\n\n".join(turn.text.strip("\n") for turn in turns if turn.text), "the conversation"
        else:
            text, said = "".join([turn.text for turn in turns if turn.role == "assistant"][-1:]), "the last reply"
        if not text:
            screen.refuse("There is nothing to copy yet.")
            return
        screen.app.copy_to_clipboard(text)
        screen.notice.say(f"Copied {said}.", keys="Esc closes this")

    def mouse(self, which: str) -> None:
        """Take the mouse, or leave it to the terminal."""
        from gemma_tui.tui.terminal_input import take_mouse

        if not which:
            self._screen.refuse("/mouse takes on or off.")
            return
        take_mouse(self._screen.app, which == "on")
        words = {
            "on": "The mouse is used again.",
            "off": "The mouse is the terminal's now: select and copy with it as elsewhere. /mouse on takes it back.",
        }
        self._screen.notice.say(words[which], keys="Esc closes this")
