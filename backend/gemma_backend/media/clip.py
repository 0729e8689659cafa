"""Clips as a model takes them: 16 kHz, one channel, 16 bits, at most 30 seconds."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from gemma_backend.media.sniff import Kind
from gemma_backend.media.sound import RATE, SoundFile
from gemma_backend.types import AudioPart, BadInput

if TYPE_CHECKING:
    from gemma_backend.media.sound import Samples

MAX_BYTES = 1 << 30
MAX_SECONDS = 30.0
"""vLLM cuts longer clips to 480,000 samples without a word (transformers `feature_extraction_gemma4.py`)."""
TOKEN_SECONDS = 0.04
"""Sound in one soft token: mel frames of 10 ms, four to a token (vLLM `models/gemma4_mm.py`)."""
PEAKS = 160
"""Columns of the waveform kept for drawing."""


def clip(
    path: Path, name: str, kind: Kind, *, shown: str, start: float = 0.0, seconds: float = MAX_SECONDS
) -> AudioPart:
    """Return `seconds` (30 at most) from `start` of the clip at `path`, ready to send; `note` says what was left out.

    `shown` is the file's name made harmless, for sentences. Raises BadInput where it is damaged, cut off or empty.
    """
    file = SoundFile(path, kind, shown)
    seconds = min(seconds, MAX_SECONDS)
    # A little more than is wanted tells whether a file of unknown length goes on.
    mono, rate = file.mono(start, seconds + (1.0 if file.seconds is None else 0.0))
    if not len(mono):
        raise BadInput(f"{shown} holds no sound at that place: choose another part." if start else _empty(shown))
    whole = file.seconds if file.seconds is not None else start + len(mono) / rate
    return as_part(mono[: int(seconds * rate)], rate, name, whole=whole, start=start, cut_off=file.cut_off)


def as_part(
    mono: Samples, rate: int, name: str, *, whole: float = 0.0, start: float = 0.0, cut_off: bool = False
) -> AudioPart:
    """Return samples of one channel as a part; `whole` is the length of what they were taken from, in seconds."""
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
    notes = [left_out(whole, start, seconds), f"cut off at {clock(whole)}" if cut_off else ""]
    return AudioPart(
        data=data,
        format="wav",
        name=name,
        seconds=seconds,
        digest=hashlib.sha256(data).hexdigest(),
        note="; ".join(filter(None, notes)),
        peaks=peaks(mono),
        start=start,
        whole=max(whole, start + seconds),
    )


def soft_tokens(seconds: float) -> int:
    """The tokens that a clip of so many seconds takes of the context, with the two that stand around it."""
    return min(750, -(-int(seconds * 1000) // int(TOKEN_SECONDS * 1000))) + 2


def left_out(whole: float, start: float, seconds: float) -> str:
    """What part of the whole a clip is; empty where it is all of it."""
    if whole - seconds < 0.1:
        return ""
    if start:
        return f"{clock(start)} to {clock(start + seconds)} of {clock(whole)}"
    return f"first {seconds:.0f} s of {clock(whole)}"


def clock(seconds: float) -> str:
    """A moment of a clip, as `1:05`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def peaks(mono: Samples, columns: int = PEAKS) -> tuple[float, ...]:
    """Return the loudest sample of each of so many equal stretches, from 0 to 1."""
    import numpy as np

    count = min(columns, len(mono))
    edges = np.linspace(0, len(mono), count, endpoint=False).astype(int)
    loudest = np.maximum.reduceat(np.abs(mono), edges) if count else np.zeros(0)
    return tuple(round(float(min(peak, 1.0)), 4) for peak in loudest)


def _empty(shown: str) -> str:
    return f"{shown} holds no sound: record it again, or choose another clip."


def _wav_header(data_bytes: int) -> bytes:
    return b"RIFF" + struct.pack(
        "<I4s4sIHHIIHH4sI", 36 + data_bytes, b"WAVE", b"fmt ", 16, 1, 1, RATE, RATE * 2, 2, 16, b"data", data_bytes
    )
