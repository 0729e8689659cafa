"""Files on their way into a message: read off the event loop, then shown as chips, or refused in a sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from gemma_backend.types import AudioPart, BadInput, ImagePart, Part, TextPart
from gemma_tui.tui.completing import at_words
from gemma_tui.tui.conversation import Spawn
from gemma_tui.tui.widgets.chips import PREVIEW_WIDTH, Chip, ChipBar
from gemma_tui.tui.widgets.preview import Rows, picture_rows, wave_rows


class Attacher:
    """Reads dropped files into `bar`; `refused` gets the sentence for a file that cannot be used."""

    def __init__(
        self, bar: ChipBar, refused: Callable[[str], None], spawn: Spawn, background: Callable[[], str]
    ) -> None:
        self._bar = bar
        self._refused = refused
        self._spawn = spawn
        self._background = background
        self._reading = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def add_files(self, paths: Sequence[Path]) -> None:
        """Begin to read each of `paths`."""
        for path in paths:
            chip = Chip(path.name)
            self._bar.add(chip)
            self._reading += 1
            self._idle.clear()
            self._spawn(self._read(chip, path))

    def add_text(self, text: str) -> None:
        """Attach a text that is too long for the composer."""
        self._bar.add(Chip("pasted text", TextPart(text)))

    async def settled(self) -> bool:
        """Wait until every file was read; false where one was refused meanwhile."""
        before = len(self._bar.chips)
        await self._idle.wait()
        return len(self._bar.chips) == before

    async def _read(self, chip: Chip, path: Path) -> None:
        try:
            part, rows = await asyncio.to_thread(_load, path, self._background())
        except BadInput as error:
            self._bar.discard(chip.number)
            self._refused(str(error))
        else:
            self._bar.replace(replace(chip, part=part, rows=rows))
        finally:
            self._reading -= 1
            if not self._reading:
                self._idle.set()


def _load(path: Path, background: str) -> tuple[ImagePart | AudioPart, Rows]:
    from gemma_backend.media.load import load

    part = load(path)
    return part, preview(part, PREVIEW_WIDTH, 3, background)


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
