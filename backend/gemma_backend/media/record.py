"""A clip from the microphone, through whatever recorder is there."""

from __future__ import annotations

import asyncio
import shutil
import sys
from array import array
from collections.abc import Callable
from contextlib import suppress

from gemma_backend.media.clip import MAX_SECONDS
from gemma_backend.media.sound import RATE
from gemma_backend.types import AudioPart, BadInput

BLOCK_SECONDS = 0.05
"""A level is told for every so many seconds of sound."""
_FIRST_BLOCK_SECONDS = 3.0


def recorders(device: str = "") -> list[list[str]]:
    """The recorders that are there, likeliest first, as words that write 16 kHz mono 16-bit samples on standard output.

    `device` is a source of PulseAudio or PipeWire, or ALSA's name of one; empty for the system's own choice.
    """
    source = [f"--device={device}"] if device else []
    known = [
        ["parecord", "--raw", "--format=s16le", f"--rate={RATE}", "--channels=1", "--latency-msec=50", *source],
        ["arecord", "-q", "-t", "raw", "-f", "S16_LE", "-r", str(RATE), "-c", "1", *(["-D", device] if device else [])],
    ]
    if sys.platform == "darwin":
        microphone = ["-f", "avfoundation", "-i", device or ":default"]
        samples = ["-ac", "1", "-ar", str(RATE), "-f", "s16le", "pipe:1"]
        known.append(["ffmpeg", "-nostdin", "-loglevel", "error", *microphone, *samples])
    return [words for words in known if shutil.which(words[0])]


class Recorder:
    """Records until it is stopped, 30 seconds at most; everything is called in one event loop.

    `heard` is called with the level of each BLOCK_SECONDS, 0 to 1, and the seconds so far.
    """

    def __init__(self, heard: Callable[[float, float], None], device: str = "") -> None:
        self._heard = heard
        self._device = device
        self._samples = bytearray()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def seconds(self) -> float:
        """What was recorded so far."""
        return len(self._samples) / 2 / RATE

    async def run(self) -> None:
        """Record until `stop()`, or until 30 seconds are full.

        Raises BadInput where there is no recorder, or none of them finds a microphone.
        """
        found = recorders(self._device)
        if not found:
            raise BadInput("There is no recorder here: install pulseaudio-utils (parecord) or alsa-utils (arecord).")
        for words in found:
            if await self._record(words):
                return
        which = f"called {self._device} " if self._device else ""
        raise BadInput(f"No microphone {which}was found: plug one in, or choose one in the sound settings.")

    def stop(self) -> None:
        """End the recording; `run()` returns."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.terminate()

    def part(self, name: str) -> AudioPart:
        """What was recorded; raises BadInput where that is nothing."""
        import numpy as np

        from gemma_backend.media.clip import as_part

        if self.seconds < 0.1:
            raise BadInput("Nothing was recorded: hold on a moment longer.")
        pcm = np.frombuffer(bytes(self._samples), "<i2").astype(np.float32) / np.float32(32768)
        return as_part(pcm, RATE, name)

    async def _record(self, words: list[str]) -> bool:
        """Whether the recorder gave anything."""
        process = self._process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdout is not None
        limit = int(MAX_SECONDS * RATE) * 2
        block = int(BLOCK_SECONDS * RATE) * 2
        try:
            while len(self._samples) < limit:
                async with asyncio.timeout(_FIRST_BLOCK_SECONDS if not self._samples else None):
                    data = await process.stdout.readexactly(min(block, limit - len(self._samples)))
                self._samples += data
                self._heard(_level(data), self.seconds)
        except asyncio.IncompleteReadError as error:
            self._samples += error.partial[: len(error.partial) // 2 * 2]
        except TimeoutError:
            # A recorder that waits for a device that gives nothing.
            pass
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
            await process.wait()
        return bool(self._samples)


def _level(data: bytes) -> float:
    samples = array("h", data)
    if sys.byteorder == "big":
        samples.byteswap()
    return max(max(samples), -min(samples)) / 32768 if samples else 0.0
