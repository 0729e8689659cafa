"""Programs that talk are killed at random moments; `make torture` does the same a hundred times."""

from pathlib import Path

import pytest

from faults.history_torture import LIMIT, torture


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATE", "CACHE", "CONFIG", "LOG"):
        monkeypatch.setenv(f"GEMMA_TUI_{name}_DIR", str(tmp_path / name.lower()))


async def test_a_kill_loses_at_most_a_second_of_text_and_leaves_a_sound_database() -> None:
    played = await torture(rounds=6, seed=4)
    assert [one.problems for one in played] == [[]] * 6
    # A seed whose kills come before anything was sent would show nothing.
    assert sum(one.saved > 0 for one in played) >= 2
    assert max(one.lost for one in played) <= LIMIT
