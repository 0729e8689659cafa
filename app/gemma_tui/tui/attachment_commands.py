"""What a person can do about attachments: choose files, paste, fetch, record, play, and change what goes along."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from gemma_backend.types import AudioPart, BadInput, ImagePart, TextPart
from gemma_tui.tui.completing import unescaped
from gemma_tui.tui.widgets.chips import Chip

if TYPE_CHECKING:
    from gemma_backend.media.play import Player
    from gemma_tui.tui.screens.composing import ComposingScreen


class AttachmentCommands:
    """Each public method is a command or what a key does; the argument is the rest of a command's line."""

    def __init__(self, screen: ComposingScreen) -> None:
        self._screen = screen
        self._player: Player | None = None
        self._recordings = 0

    @property
    def player(self) -> Player:
        """What plays clips; made with the first one."""
        if self._player is None:
            from gemma_backend.media.play import Player

            self._player = Player()
        return self._player

    def register(self) -> None:
        """Register the commands of this module."""
        for name, handler in (
            ("image", self.attach), ("audio", self.attach), ("files", self.files), ("paste", self.paste),
            ("record", self.record), ("play", self.play_last), ("budget", self.budget),
        ):  # fmt: skip
            self._screen.commander.register(name, handler)

    def attach(self, argument: str) -> None:
        """Attach the files that are named, or ask whether to fetch an address."""
        from gemma_backend.media.fetch import is_url
        from gemma_backend.media.paste import paths_in
        from gemma_backend.media.words import shell_words

        if not argument:
            self._screen.refuse("Name a file behind the command, for example: /image ~/Pictures/cat.png")
            return
        if is_url(argument):
            self._screen.run_worker(self._fetch(argument))
            return
        whole = Path(unescaped(argument)).expanduser()
        paths = paths_in(argument) or [whole]
        if not whole.exists() and (words := shell_words(argument)) is not None:
            paths = [Path(word).expanduser() for word in words]
        self._screen.attacher.add_files(paths)

    def files(self, _: str = "") -> None:
        """Choose files from a list."""
        from gemma_tui.tui.screens.files import FilesScreen

        self._screen.app.push_screen(FilesScreen(), lambda paths: self._screen.attacher.add_files(paths or ()))

    def paste(self, _: str = "") -> None:
        """Take what is on the desktop's clipboard."""
        self._screen.run_worker(self._paste())

    async def _paste(self) -> None:
        from gemma_backend.media.clipboard import Copied, copied, is_reachable

        asked = self._screen.asked
        try:
            if not await asyncio.to_thread(is_reachable) and asked.clipboard_offered:
                picture = await asked.picture_from_clipboard()
                found = Copied(picture=picture) if picture else await asyncio.to_thread(copied)
            else:
                found = await asyncio.to_thread(copied)
        except BadInput as error:
            self._screen.refuse(str(error))
            return
        if found.picture:
            from gemma_backend.media.load import load_picture

            budget = self._screen.attacher.budget
            self._screen.attacher.add("clipboard", lambda: load_picture(found.picture, "clipboard", soft_tokens=budget))
        elif found.paths:
            self._screen.attacher.add_files(found.paths)
        else:
            self._screen.composer.paste_text(found.text)

    async def _fetch(self, url: str) -> None:
        from gemma_backend.media.fetch import fetched
        from gemma_tui.tui.attaching import load
        from gemma_tui.tui.screens.fetch import FetchScreen

        if not await self._screen.app.push_screen_wait(FetchScreen(url)):
            return
        attacher = self._screen.attacher
        self._screen.notice.say("Fetching …")
        try:
            async with fetched(url) as path:
                self._screen.notice.close()
                await attacher.add_now(path.name, lambda: load(path, soft_tokens=attacher.budget))
        except BadInput as error:
            self._screen.refuse(str(error))

    def record(self, _: str = "") -> None:
        """Record from the microphone."""
        from gemma_tui.tui.screens.record import RecordScreen

        self._recordings += 1
        screen = RecordScreen(f"recording {self._recordings}", self._screen.microphone)

        def taken(part: AudioPart | None) -> None:
            if part is not None:
                self._screen.attacher.add(part.name, lambda: part)

        self._screen.app.push_screen(screen, taken)

    async def play_last(self, _: str = "") -> None:
        """Play the last clip of the message, else of the conversation; or stop what plays."""
        if await self.player.stop():
            return
        clips = [chip.part for chip in self._screen.chips.chips if isinstance(chip.part, AudioPart)]
        if not clips and self._screen.conversation.session is not None:
            turns = self._screen.conversation.session.turns
            clips = [part for turn in turns for part in turn.parts if isinstance(part, AudioPart)]
        if not clips:
            self._screen.refuse("There is no clip to play: attach or record one.")
            return
        await self.play(clips[-1])

    async def play(self, part: AudioPart) -> None:
        """Play `part`; where it is playing already, stop."""
        playing = self.player.playing
        if playing is not None and playing.digest == part.digest:
            await self.player.stop()
            self._screen.notice.close()
            return
        try:
            await self.player.play(part)
        except BadInput as error:
            self._screen.refuse(str(error))
            return
        self._screen.notice.say(f"Playing {part.name}", keys="/play stops it")
        self._screen.run_worker(self._until_ended(), group="play", exclusive=True)

    async def _until_ended(self) -> None:
        await self.player.ended()
        if self._screen.notice.message.startswith("Playing "):
            self._screen.notice.close()

    def budget(self, argument: str) -> None:
        """Choose the soft tokens for pictures that are attached from now on."""
        attacher = self._screen.attacher
        if argument:
            attacher.budget = int(argument)
            self._screen.notice.say(f"{argument} soft tokens for each picture from now on.", keys="Esc closes this")
            return
        from gemma_tui.tui.screens.picture import BudgetScreen

        def chosen(budget: int | None) -> None:
            if budget is not None:
                attacher.budget = budget or None

        self._screen.app.push_screen(BudgetScreen(None, attacher.budget), chosen)

    def open(self, chip: Chip) -> None:
        """Choose what there is to choose about a chip."""
        screen, part = self._screen, chip.part
        if isinstance(part, TextPart):
            # Back into the message, where it can be edited.
            screen.chips.discard(chip.number)
            screen.composer.focus()
            screen.composer.type_in(part.text)
        elif isinstance(part, ImagePart):
            from gemma_tui.tui.screens.picture import BudgetScreen

            def chosen(budget: int | None) -> None:
                if budget is not None:
                    screen.attacher.rescale(chip, budget or None)

            screen.app.push_screen(BudgetScreen(part, part.soft_tokens), chosen)
        elif isinstance(part, AudioPart) and chip.source is not None:
            from gemma_tui.tui.screens.clip import ClipScreen, Taken

            def taken(result: Taken | None) -> None:
                if result is not None:
                    screen.attacher.take_parts(chip, result.stretches)

            screen.app.push_screen(ClipScreen(chip.source, part.start, part.seconds, self.player), taken)
        elif isinstance(part, AudioPart):
            screen.run_worker(self.play(part))

    async def close(self) -> None:
        """Be silent, before the program ends."""
        if self._player is not None:
            await self._player.stop()
