"""Sound files opened, and stretches of them decoded to one channel: through libsndfile, else through ffmpeg."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gemma_backend.media import ffmpeg
from gemma_backend.media.cutoff import is_cut_off
from gemma_backend.media.native import native_stderr_closed
from gemma_backend.media.sniff import Kind
from gemma_backend.types import BadInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

RATE = 16_000
"""Samples a second that Gemma 4's audio tower takes."""
MAX_WHOLE_SECONDS = 24 * 3600.0
"""A longer file is not looked into: its index alone would take seconds to read."""

_MAX_RATE = 768_000
_MAX_CHANNELS = 64
_BLOCK_SECONDS = 5
_FFMPEG_BLOCK_SECONDS = 120.0
_THREADS = 4
_PARALLEL_SECONDS = 4
# Formats whose decoding takes longer than finding a place in them.
_PARALLEL = ("OGG",)
# Their decoders end a block early or late without being damaged, and play what is there of a broken file.
_LENIENT = ("OGG", "MP3")


class SoundFile:
    """A sound file; `seconds` is its whole length, None where the file does not tell.

    `cut_off` says that the file ends in the middle. Every method raises BadInput in a sentence.
    """

    def __init__(self, path: Path, kind: Kind, shown: str) -> None:
        self._path = path
        self._kind = kind
        self._shown = shown
        self.seconds: float | None = None
        self.cut_off = False
        self.rate = RATE
        if kind.demuxer:
            if not ffmpeg.is_there():
                article = "an" if kind.name[0] in "AM" else "a"
                raise BadInput(
                    f"{shown} is {article} {kind.name} file, which needs ffmpeg: install ffmpeg, or {kind.advice}."
                )
            return
        self.cut_off = is_cut_off(path, kind.name)
        if self.cut_off and kind.name not in _LENIENT:
            raise damaged(shown)
        with self._open() as file:
            self.rate, self._frames = file.samplerate, file.frames
            if not 0 < self.rate <= _MAX_RATE or not 0 < file.channels <= _MAX_CHANNELS:
                raise damaged(shown)
        self.seconds = self._frames / self.rate
        if self.seconds > MAX_WHOLE_SECONDS:
            raise BadInput(f"{shown} is {self.seconds / 3600:,.0f} hours long: cut out the part you mean first.")

    def mono(self, start: float, seconds: float) -> tuple[Samples, int]:
        """Return at most `seconds` from `start` on, channels mixed, and the samples a second that they have."""
        try:
            if self._kind.demuxer:
                return self._through_ffmpeg(start, seconds), RATE
            return self._through_libsndfile(start, seconds), self.rate
        except MemoryError:
            raise BadInput(f"{self._shown} does not fit in memory: cut out the part you mean first.") from None

    def blocks(self, seconds: float) -> Iterator[Samples]:
        """Yield the whole of it, channels mixed, `seconds` at a time."""
        if self._kind.demuxer:
            # Starting ffmpeg takes longer than decoding a minute.
            seconds, start = max(seconds, _FFMPEG_BLOCK_SECONDS), 0.0
            while len(block := self._through_ffmpeg(start, seconds)):
                yield block
                if len(block) < (seconds - 0.1) * RATE:
                    return
                start += seconds
            return
        with self._open() as file:
            while len(block := _mixed(file.read(int(seconds * self.rate), dtype="float32", always_2d=True))):
                yield block

    def _through_ffmpeg(self, start: float, seconds: float) -> Samples:
        try:
            samples, length = ffmpeg.decode(self._path, self._kind.demuxer, RATE, start, seconds)
        except ffmpeg.FfmpegError as error:
            if error.silent:
                raise BadInput(f"{self._shown} holds no sound: choose another file.") from None
            if start:
                # There is nothing behind the end.
                import numpy as np

                return np.zeros(0, np.float32)
            raise damaged(self._shown) from error
        end = start + len(samples) / RATE
        if len(samples) < (seconds - 0.1) * RATE:
            # It came to its end, which is truer than a length that some formats only estimate.
            self.cut_off = length is not None and length - end > 1.0
            self.seconds = end
        else:
            self.seconds = length
        return samples

    def _through_libsndfile(self, start: float, seconds: float) -> Samples:
        import numpy as np

        first = min(int(start * self.rate), self._frames)
        wanted = min(self._frames - first, int(seconds * self.rate))
        threads = min(_THREADS, os.cpu_count() or 1)
        if self._kind.name in _PARALLEL and threads > 1 and wanted > _PARALLEL_SECONDS * self.rate:
            edges = [first + wanted * piece // threads for piece in range(threads + 1)]
            with ThreadPoolExecutor(threads) as pool:
                mono = np.concatenate(list(pool.map(self._stretch, edges[:-1], edges[1:])))
        else:
            mono = self._stretch(first, first + wanted)
        # Decoders end a lossy clip a block early or late; more than that means that the file ends in mid-sound.
        if len(mono) < wanted - self.rate // 5:
            if self._kind.name not in _LENIENT or len(mono) < self.rate // 10:
                raise damaged(self._shown)
            self.cut_off = True
            self.seconds = (first + len(mono)) / self.rate
        return mono

    def _stretch(self, first: int, end: int) -> Samples:
        """Frames from `first` to `end`, mixed a few seconds at a time so that many channels stay small."""
        import numpy as np

        blocks: list[Samples] = []
        with self._open() as file:
            if first:
                file.seek(first)
            left = end - first
            while left > 0:
                block = file.read(min(left, _BLOCK_SECONDS * self.rate), dtype="float32", always_2d=True)
                if not len(block):
                    break
                left -= len(block)
                blocks.append(_mixed(block))
        return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)

    @contextmanager
    def _open(self) -> Iterator[Any]:
        soundfile = _soundfile()
        name = os.fsencode(self._path) if os.name == "posix" else str(self._path)
        try:
            with native_stderr_closed(), soundfile(name) as file:
                yield file
        except (RuntimeError, ValueError) as error:
            raise damaged(self._shown) from error


def damaged(shown: str) -> BadInput:
    """The sentence for a file that cannot be played to its end."""
    return BadInput(f"{shown} is damaged or cut off: play it to check, or get it again.")


@lru_cache(maxsize=1)
def _soundfile() -> Any:
    """The class that opens sound files; its errors are RuntimeErrors."""
    try:
        import soundfile
    except OSError:
        raise BadInput("Sound cannot be read here because libsndfile is missing: install libsndfile1.") from None

    class Flowing(soundfile.SoundFile):  # type: ignore[misc]  # the library has no types
        def seekable(self) -> bool:
            # The library seeks to where it is after each read, and libsndfile's MP3 decoder loses 0.2 s by that.
            return False

    return Flowing


def _mixed(block: Any) -> Samples:
    # Summing columns is several times faster than numpy's mean over a short axis.
    total: Samples = block[:, 0].copy() if block.shape[1] > 1 else block[:, 0]
    for channel in range(1, block.shape[1]):
        total += block[:, channel]
    if block.shape[1] > 1:
        total /= block.shape[1]
    return total
