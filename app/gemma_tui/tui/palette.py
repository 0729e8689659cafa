"""What the command palette offers on the main screen: every action that has a key, and every slash command."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from textual.app import SystemCommand
from textual.binding import Binding

from gemma_tui.tui.key_words import key_names

if TYPE_CHECKING:
    from gemma_tui.tui.app import GemmaApp

MOVES = frozenset({"page", "turn", "end", "chosen_move", "chosen_sibling", "stop", "interrupt", "chat_history"})
"""Actions that only move, or that mean nothing once the palette was open."""


def palette_commands(app: GemmaApp) -> Iterable[SystemCommand]:
    """Every action of the app and its main screen by its description, then every command that can be typed."""
    main = app.main
    seen: set[str] = set()
    for holder, owner in (("screen", main), ("app", app)):
        for kind in type(owner).__mro__:
            if not kind.__module__.startswith("gemma_tui."):
                continue
            for binding in vars(kind).get("BINDINGS", ()):
                assert isinstance(binding, Binding)
                name = binding.action.partition("(")[0]
                action = f"{holder}.{binding.action}"
                if name in MOVES or action in seen or (name.startswith("chosen_") and main.chosen is None):
                    continue
                seen.add(action)
                run = partial(main.run_action, action)
                yield SystemCommand(binding.description, f"Key: {key_names(binding.key)}", run)
    yield SystemCommand("Copy the last reply", "Its whole text, as it came", main.action_copy_reply)
    for command in main.commander.offered:
        text = command.summary[:1].upper() + command.summary[1:]
        yield SystemCommand(command.shown, text, partial(main.call_command, command))
