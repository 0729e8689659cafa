"""What the slash commands do in plain mode; those that only a screen can do say so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gemma_backend.types import BadInput, UsageError
from gemma_tui.cli.plain_talk import PlainTalk, put, say
from gemma_tui.commanding import Commander
from gemma_tui.commands import COMMANDS

if TYPE_CHECKING:
    from gemma_backend.store.history import History


class PlainCommands:
    """Each method is a command; its argument is the rest of the line."""

    def __init__(self, talk: PlainTalk, history: History) -> None:
        self.talk = talk
        self.commander = Commander(say)
        self._history = history
        own: dict[str, Callable[[str], Coroutine[Any, Any, None] | None]] = {
            "help": self.help, "new": self.new, "again": self.again, "system": self.system, "image": self.attach,
            "audio": self.attach, "paste": self.paste, "prompt": self.prompt, "copy": self.show_again,
            "export": self.export, "completion": self.completion, "quit": self.quit,
        }  # fmt: skip
        self.own = tuple(own)
        for command in COMMANDS:
            self.commander.register(command.name, own.get(command.name) or self._screen_only(command.name))

    def _screen_only(self, name: str) -> Callable[[str], None]:
        return lambda _: say(f"/{name} needs the screen: start without --plain.")

    def help(self, _: str) -> None:
        """Say every command."""
        offered = [command for command in COMMANDS if command.name in self.own]
        width = max(len(command.shown) for command in offered)
        say("\n".join(f"{command.shown:<{width}}  {command.summary}" for command in offered))

    def new(self, _: str) -> None:
        """Begin a new conversation."""
        self.talk.session.converse()
        self.talk.parts.clear()
        say("A new conversation.")

    async def again(self, _: str) -> None:
        """Start what failed again, or ask for another reply to the last message."""
        session = self.talk.session
        if session.state == "failed":
            await session.start()
            return
        asked = next((node for node in reversed(session.talk.tree.path()) if node.role == "user"), None)
        if asked is None:
            raise UsageError("There is nothing to ask again.")
        await self.talk.show(session.regenerate(asked.id))

    def system(self, text: str) -> None:
        """Say how replies should be, or what is said now."""
        talk = self.talk.session.talk
        if text:
            talk.instruct("" if text == "none" else text)
        say(f"Said to the model: {talk.system or 'nothing'}")

    async def attach(self, argument: str) -> None:
        """Attach a picture or clip to the next message."""
        from gemma_backend.media.paste import paths_in

        if not argument:
            raise UsageError("Name a file behind the command, for example: /image ~/Pictures/cat.png")
        for path in paths_in(argument) or [_path(argument)]:
            await self._attach(path)

    async def attach_dropped(self, line: str) -> bool:
        """Attach the files that were dropped on the terminal; whether the line was nothing else."""
        from gemma_backend.media.paste import paths_in

        paths = paths_in(line) if "/" in line else None
        if not paths or not all(path.is_file() for path in paths):
            return False
        for path in paths:
            await self._attach(path)
        return True

    async def _attach(self, path: Path) -> None:
        from gemma_backend.media.load import load
        from gemma_backend.types import AudioPart, ImagePart

        part = await asyncio.to_thread(load, path)
        self.talk.parts.append(part)
        what = ""
        if isinstance(part, ImagePart):
            what = f", {part.width} by {part.height}"
        elif isinstance(part, AudioPart):
            what = f", {part.seconds:.1f} s"
        say(f"Attached {path.name}{what}; it goes with the next message.")

    async def paste(self, _: str) -> None:
        """Attach the picture on the clipboard."""
        from gemma_backend.media.clipboard import copied
        from gemma_backend.media.load import load_picture

        found = await asyncio.to_thread(copied)
        for path in found.paths:
            await self._attach(path)
        if found.picture:
            self.talk.parts.append(await asyncio.to_thread(load_picture, found.picture, "clipboard"))
            say("Attached the picture on the clipboard; it goes with the next message.")
        elif not found.paths:
            raise BadInput("There is no picture and no file on the clipboard.")

    async def prompt(self, argument: str) -> None:
        """Send a prompt of the library, or list what is in it."""
        from gemma_backend.config.prompts import given_values, list_prompts

        prompts = {prompt.name: prompt for prompt in list_prompts()}
        name, _, rest = argument.partition(" ")
        if not name:
            say("\n".join(f"{prompt.name}  {prompt.title}" for prompt in prompts.values()))
            return
        if name not in prompts:
            raise UsageError(f"There is no prompt {name!r}; /prompt alone lists them.")
        values, rest = given_values(rest)
        if rest.strip():
            values = {**values, "text": rest.strip()}
        if missing := prompts[name].missing(values):
            raise UsageError(f"The prompt {name} needs {', '.join(f'{one}=…' for one in missing)} behind its name.")
        await self.talk.show(self.talk.session.chat(self.talk.taken(prompts[name].filled(values))))

    def show_again(self, what: str) -> None:
        """Print the last reply, or everything, once more: there is nothing to select from here."""
        turns = self.talk.session.turns
        chosen = turns if what == "all" else [turn for turn in turns if turn.role == "assistant"][-1:]
        if not chosen:
            raise UsageError("There is nothing to copy yet.")
        from gemma_backend.text.clean import clean
        from gemma_backend.types import TextPart

        for turn in chosen:
            put(clean("".join(part.text for part in turn.parts if isinstance(part, TextPart))).rstrip("\n") + "\n")

    async def export(self, name: str) -> None:
        """Write the conversation to a file, kept or not."""
        from gemma_tui.exporting import write_conversation

        talk = self.talk.session.talk
        if not name:
            raise UsageError("Name a file behind the command, for example: /export talk.md")
        if not len(talk.tree):
            raise UsageError("There is nothing to export yet.")
        # As it is here, not as it is on disk: the last reply may still be on its way there.
        say(await asyncio.to_thread(write_conversation, self._history, talk.stored(), name))

    def completion(self, _: str) -> None:
        """Continue each line as it is, or answer messages again."""
        self.talk.completing = not self.talk.completing
        say("Each line is continued as it is." if self.talk.completing else "Messages are answered.")

    def quit(self, _: str) -> None:
        """Leave."""
        self.talk.over = True


def _path(text: str) -> Path:
    return Path(text).expanduser()
