"""A minute of what `make soak` does for an hour: nothing piles up in the program, whatever its server does."""

from faults.soak import FAULTS, soak

SECONDS = 60.0


def test_a_minute_of_faults_leaves_memory_and_files_as_they_were() -> None:
    seen = soak(SECONDS)
    assert seen.judge() == []
    assert seen.told >= 2 * len(FAULTS)
