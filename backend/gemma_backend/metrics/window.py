"""Readings kept for windows from seconds to an hour: close together lately, further apart the older they are."""

from __future__ import annotations

from collections import deque

from gemma_backend.metrics.reading import Reading

WINDOWS = (15.0, 60.0, 300.0, 3600.0)
"""Seconds that latencies can be told for."""
# Up to this age readings are kept this far apart, in seconds: about 180 of them in all.
TIERS = ((60.0, 0.0), (600.0, 10.0), (3600.0, 60.0))


class Readings:
    """The last hour of readings of one server, fewer the older they are."""

    def __init__(self) -> None:
        self._tiers: list[deque[Reading]] = [deque() for _ in TIERS]

    def __len__(self) -> int:
        return sum(map(len, self._tiers))

    def clear(self) -> None:
        """Forget all, where another server is looked at."""
        for tier in self._tiers:
            tier.clear()

    @property
    def last(self) -> Reading | None:
        """The newest one, None before the first."""
        return next((tier[-1] for tier in self._tiers if tier), None)

    def add(self, reading: Reading) -> None:
        """Keep a reading that is newer than all others."""
        self._tiers[0].append(reading)
        for number, (age, _) in enumerate(TIERS):
            tier = self._tiers[number]
            # One beyond the edge stays, so that a window of that length always has its beginning.
            while len(tier) > 1 and tier[1].at <= reading.at - age:
                self._hand_on(tier.popleft(), number + 1)

    def _hand_on(self, reading: Reading, number: int) -> None:
        if number < len(TIERS):
            tier = self._tiers[number]
            if not tier or reading.at - tier[-1].at >= TIERS[number][1]:
                tier.append(reading)

    def since(self, seconds: float) -> Reading | None:
        """The newest reading that is at least `seconds` older than the last, the oldest where none is."""
        newest = self.last
        if newest is None:
            return None
        oldest = None
        for tier in self._tiers:
            for reading in reversed(tier):
                oldest = reading
                if reading.at <= newest.at - seconds:
                    return reading
        return oldest
