"""Clips as a model takes them: 16 kHz, one channel, 16 bits, at most 30 seconds."""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gemma_backend.media.native import native_stderr_closed
from gemma_backend.types import AudioPart, BadInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

MAX_BYTES = 1 << 30
RATE = 16_000
"""Samples a second that Gemma 4's audio tower takes."""
MAX_SECONDS = 30.0
"""vLLM cuts longer clips to 480,000 samples without a word (transformers `feature_extraction_gemma4.py`)."""
PEAKS = 160
"""Columns of the waveform kept for drawing."""

_MAX_RATE = 768_000
_MAX_CHANNELS = 64
_BLOCK_SECONDS = 5
_STREAMED = 0x7FFFF000
"""A length at or above this in a WAV header means that its writer could not know it."""


def clip(path: Path, name: str, *, shown: str, start: float = 0.0) -> AudioPart:
    """Return 30 seconds from `start` of the clip at `path`, ready to send; `note` says what was left out.

    `shown` is the file's name made harmless, for sentences. Raises BadInput where it is damaged, cut off or empty.
    """
    soundfile = _soundfile()
    _refuse_cut_off(path, shown)
    try:
        with (
            native_stderr_closed(),
            soundfile.SoundFile(os.fsencode(path) if os.name == "posix" else str(path)) as file,
        ):
            rate, frames = file.samplerate, file.frames
            if not 0 < rate <= _MAX_RATE or not 0 < file.channels <= _MAX_CHANNELS:
                raise _damaged(shown)
            first = min(int(start * rate), frames)
            if first:
                file.seek(first)
            wanted = min(frames - first, int(MAX_SECONDS * rate))
            mono = _mono(file, wanted)
    except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
        raise _damaged(shown) from error
    except MemoryError:
        raise BadInput(f"{shown} does not fit in memory: cut out the part you mean first.") from None
    if not len(mono):
        raise BadInput(f"{shown} holds no sound at that place: choose another clip." if start else _empty(shown))
    # Decoders end a lossy clip a block early or late; more than that means that the file ends in mid-sound.
    if len(mono) < wanted - rate // 5:
        raise _damaged(shown)
    return _part(mono, rate, frames / rate, start, name)


def _empty(shown: str) -> str:
    return f"{shown} holds no sound: record it again, or choose another clip."


def _damaged(shown: str) -> BadInput:
    return BadInput(f"{shown} is damaged or cut off: play it to check, or get it again.")


def _soundfile() -> Any:
    try:
        import soundfile
    except OSError:
        raise BadInput("Sound cannot be read here because libsndfile is missing: install libsndfile1.") from None
    return soundfile


def _mono(file: Any, wanted: int) -> Samples:
    """Read `wanted` frames and mix their channels, a few seconds at a time so that many channels stay small."""
    import numpy as np

    blocks: list[Samples] = []
    left = wanted
    while left > 0:
        block = file.read(min(left, _BLOCK_SECONDS * file.samplerate), dtype="float32", always_2d=True)
        if not len(block):
            break
        left -= len(block)
        blocks.append(block[:, 0] if block.shape[1] == 1 else _mixed(block))
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def _mixed(block: Samples) -> Samples:
    # Summing columns is several times faster than numpy's mean over a short axis.
    total = block[:, 0].copy()
    for channel in range(1, block.shape[1]):
        total += block[:, channel]
    total /= block.shape[1]
    return total


def _part(mono: Samples, rate: int, whole_seconds: float, start: float, name: str) -> AudioPart:
    import numpy as np

    if not np.isfinite(mono).all():
        mono = np.nan_to_num(mono, nan=0.0, posinf=1.0, neginf=-1.0)
    if rate != RATE:
        import soxr

        mono = soxr.resample(mono, rate, RATE, quality="HQ")
    mono = mono[: int(MAX_SECONDS * RATE)]
    pcm = np.clip(mono * 32767.0, -32768, 32767).round().astype("<i2").tobytes()
    data = _wav_header(len(pcm)) + pcm
    seconds = len(mono) / RATE
    return AudioPart(
        data=data,
        format="wav",
        name=name,
        seconds=seconds,
        digest=hashlib.sha256(data).hexdigest(),
        note=_left_out(whole_seconds, start, seconds),
        peaks=_peaks(mono),
    )


def _left_out(whole: float, start: float, seconds: float) -> str:
    if whole - seconds < 0.1:
        return ""
    if start:
        return f"{_clock(start)} to {_clock(start + seconds)} of {_clock(whole)}"
    return f"first {seconds:.0f} s of {_clock(whole)}"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _peaks(mono: Samples) -> tuple[float, ...]:
    """Return the loudest sample of each of PEAKS equal stretches, from 0 to 1."""
    import numpy as np

    count = min(PEAKS, len(mono))
    edges = np.linspace(0, len(mono), count, endpoint=False).astype(int)
    loudest = np.maximum.reduceat(np.abs(mono), edges) if count else np.zeros(0)
    return tuple(round(float(min(peak, 1.0)), 4) for peak in loudest)


def _wav_header(data_bytes: int) -> bytes:
    return b"RIFF" + struct.pack(
        "<I4s4sIHHIIHH4sI", 36 + data_bytes, b"WAVE", b"fmt ", 16, 1, 1, RATE, RATE * 2, 2, 16, b"data", data_bytes
    )


def _refuse_cut_off(path: Path, shown: str) -> None:
    """Raise BadInput for a WAV file shorter than its header says, which libsndfile takes without a word."""
    with path.open("rb") as file:
        head = file.read(12)
        there = os.fstat(file.fileno()).st_size
    if head[:4] == b"RIFF" and len(head) == 12:
        promised = int.from_bytes(head[4:8], "little") + 8
        if promised < _STREAMED and there < promised - max(1024, promised // 100):
            raise _damaged(shown)
