"""What earlier starts say of the one under way."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_backend.engine import earlier
from gemma_backend.types import EarlierStarts, Phase


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMMA_TUI_STATE_DIR", str(tmp_path))


def start(*begun: tuple[str, float]) -> list[Phase]:
    return [Phase(name, at) for name, at in begun]


def test_nothing_is_said_the_first_time() -> None:
    assert earlier.expected("pocket") is None


def test_the_median_of_the_last_five_counts() -> None:
    for total in (500.0, 10.0, 12.0, 90.0, 14.0, 16.0):
        earlier.note("pocket", "0.32.0", start(("imports", 0.0), ("weights", 5.0)), total)
    found = earlier.expected("pocket")
    assert found is not None
    assert (found.count, found.total) == (5, 14.0)
    assert earlier.expected("workstation") is None
    imports = Phase("imports", 0.0)
    assert found.left(None, 0.0) == 14.0
    assert found.left(imports, 2.0) == pytest.approx(5 - 2 + 9)
    # A phase that drags on holds the end up.
    assert found.left(imports, 60.0) == pytest.approx(9.0)
    assert found.left(Phase("weights", 60.0), 63.0) == pytest.approx(6.0)
    assert found.left(Phase("weights", 60.0), 99.0) == 0.0
    # One that was never seen before: only the whole is known.
    assert found.left(Phase("compile", 6.0), 6.0) == pytest.approx(8.0)


def test_a_broken_file_is_no_history(tmp_path: Path) -> None:
    path = tmp_path / "starts" / "pocket.json"
    path.parent.mkdir()
    for text in ("", "{}", "[1, null, {}]", '[{"total": "x", "phases": []}]', '[{"total": 3, "phases": [["a"]]}]'):
        path.write_text(text)
        assert earlier.expected("pocket") is None
    earlier.note("pocket", "0.32.0", start(("imports", 0.0)), 3.0)
    found = earlier.expected("pocket")
    assert found is not None and found.total == 3.0


def test_a_disk_that_refuses_fails_no_start(tmp_path: Path) -> None:
    (tmp_path / "starts").write_text("a file where the folder would be")
    earlier.note("pocket", "0.32.0", start(("imports", 0.0)), 3.0)
    assert earlier.expected("pocket") is None


@given(
    starts=st.lists(
        st.lists(st.floats(0, 500), min_size=1, max_size=8).map(sorted).flatmap(
            lambda times: st.tuples(st.just(times), st.floats(times[-1], times[-1] + 500))
        ),
        min_size=1,
        max_size=7,
    ),
    elapsed=st.floats(0, 2000),
)  # fmt: skip
def test_what_is_left_never_grows_within_a_phase(starts: list[tuple[list[float], float]], elapsed: float) -> None:
    names = "abcdefgh"
    known = [
        {"total": total, "phases": [[names[place], at] for place, at in enumerate(times)]} for times, total in starts
    ]
    found = earlier.summary(known)
    assert isinstance(found, EarlierStarts)
    for name in names:
        phase = Phase(name, 0.0)
        assert found.left(phase, elapsed) >= found.left(phase, elapsed + 1.0) >= 0.0
