"""Fetches a profile's checkpoint beside a conversation; what breaks is tried again, what was ended goes on later.

What is being fetched stands in a small file of the state folder, so that a run that was ended, or killed, is followed
by one that goes on without being asked.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gemma_backend.config.paths import ensure, state_dir
from gemma_backend.config.profiles import Profile, load_profile
from gemma_backend.types import BadInput, EngineError, GemmaError, UsageError

if TYPE_CHECKING:
    from gemma_backend.checkpoint.pull import Fetched

# Seconds between a broken connection and the next try; the last one again and again.
PAUSES = (5.0, 10.0, 30.0, 60.0)
# The rate is told over so many seconds.
WINDOW = 20.0


@dataclass(frozen=True, slots=True)
class FetchState:
    """How far a download is, in bytes; `left` are the seconds that it may still take, None while that is not known.

    `sentence` says why it waits for its next try, or failed.
    """

    stage: Literal["running", "waiting", "done", "failed", "stopped"] = "running"
    done: int = 0
    total: int = 0
    left: float | None = None
    sentence: str = ""


class Fetching:
    """One download in a thread of its own, which dies with the program; `state` can be read at any time."""

    def __init__(self, profile: Profile, *, pauses: Sequence[float] = PAUSES) -> None:
        self.profile = profile
        self.state = FetchState(total=profile.download_bytes)
        self._pauses = pauses
        self._ended = threading.Event()
        self._keep = True
        self._seen: deque[tuple[float, int]] = deque()
        self._thread = threading.Thread(target=self._run, name="fetching", daemon=True)

    def start(self) -> None:
        """Begin, or go on where an earlier run ended."""
        _write(self.profile.name)
        self._thread.start()

    def stop(self) -> None:
        """End it for good: what was fetched is kept, and a later run goes on only when it is asked to."""
        self._keep = False
        self._ended.set()
        _forget(self.profile.name)
        if self.state.stage in ("running", "waiting"):
            self.state = replace(self.state, stage="stopped", left=None)

    def leave(self) -> None:
        """End it with this run; the next one goes on."""
        self._ended.set()

    def join(self, seconds: float | None = None) -> None:
        """Wait for the thread's end."""
        self._thread.join(seconds)

    def _run(self) -> None:
        from gemma_backend.checkpoint.hub import Unreachable
        from gemma_backend.checkpoint.pull import Stopped, pull

        tries = 0
        while not self._ended.is_set():
            before = self.state.done
            try:
                repository, _, revision = (self.profile.checkpoint or "").partition("@")
                pull(repository, revision or None, progress=self._tell, cancelled=self._ended.is_set)
            except Stopped:
                return
            except Unreachable as error:
                tries = 0 if self.state.done > before else tries + 1
                self._settle("waiting", str(error))
                self._ended.wait(self._pauses[min(tries, len(self._pauses) - 1)])
            except GemmaError as error:
                if isinstance(error, UsageError):
                    # Refused: it is asked about again, not tried again.
                    _forget(self.profile.name)
                self._settle("failed", str(error))
                return
            except Exception as error:
                from gemma_backend.config.log import log_bug

                self._settle("failed", f"This is a bug of ours ({type(error).__name__}); see {log_bug(error)}.")
                return
            else:
                _forget(self.profile.name)
                self._settle("done")
                return

    def _settle(self, stage: Literal["waiting", "done", "failed"], sentence: str = "") -> None:
        if self._keep:
            self.state = replace(self.state, stage=stage, left=None, sentence=sentence)
        self._seen.clear()

    def _tell(self, fetched: Fetched) -> None:
        if not self._keep:
            return
        now = time.monotonic()
        self._seen.append((now, fetched.done))
        while self._seen[0][0] < now - WINDOW:
            self._seen.popleft()
        (first, before), rest = self._seen[0], fetched.total - fetched.done
        rate = (fetched.done - before) / (now - first) if now - first >= 1.0 else 0.0
        self.state = FetchState("running", fetched.done, fetched.total, rest / rate if rate > 0 else None)


def lacking(profile: Profile) -> tuple[Literal["runtime", "checkpoint"], ...]:
    """What has to be installed or fetched before `profile` can be started; looks at the disk.

    Raises GemmaError where that is no matter of installing.
    """
    from gemma_backend.checkpoint.locate import locate
    from gemma_backend.runtime.container import is_image
    from gemma_backend.runtime.find import find
    from gemma_backend.session.session import missing_runtime

    lacks: list[Literal["runtime", "checkpoint"]] = []
    image = is_image(profile.runtime)
    try:
        found = find(profile.runtime)
    except EngineError:
        if not image:
            raise
        # The set-up screen says what is wrong with docker or the image, and what else can be begun with.
        found = None
    if found is None:
        if not image and profile.runtime not in ("cpu", "cuda", "auto"):
            raise EngineError(missing_runtime(profile))
        lacks.append("runtime")
    try:
        locate(profile.checkpoint or "")
    except EngineError:
        lacks.append("checkpoint")
    return tuple(lacks)


def unfinished() -> Profile | None:
    """The profile whose checkpoint an earlier run began to fetch, None where nothing is left to fetch."""
    from gemma_backend.checkpoint.locate import locate

    try:
        name = json.loads(_file().read_text(encoding="utf-8"))["profile"]
        profile = load_profile(str(name))
        locate(profile.checkpoint or "")
    except (OSError, ValueError, KeyError, TypeError, RecursionError, UsageError, BadInput):
        return None
    except EngineError:
        return profile
    _forget(profile.name)
    return None


def _file() -> Path:
    return state_dir() / "fetching.json"


def _write(name: str) -> None:
    # A folder that cannot be written to is no reason not to fetch.
    with contextlib.suppress(OSError):
        aside = ensure(state_dir()) / f".fetching.{os.getpid()}"
        aside.write_text(json.dumps({"profile": name}), encoding="utf-8")
        aside.replace(_file())


def _forget(name: str) -> None:
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        if json.loads(_file().read_text(encoding="utf-8"))["profile"] == name:
            _file().unlink()
