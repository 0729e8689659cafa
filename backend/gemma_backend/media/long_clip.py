"""A clip that is longer than the model hears at once: its waveform as a whole, and where to cut it into pieces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gemma_backend.media.clip import MAX_SECONDS
from gemma_backend.media.load import clip_kind
from gemma_backend.media.sound import SoundFile

WINDOW_SECONDS = 0.1
"""Loudness is measured in stretches of so many seconds."""
MAX_SURVEY_SECONDS = 3600.0
"""More than an hour is not decoded for its waveform."""
MOST_PIECES = 20
_SEARCH_SECONDS = 6.0
_SHORTEST_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Survey:
    """`loudness` is the loudest sample in each stretch of WINDOW_SECONDS, 0 to 1; `seconds` what it covers."""

    seconds: float
    loudness: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a clip, in seconds."""

    start: float
    seconds: float

    @property
    def end(self) -> float:
        """Where it ends."""
        return self.start + self.seconds


def survey(path: Path) -> Survey:
    """Decode the whole clip for its loudness; takes seconds for long ones. Raises BadInput as `load` does."""
    import numpy as np

    file = SoundFile(path, *clip_kind(path))
    loudness: list[float] = []
    total = 0
    for block in file.blocks(10.0):
        window = int(WINDOW_SECONDS * file.rate)
        loud = np.abs(block)
        loudness += [round(min(1.0, float(peak)), 4) for peak in np.maximum.reduceat(loud, range(0, len(loud), window))]
        total += len(block)
        if total > MAX_SURVEY_SECONDS * file.rate:
            break
    return Survey(total / file.rate, tuple(loudness))


def pieces(found: Survey, longest: float = MAX_SECONDS) -> list[Stretch]:
    """Cut the clip into stretches of at most `longest` seconds, each time at the quietest moment of the last six.

    At most MOST_PIECES; what is left after them is in none.
    """
    cuts: list[Stretch] = []
    start = 0.0
    while found.seconds - start >= _SHORTEST_SECONDS and len(cuts) < MOST_PIECES:
        end = found.seconds
        if end - start > longest:
            end = _quietest(found, start + longest - min(_SEARCH_SECONDS, longest / 2), start + longest)
        cuts.append(Stretch(round(start, 3), round(end - start, 3)))
        start = end
    return cuts


def _quietest(found: Survey, first: float, last: float) -> float:
    """The middle of the quietest half second between two moments, the latest where several are alike."""
    width = int(0.5 / WINDOW_SECONDS)
    begin, end = round(first / WINDOW_SECONDS), int(last / WINDOW_SECONDS)
    places = range(begin, max(begin + 1, min(end, len(found.loudness)) - width + 1))
    best = min(places, key=lambda place: (max(found.loudness[place : place + width], default=0.0), -place))
    return min(last, (best + width / 2) * WINDOW_SECONDS)
