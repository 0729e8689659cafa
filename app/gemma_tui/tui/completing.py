"""What the composer can complete: a command, what a command takes, or a path behind an @."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gemma_backend.media.listing import Entry
from gemma_tui.commands import Command, command_named

MOST = 50
"""Suggestions that are offered at once."""

_COMMAND = re.compile(r"/([a-z-]*)\Z")
_ARGUMENT = re.compile(r"/([a-z][a-z-]*)[ \t]+(.*)\Z")
_AT = re.compile(r"(?:^|(?<=\s))@((?:\\.|[^\s\\])*)\Z")
_AT_WORD = re.compile(r"(?<!\S)@((?:\\.|[^\s\\])+)", re.DOTALL)
_SPECIAL = re.compile(r"([\\\s'\"])")


@dataclass(frozen=True, slots=True)
class Want:
    """What is being typed: `typed` stands from column `start` to the cursor."""

    kind: Literal["command", "choice", "prompt", "path", "at"]
    start: int
    typed: str
    command: Command | None = None


@dataclass(frozen=True, slots=True)
class Suggestion:
    """`insert` takes the place of what was typed; a file behind an @ is attached instead, from `path`."""

    insert: str
    title: str
    detail: str = ""
    path: Path | None = None
    more: bool = False


def wanted(line: str, column: int, commands: Sequence[Command], *, first: bool) -> Want | None:
    """What could be completed before `column` of `line`; commands only on the `first` line."""
    before = line[:column]
    if first:
        if match := _COMMAND.match(before):
            return Want("command", 1, match[1])
        if match := _ARGUMENT.match(before):
            command = command_named(match[1], commands)
            if command is not None and command.takes in ("path", "choice", "prompt"):
                if command.takes == "prompt" and " " in match[2]:
                    return None
                return Want(command.takes, match.start(2), match[2], command)
    if match := _AT.search(before):
        return Want("at", match.start(), match[1])
    return None


def suggest_commands(want: Want, commands: Iterable[Command]) -> list[Suggestion]:
    """Commands that begin with what was typed, then those with an alias that does."""
    named = [command for command in commands if command.name.startswith(want.typed)]
    alias = [
        command
        for command in commands
        if command not in named and any(name.startswith(want.typed) for name in command.aliases)
    ]
    return [
        Suggestion(
            command.name + (" " if command.takes != "nothing" else ""), command.shown, command.summary,
            more=command.takes != "nothing",
        )
        for command in (*named, *alias)
    ]  # fmt: skip


def suggest_choices(want: Want) -> list[Suggestion]:
    """What the command may be given."""
    choices = want.command.choices if want.command else ()
    return [Suggestion(choice, choice) for choice in choices if choice.startswith(want.typed)]


def suggest_names(want: Want, names: Iterable[tuple[str, str]]) -> list[Suggestion]:
    """Names with what they stand for, as of prompts."""
    return [Suggestion(name, name, detail) for name, detail in names if name.startswith(want.typed)]


def suggest_paths(want: Want, entries: Iterable[Entry]) -> list[Suggestion]:
    """Folders and files as they are typed: what a shell would take for more than one word is escaped."""
    folder = want.typed[: want.typed.rfind("/") + 1]
    at = "@" if want.kind == "at" else ""
    return [
        Suggestion(
            f"{at}{folder}{escaped(entry.name)}{'/' if entry.folder else ''}",
            entry.name + ("/" if entry.folder else ""),
            entry.detail,
            path=None if entry.folder else entry.path,
            more=entry.folder,
        )
        for entry in entries
    ]


def escaped(name: str) -> str:
    """`name` with a backslash before what would end or quote a word."""
    return _SPECIAL.sub(r"\\\1", name)


def unescaped(typed: str) -> str:
    """What was typed, without its backslashes."""
    return re.sub(r"\\(.)", r"\1", typed, flags=re.DOTALL)


def at_words(text: str) -> list[tuple[str, str]]:
    """Each `@path` in `text`: as it stands there, and the path that it names."""
    return [(match[0], unescaped(match[1])) for match in _AT_WORD.finditer(text)]
