"""Files on their way into a message: read off the event loop, then shown as chips, or refused in a sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gemma_backend.types import AudioPart, BadInput, ImagePart, Part, TextPart
from gemma_tui.tui.completing import at_words
from gemma_tui.tui.conversation import Spawn
from gemma_tui.tui.widgets.chips import PREVIEW_WIDTH, Chip, ChipBar
from gemma_tui.tui.widgets.preview import Rows, picture_rows, wave_rows

if TYPE_CHECKING:
    from gemma_backend.media.long_clip import Stretch

MOST_ATTACHMENTS = 24
"""Pictures, clips and long texts that one message takes."""


class Attacher:
    """Reads dropped files into `bar`; `refused` gets the sentence for a file that cannot be used, `told` a hint.

    `budget` is what a person chose for every picture, None for the server's own.
    """

    def __init__(
        self,
        bar: ChipBar,
        refused: Callable[[str], None],
        told: Callable[[str], None],
        spawn: Spawn,
        background: Callable[[], str],
    ) -> None:
        self.budget: int | None = None
        self._bar = bar
        self._refused = refused
        self._told = told
        self._spawn = spawn
        self._background = background
        self._reading = 0
        self._refusals = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def add_files(self, paths: Sequence[Path]) -> None:
        """Begin to read each of `paths`, as long as the message has room."""
        for path in paths[: self._room(len(paths))]:
            chip = Chip(path.name, source=path)
            self._bar.add(chip)
            self._begin(chip, partial(load, path, soft_tokens=self.budget))

    def add_text(self, text: str) -> None:
        """Attach a text that is too long for the composer."""
        if self._room(1):
            self._bar.add(Chip("pasted text", TextPart(text)))

    def add(self, name: str, make: Callable[[], ImagePart | AudioPart]) -> None:
        """Attach what `make` returns, which is called off the event loop and may raise BadInput."""
        if self._room(1):
            chip = Chip(name)
            self._bar.add(chip)
            self._begin(chip, make)

    async def add_now(self, name: str, make: Callable[[], ImagePart | AudioPart]) -> None:
        """Attach what `make` returns, and come back once that is done."""
        if self._room(1):
            chip = Chip(name)
            self._bar.add(chip)
            self._reading += 1
            self._idle.clear()
            await self._read(chip, make)

    def take_parts(self, chip: Chip, stretches: Sequence[Stretch]) -> None:
        """Put stretches of the clip that `chip` was read from in its place."""
        path = chip.source
        assert path is not None
        several = len(stretches)
        for number, stretch in enumerate(stretches[: self._room(several - 1) + 1], 1):
            name = path.name if several == 1 else f"{path.name} ({number} of {several})"
            fresh = replace(chip, name=name, part=None) if number == 1 else Chip(name, source=path)
            if number == 1:
                self._bar.replace(fresh)
            else:
                self._bar.add(fresh)
            part = partial(load, path, start=stretch.start, seconds=stretch.seconds, name=name)
            self._begin(fresh, part)

    def rescale(self, chip: Chip, budget: int | None) -> None:
        """Read the picture of `chip` once more for another number of soft tokens."""
        part = chip.part
        assert isinstance(part, ImagePart)

        def again() -> ImagePart | AudioPart:
            if chip.source is not None and chip.source.exists():
                return load(chip.source, soft_tokens=budget)
            return replace(part, soft_tokens=budget)

        self._begin(chip, again)

    async def settled(self) -> bool:
        """Wait until every file was read; false where one was refused meanwhile."""
        before = self._refusals
        await self._idle.wait()
        return self._refusals == before

    def _room(self, wanted: int) -> int:
        room = max(0, MOST_ATTACHMENTS - len(self._bar.chips))
        if wanted > room:
            self._refusals += 1
            self._refused(f"A message takes {MOST_ATTACHMENTS} attachments: send these first, or remove some.")
        return min(wanted, room)

    def _begin(self, chip: Chip, make: Callable[[], ImagePart | AudioPart]) -> None:
        self._reading += 1
        self._idle.clear()
        self._spawn(self._read(chip, make))

    async def _read(self, chip: Chip, make: Callable[[], ImagePart | AudioPart]) -> None:
        try:
            part, rows = await asyncio.to_thread(_made, make, self._background())
        except BadInput as error:
            self._refusals += 1
            if chip.part is None:
                self._bar.discard(chip.number)
            self._refused(str(error))
        else:
            self._bar.replace(replace(chip, part=part, rows=rows))
            if isinstance(part, AudioPart) and part.start == 0 and part.note.startswith("first "):
                self._told(
                    f"The model hears 30 s at once, and {part.name} is longer: its {part.note} are attached. "
                    "Shift+Tab, Enter chooses another part, or takes it in pieces."
                )
        finally:
            self._reading -= 1
            if not self._reading:
                self._idle.set()


def _made(make: Callable[[], ImagePart | AudioPart], background: str) -> tuple[ImagePart | AudioPart, Rows]:
    part = make()
    return part, preview(part, PREVIEW_WIDTH, 3, background)


def load(path: Path, **options: Any) -> ImagePart | AudioPart:
    """Read a file; the libraries for that are imported with the first one."""
    from gemma_backend.media.load import load as load_file

    return load_file(path, **options)


def preview(part: ImagePart | AudioPart, columns: int, rows: int, background: str) -> Rows:
    """A picture in half blocks, or a clip's waveform."""
    if isinstance(part, ImagePart):
        return picture_rows(part, columns, rows, background)
    return wave_rows(part.peaks, columns, rows, "")


def attached_words(text: str) -> tuple[list[Path], str]:
    """The pictures and clips that `text` names behind an @, and the text without them; asks the disk."""
    from gemma_backend.media.paste import MEDIA_SUFFIX

    paths = []
    for word, named in at_words(text):
        path = Path(named).expanduser()
        if MEDIA_SUFFIX.fullmatch(path.suffix) and path.is_file():
            paths.append(path.absolute())
            text = text.replace(f"{word} ", "", 1) if f"{word} " in text else text.replace(word, "", 1)
    return paths, text


def message_parts(text: str, chips: Sequence[Chip]) -> tuple[Part, ...]:
    """The message's parts: media first, as Gemma 4 was trained, then long texts, then what was typed."""
    media = [chip.part for chip in chips if isinstance(chip.part, ImagePart | AudioPart)]
    texts = [chip.part.text for chip in chips if isinstance(chip.part, TextPart)]
    if text:
        texts.append(text)
    whole = "\n\n".join(texts)
    return (*media, TextPart(whole)) if whole else tuple(media)
