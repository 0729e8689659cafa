"""Clips longer than the model hears at once: surveyed as a whole, and cut where they are quiet."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from gemma_backend.media.load import load
from gemma_backend.media.long_clip import MOST_PIECES, WINDOW_SECONDS, Survey, pieces, survey
from gemma_backend.types import AudioPart, BadInput


@pytest.mark.parametrize("suffix", ["wav", "ogg", "mp3"])
def test_a_survey_hears_the_whole(tmp_path: Path, suffix: str) -> None:
    samples = 0.5 * np.sin(np.arange(16000 * 65) * 0.3).astype(np.float32)
    samples[16000 * 26 : 16000 * 27] = 0
    soundfile.write(tmp_path / f"a.{suffix}", samples, 16000)
    found = survey(tmp_path / f"a.{suffix}")
    assert abs(found.seconds - 65) < 0.2
    assert abs(len(found.loudness) - 65 / WINDOW_SECONDS) < 5
    assert max(found.loudness[262:268]) < 0.1 < min(found.loudness[100:200])
    first, second, third = pieces(found)
    # Cut in the silence, although the piece could have been longer.
    assert 26.0 <= first.end <= 27.0
    assert second.start == first.end
    assert abs(third.end - found.seconds) < 0.01


@given(st.lists(st.floats(0, 1), max_size=3_000), st.floats(0, WINDOW_SECONDS))
def test_pieces_cover_everything_without_a_gap(loudness: list[float], rest: float) -> None:
    found = Survey(len(loudness) * WINDOW_SECONDS + rest, tuple(loudness))
    cut = pieces(found)
    assert all(0 < piece.seconds <= 30.0 for piece in cut)
    assert all(abs(left.end - right.start) < 0.002 for left, right in pairwise(cut))
    if cut:
        assert cut[0].start == 0
        assert len(cut) == MOST_PIECES or abs(cut[-1].end - found.seconds) < 0.052


def test_a_piece_is_loaded_under_its_own_name(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.ones(16000 * 40, np.float32) * 0.2, 16000)
    part = load(tmp_path / "a.wav", start=10.0, seconds=12.5, name="a.wav (2 of 3)")
    assert isinstance(part, AudioPart)
    assert (part.seconds, part.start, part.whole, part.name) == (12.5, 10.0, 40.0, "a.wav (2 of 3)")
    assert part.note == "0:10 to 0:22 of 0:40"


def test_what_is_no_clip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(BadInput, match="is no clip"):
        survey(tmp_path / "a.png")
