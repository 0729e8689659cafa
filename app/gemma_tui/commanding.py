"""Runs slash commands on a screen: finds what a line calls, or says what it could have meant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gemma_backend.config.nearest import nearest
from gemma_tui.commands import COMMANDS, Command, called, command_named

Handler = Callable[[str], Awaitable[None] | None]
"""Does what a command does, with the rest of its line."""


class Commander:
    """Commands by name; `refuse` gets the sentence where a line calls nothing or asks for what cannot be."""

    def __init__(self, refuse: Callable[[str], None]) -> None:
        self._refuse = refuse
        self._handlers: dict[str, Handler] = {}

    def register(self, name: str, handler: Handler) -> None:
        """Let the command `name` of the table do `handler`."""
        assert command_named(name) is not None, name
        self._handlers[name] = handler

    @property
    def offered(self) -> tuple[Command, ...]:
        """Every command that does something here."""
        return tuple(command for command in COMMANDS if command.name in self._handlers)

    async def run(self, text: str) -> bool | None:
        """Do what `text` calls; None where it is a message, false where it stays to be mended."""
        call = called(text)
        if call is None:
            return None
        command = command_named(call.name, self.offered)
        if command is None:
            names = [name for offered in self.offered for name in (offered.name, *offered.aliases)]
            guess = nearest(call.name, names)
            hint = f"did you mean /{guess}?" if guess else "/help shows them all."
            self._refuse(f"There is no command /{call.name}; {hint} A space before the slash makes it a message.")
            return False
        if call.argument and command.takes == "nothing":
            self._refuse(f"/{command.name} takes nothing behind it. A space before the slash makes it a message.")
            return False
        if call.argument and command.choices and call.argument not in command.choices:
            self._refuse(f"/{command.name} takes {', '.join(command.choices[:-1])} or {command.choices[-1]}.")
            return False
        done = self._handlers[command.name](call.argument)
        if done is not None:
            await done
        return True
