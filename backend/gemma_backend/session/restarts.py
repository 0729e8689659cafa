"""How often and how soon a failed engine is started again: at most three times in ten minutes, each time later."""

from __future__ import annotations

from collections import deque

MOST = 3
WINDOW_SECONDS = 600.0
DELAYS = (0.0, 5.0, 15.0)


class Restarts:
    """Counts the restarts of one session."""

    def __init__(self) -> None:
        self._at: deque[float] = deque()

    def ask(self, now: float) -> float | None:
        """Seconds to wait before the next restart, which is thereby counted; None where there were too many."""
        while self._at and now - self._at[0] >= WINDOW_SECONDS:
            self._at.popleft()
        if len(self._at) >= MOST:
            return None
        self._at.append(now)
        return DELAYS[len(self._at) - 1]

    def wait(self, now: float) -> float:
        """Seconds until one more restart is allowed."""
        return max(0.0, self._at[0] + WINDOW_SECONDS - now) if len(self._at) >= MOST else 0.0
