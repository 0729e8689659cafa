"""What the bar of a start says; no screen is needed for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_backend.types import START_PHASES, EarlierPhase, EarlierStarts, Phase
from gemma_tui.start_progress import progress

EARLIER = EarlierStarts(
    5,
    100.0,
    (EarlierPhase("imports", 20.0, 80.0), EarlierPhase("weights", 50.0, 30.0), EarlierPhase("server", 1.0, 0.0)),
)


def test_the_first_time_steps_are_counted_and_no_time_is_promised() -> None:
    told = progress(None, Phase("weights", 9.0, None, "shard 3 of 6"), 12.0)
    assert told.share == pytest.approx((3 + 0.5) / 10)
    assert told.words == "12 s so far · first start here, so no estimate"
    assert "left" not in told.words
    assert progress(None, None, 0.0).share == 0.0
    assert progress(None, Phase("ready", 9.0), 12.0).share == 1.0
    assert progress(None, Phase("waking up", 0.0), 2.0).share == 0.0


@pytest.mark.parametrize(
    ("phase", "elapsed", "words", "share"),
    [
        (Phase("imports", 0.0), 11.0, "11 s so far · about 90 s left", 0.11),
        (Phase("weights", 20.0, None, "shard 3 of 7"), 40.0, "40 s so far · about 60 s left", 0.40),
        (Phase("weights", 20.0), 130.0, "2:10 so far · about 30 s left", 0.81),
        (Phase("weights", 20.0), 160.0, "2:40 so far · longer than the usual 1:40", 0.84),
        (Phase("server", 99.0), 99.5, "1:39 so far · any moment now", 0.99),
    ],
)
def test_after_earlier_starts(phase: Phase, elapsed: float, words: str, share: float) -> None:
    told = progress(EARLIER, phase, elapsed)
    assert told.words == words
    assert told.share == pytest.approx(share, abs=0.01)


def test_minutes_are_told_as_minutes() -> None:
    told = progress(EarlierStarts(1, 320.0, (EarlierPhase("imports", 20.0, 300.0),)), Phase("imports", 0.0), 10.0)
    assert told.words == "10 s so far · about 5 min left"
    told = progress(EarlierStarts(1, 100.0, (EarlierPhase("server", 3.0, 0.0),)), Phase("server", 96.0), 96.0)
    assert told.words == "1:36 so far · a few seconds left"


@given(
    st.sampled_from([*START_PHASES, "something new"]),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
    st.text(max_size=30) | st.just("graph 51 of 51") | st.just("1 of 0"),
    st.none() | st.just(EARLIER) | st.just(EarlierStarts(1, 0.0)),
)
def test_a_share_is_a_share(
    name: str, begun: float, elapsed: float, detail: str, earlier: EarlierStarts | None
) -> None:
    told = progress(earlier, Phase(name, begun, None, detail), elapsed)
    assert 0.0 <= told.share <= 1.0
    assert told.words
