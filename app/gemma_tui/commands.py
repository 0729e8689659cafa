"""The slash commands: what each is called and what it takes. Whoever offers one registers what it does."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Takes = Literal["nothing", "words", "path", "prompt", "choice"]

_CALL = re.compile(r"/([a-z][a-z-]*)(?:[ \t]+(.*))?\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Command:
    """One command; `usage` shows its argument, `choices` are what a `choice` may be."""

    name: str
    summary: str
    usage: str = ""
    takes: Takes = "nothing"
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The command as it is typed."""
        return f"/{self.name} {self.usage}".rstrip()


COMMANDS = (
    Command("help", "every command and what it does", aliases=("commands",)),
    Command("keys", "every key and what it does"),
    Command("new", "begin a new conversation", aliases=("clear",)),
    Command("again", "ask once more, or start the engine again", aliases=("retry",)),
    Command("system", "how replies should be; alone: what is said now", "[TEXT or none]", "words"),
    Command("image", "attach a picture", "FILE or URL", "path"),
    Command("audio", "attach a clip", "FILE or URL", "path"),
    Command("files", "choose pictures and clips to attach", aliases=("attach",)),
    Command("paste", "attach the picture on the clipboard, or insert its text"),
    Command("record", "record a clip from the microphone"),
    Command("play", "play the last clip, or stop it"),
    Command(
        "budget", "soft tokens for each picture", "70 to 1120", "choice", ("70", "140", "280", "560", "1120")
    ),
    Command("prompt", "insert a prompt from the library", "[NAME] [variable=value ...]", "prompt"),
    Command("edit", "write the message in an editor of your own"),
    Command("copy", "copy the last reply, its code, or the conversation", "[reply, code or all]", "choice",
            ("reply", "code", "all")),
    Command("fold", "show only the beginning of long turns, or all of them", "[on or off]", "choice", ("on", "off")),
    Command("mouse", "off leaves selecting text to the terminal", "on or off", "choice", ("on", "off")),
    Command("history", "find and open a conversation of the history", "[WORDS]", "words"),
    Command("title", "give this conversation a title", "[WORDS]", "words"),
    Command("tags", "give this conversation tags", "[WORDS or none]", "words"),
    Command("keep", "keep this conversation in the history, or not", "[on or off]", "choice", ("on", "off")),
    Command("branches", "the tree of this conversation's branches"),
    Command("export", "write the conversation to a file", "FILE", "path"),
    Command("completion", "switch between chat and completion", aliases=("complete", "chat")),
    Command("dashboard", "show or hide the engine's figures"),
    Command("figures", "the engine's figures over the whole screen"),
    Command("switch", "go on with another profile's model, fetched first where it is not here", "[PROFILE]", "words"),
    Command("fetch", "fetch a profile's checkpoint meanwhile, stop that, or say how far it is", "[PROFILE or stop]",
            "words"),
    Command("theme", "switch between dark and light, or to another theme", "[NAME]", "words"),
    Command("quit", "leave; asks what becomes of the engine", aliases=("exit",)),
)  # fmt: skip
"""Every command that there is; where nobody registered what it does, it is not offered."""


@dataclass(frozen=True, slots=True)
class Call:
    """A line that is a command's: its name as typed, and the rest."""

    name: str
    argument: str = ""


def called(text: str) -> Call | None:
    """What `text` calls, None where it is no command but a message; a space before the slash makes it one."""
    match = _CALL.fullmatch(text)
    return Call(match[1], (match[2] or "").strip()) if match else None


def command_named(name: str, commands: Iterable[Command] = COMMANDS) -> Command | None:
    """The command of that name or alias."""
    return next((command for command in commands if name == command.name or name in command.aliases), None)
