"""Clips that libsndfile cannot read, by way of ffmpeg where it is installed: M4A, AAC, WebM and the sound of films."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SECONDS = 60.0
"""How long ffmpeg may take for one clip."""

_DURATION = re.compile(rb"Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)")
_NO_SOUND = re.compile(rb"does not contain any stream|matches no streams|Output file #0 does not")


class FfmpegError(Exception):
    """ffmpeg could not read the file; `silent` where there is no sound in it."""

    def __init__(self, silent: bool = False) -> None:
        super().__init__()
        self.silent = silent


def is_there() -> bool:
    """Whether ffmpeg is installed."""
    return shutil.which("ffmpeg") is not None


def decode(
    path: Path, demuxer: str, rate: int, start: float, seconds: float
) -> tuple[NDArray[np.float32], float | None]:
    """Return at most `seconds` of sound from `start` on, one channel at `rate`, and the whole length where it is told.

    Only `path` is opened, as the format `demuxer`, so that a playlist in disguise reaches no other file and no
    network. Raises FfmpegError.
    """
    import numpy as np

    program = shutil.which("ffmpeg")
    if program is None:
        raise FfmpegError
    words = [
        program, "-nostdin", "-hide_banner", "-protocol_whitelist", "file", "-f", demuxer,
        *(["-ss", f"{start:.3f}"] if start else []), "-i", f"file:{os.fspath(path)}",
        "-map", "0:a:0", "-t", f"{seconds:.3f}", "-ac", "1", "-ar", str(rate), "-f", "f32le", "pipe:1",
    ]  # fmt: skip
    try:
        done = subprocess.run(words, capture_output=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FfmpegError from error
    whole = len(done.stdout) // 4 * 4
    if not whole:
        raise FfmpegError(silent=_NO_SOUND.search(done.stderr) is not None)
    told = _DURATION.search(done.stderr)
    length = int(told[1]) * 3600 + int(told[2]) * 60 + float(told[3]) if told else None
    return np.frombuffer(done.stdout[:whole], "<f4").copy(), length
