"""A clip made audible, by whatever player is there."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from gemma_backend.types import AudioPart, BadInput

PLAYERS: tuple[tuple[str, ...], ...] = (
    ("pw-play",),
    ("paplay",),
    ("aplay", "-q"),
    ("afplay",),
    ("ffplay", "-nodisp", "-autoexit", "-loglevel", "quiet"),
    ("play", "-q"),
)
"""Programs that play a WAV file, with their options; the first one that does not fail is used."""

_FAILS_WITHIN = 0.7


class Player:
    """Plays one clip at a time; everything is called in one event loop."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._file: Path | None = None
        self.playing: AudioPart | None = None

    async def play(self, part: AudioPart) -> None:
        """Begin to play `part`, in place of what is playing; `ended()` waits for its end.

        Raises BadInput where no player is there, or none finds a sound card.
        """
        await self.stop()
        handle, name = tempfile.mkstemp(prefix="gemma-tui-", suffix=".wav")
        with os.fdopen(handle, "wb") as file:
            file.write(part.data)
        self._file = Path(name)
        found = False
        for words in PLAYERS:
            program = shutil.which(words[0])
            if program is None:
                continue
            found = True
            process = await asyncio.create_subprocess_exec(
                program, *words[1:], name,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            self._process = process
            with suppress(TimeoutError):
                async with asyncio.timeout(min(_FAILS_WITHIN, part.seconds / 2)):
                    await process.wait()
            if process.returncode in (None, 0):
                self.playing = part
                return
        self._clean_up()
        if found:
            raise BadInput("No player here finds a sound card: check the machine's sound settings.")
        raise BadInput("There is no player here: install pipewire, pulseaudio-utils, alsa-utils or ffmpeg.")

    async def ended(self) -> None:
        """Return once what is playing has come to its end or was stopped."""
        process = self._process
        if process is not None:
            await process.wait()
        if process is self._process:
            self._clean_up()

    async def stop(self) -> bool:
        """Be silent; whether something was playing."""
        process = self._process
        was = process is not None and process.returncode is None
        if process is not None and was:
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(1.0):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        self._clean_up()
        return was

    def _clean_up(self) -> None:
        self._process = self.playing = None
        if self._file is not None:
            self._file.unlink(missing_ok=True)
            self._file = None
