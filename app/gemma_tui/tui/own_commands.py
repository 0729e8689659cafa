"""What the commands of the main screen do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gemma_tui.tui.completing import unescaped

if TYPE_CHECKING:
    from gemma_tui.tui.screens.composing import ComposingScreen


def register_all(screen: ComposingScreen) -> None:
    """Register what this module can do; others register theirs on `screen.commander`."""
    commands = OwnCommands(screen)
    handlers: dict[str, Callable[[str], Awaitable[None] | None]] = {
        "help": commands.help,
        "keys": commands.action("app.keys"),
        "new": commands.action("screen.new"),
        "again": commands.action("screen.again"),
        "completion": commands.action("screen.mode"),
        "dashboard": commands.action("screen.board"),
        "figures": commands.action("app.figures"),
        "quit": commands.action("app.quit"),
        "theme": commands.theme,
        "system": commands.system,
        "image": commands.attach,
        "audio": commands.attach,
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
        from gemma_tui.tui.screens.commands import CommandsScreen

        self._screen.app.push_screen(CommandsScreen(self._screen.commander.offered))

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

    def attach(self, argument: str) -> None:
        """Attach the files that are named."""
        from gemma_backend.media.paste import paths_in
        from gemma_backend.media.words import shell_words

        if not argument:
            self._screen.refuse("Name a file behind the command, for example: /image ~/Pictures/cat.png")
            return
        whole = Path(unescaped(argument)).expanduser()
        paths = paths_in(argument) or [whole]
        if not whole.exists() and (words := shell_words(argument)) is not None:
            paths = [Path(word).expanduser() for word in words]
        self._screen.attacher.add_files(paths)

    def copy(self, what: str) -> None:
        """Copy the last reply, the code in it, or everything."""
        screen = self._screen
        if what == "code":
            screen.transcript.action_copy_code()
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
