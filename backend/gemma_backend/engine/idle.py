"""How long nobody has used an engine that stays, its sleep, and its waking up; standard library only, for the keeper.

An engine is in use while a program holds a lease on it, a request runs, or its counters of requests and tokens move.
"""

from __future__ import annotations

import socket as sockets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

# Copying the weights of a full-size checkpoint back to the GPU takes seconds; reading them from a slow disk, minutes.
WAKE_SECONDS = 300.0
ANSWER_SECONDS = 10.0
LONGEST = 8 << 20
COUNTERS = (
    b"vllm:prompt_tokens_total",
    b"vllm:generation_tokens_total",
    b"vllm:request_success_total",
    b"vllm:num_requests_running",
    b"vllm:num_requests_waiting",
)
GAUGES = COUNTERS[3:]


@dataclass(frozen=True, slots=True)
class Server:
    """Where an engine answers: a socket's path, or else host and port."""

    socket: str | None
    base_url: str

    def ask(self, method: str, path: str, seconds: float) -> tuple[int, bytes]:
        """Status and body of one request; (0, b"") where nothing answers."""
        try:
            with self._connect(seconds) as connection:
                head = f"{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                connection.sendall(head.encode("ascii"))
                data = bytearray()
                while len(data) < LONGEST and (piece := connection.recv(1 << 16)):
                    data += piece
            start, _, body = bytes(data).partition(b"\r\n\r\n")
            return int(start.split(b" ", 2)[1]), body
        except (OSError, ValueError, IndexError):
            return 0, b""

    def _connect(self, seconds: float) -> sockets.socket:
        if self.socket is None:
            host, _, port = self.base_url.partition("://")[2].rpartition(":")
            return sockets.create_connection((host.strip("[]"), int(port)), timeout=seconds)
        connection = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
        connection.settimeout(seconds)
        connection.connect(self.socket)
        return connection


@dataclass(frozen=True, slots=True)
class Use:
    """What `/metrics` says of an engine's use: the sum of its counters, and whether requests run or wait."""

    counted: float
    busy: bool


def use(text: bytes) -> Use | None:
    """Read a page of `/metrics`; None where it is none of vLLM's."""
    counted, busy, known = 0.0, False, False
    for row in text.splitlines():
        if not row.startswith(COUNTERS):
            continue
        try:
            value = float(row.rpartition(b" ")[2])
        except ValueError:
            continue
        # `..._waiting_by_reason` says the same once more.
        name = row.partition(b"{")[0].partition(b" ")[0]
        known = True
        if name in GAUGES:
            busy = busy or value > 0
        else:
            counted += value
    return Use(counted, busy) if known else None


Ask = Callable[[str, str, float], tuple[int, bytes]]
"""Method, path and seconds to wait, to status and body."""


class Idle:
    """Follows one engine; `stop_after` and `sleep_after` are seconds without use, 0 for never.

    `ask` is the way to its server.

    `turn()` is called a few times a second and never blocks: what takes time runs in a thread of its own.
    """

    def __init__(
        self, ask: Ask, stop_after: float, sleep_after: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.asleep = False
        self.ready = False
        self._ask = ask
        self._stop_after = stop_after
        self._sleep_after = sleep_after
        self._now = now
        self._used = now()
        self._asked = now()
        self._last: Use | None = None
        self._thread: threading.Thread | None = None
        # Twenty looks on the way to whatever comes first, and at least one in 15 seconds.
        soonest = min((each for each in (stop_after, sleep_after) if each > 0), default=0.0)
        self._period = min(15.0, soonest / 20) if soonest else 0.0

    @property
    def seconds(self) -> float:
        """For how long nobody has used the engine."""
        return self._now() - self._used

    @property
    def working(self) -> bool:
        """Whether it is being looked at, put to sleep or woken up at the moment."""
        return self._thread is not None and self._thread.is_alive()

    def turn(self, leased: bool) -> bool:
        """Whether the engine should be stopped, nobody having used it for so long."""
        now = self._now()
        if leased:
            self._used = now
        if self.working:
            return False
        if self.asleep:
            if leased:
                self._begin(self._wake)
            elif now - self._asked >= self._period:
                self._begin(self._look)
        elif not leased and self._period:
            if self.ready and 0 < self._sleep_after <= self.seconds:
                self._begin(self._sleep)
            elif now - self._asked >= self._period:
                self._begin(self._look)
        return not leased and 0 < self._stop_after <= self.seconds

    def _begin(self, job: Callable[[], None]) -> None:
        self._asked = self._now()
        self._thread = threading.Thread(target=job, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        status, body = self._ask("GET", "/metrics", ANSWER_SECONDS)
        found = use(body) if status == 200 else None
        if found is None:
            # One that has not answered yet is still being started, and one that no longer does is not in use.
            if not self.ready:
                self._used = self._now()
            return
        self.ready = True
        if found.busy or self._last is None or found.counted != self._last.counted:
            self._used = self._now()
        self._last = found
        if self.asleep and found.busy:
            # Somebody who knows the socket asks without a lease; their request waits for this.
            self._wake()

    def _sleep(self) -> None:
        status, _ = self._ask("POST", "/sleep?level=1&mode=wait", WAKE_SECONDS)
        if status == 200:
            self.asleep = True
        else:
            self._sleep_after = 0.0

    def _wake(self) -> None:
        status, _ = self._ask("POST", "/wake_up", WAKE_SECONDS)
        # Where it cannot be woken its own answers must say so; to wait longer would help nobody.
        self.asleep = False
        self._used = self._now()
        if status != 200:
            self._sleep_after = 0.0
