"""One vLLM process as an object: started under a keeper, followed through its log, stopped without a trace."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gemma_backend.engine import earlier
from gemma_backend.engine import record as records
from gemma_backend.engine.broadcast import Broadcast
from gemma_backend.engine.explain import LogReader
from gemma_backend.engine.health import answers
from gemma_backend.engine.launch import KeepWarm, Launch
from gemma_backend.engine.readable import refuse_unreadable
from gemma_backend.engine.readiness import until_ready
from gemma_backend.engine.reap import Remains
from gemma_backend.engine.spawn import Tcp, start_keeper, start_lock
from gemma_backend.engine.tail import Tail
from gemma_backend.engine.waiting import STOP_SECONDS, first_of, next_line, settle
from gemma_backend.runtime import flags
from gemma_backend.types import (
    Endpoint,
    EngineError,
    EngineEvent,
    EngineFailed,
    EngineNote,
    EngineReady,
    EngineState,
    EngineStopped,
    EngineStopping,
    Failure,
    Phase,
    PhaseChanged,
)

if TYPE_CHECKING:
    from gemma_backend.config.profiles import Profile
    from gemma_backend.runtime.flags import Flags
    from gemma_backend.runtime.found import Runtime

LOOK_SECONDS = 0.1
REAP_SECONDS = 2.0
# So long an engine whose log says that it is lost may write the rest of its traceback. vLLM's server goes on for up to
# 5 s once it serves, and one that fails while it starts may hang instead of ending.
LAST_WORDS_SECONDS = 1.0
LAST_WORDS_OF_A_START_SECONDS = 10.0
LEASE_SECONDS = 5.0
WAKING = "waking up"
KILLED = 137


class Engine:
    """Owns one engine's state; everyone else reads `events()`.

    `address` None means a Unix socket in a folder closed to others. With `keep` the engine outlives this program, and
    `warm` says for how long. A running engine of the same profile and checkpoint is used instead of a second one where
    `reuse` is true and no address was asked for. `fitted` gives the profile as it is run here, and what was fitted in
    words; it is asked only where an engine is spawned. `remarks` tells, in a thread, what should be known of it.
    """

    def __init__(
        self,
        profile: Profile,
        runtime: Runtime,
        checkpoint: Path,
        *,
        address: Tcp | None = None,
        keep: bool = False,
        reuse: bool = True,
        warm: KeepWarm | None = None,
        fitted: Callable[[Profile], tuple[Profile, str]] | None = None,
        remarks: Callable[[Profile], Iterable[str]] | None = None,
    ) -> None:
        self.profile = profile
        self.runtime = runtime
        self.checkpoint = checkpoint
        self.state: EngineState = "stopped"
        self.endpoint: Endpoint | None = None
        self.failure: Failure | None = None
        self.pid: int | None = None
        self.log: Path | None = None
        self.reused = False
        self.left: list[str] = []
        self._address = address
        self._keep = keep
        self._fitted = fitted or (lambda profile: (profile, ""))
        self._remarks = remarks or (lambda profile: ())
        self._noted: set[str] = set()
        self._reuse = reuse and address is None
        self._warm = warm or KeepWarm()
        self._id = ""
        self._folder = Path()
        self._began = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self._writer: asyncio.StreamWriter | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._stopping = False
        self._lost = False
        self._last: dict[str, Any] = {}
        self._log_reader = LogReader()
        self._broadcast = Broadcast()
        self._gone, self._released, self._awake = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def start(self) -> None:
        """Start the engine, or join one that runs; returns once its process exists, long before it is ready.

        Raises EngineError where it cannot even be spawned.
        """
        if self.state not in ("stopped", "failed"):
            return
        await self._end()
        self._fresh()
        self.state = "starting"
        try:
            async with start_lock():
                await asyncio.to_thread(records.clean_stale, locked=True)
                found = await asyncio.to_thread(self._running) if self._reuse else None
                if found is None or not await self._join(found):
                    await self._spawn()
        except OSError as error:
            self.state = "failed"
            place = f" ({error.filename})" if error.filename else ""
            raise EngineError(
                f"The engine cannot be started: {error.strerror}{place}. See whether that place has room, and is yours."
            ) from error
        except BaseException as error:
            self.state = "failed" if isinstance(error, EngineError) else "stopped"
            raise
        self._tasks += [asyncio.create_task(self._follow()), asyncio.create_task(self._remark())]

    def events(self) -> AsyncIterator[EngineEvent]:
        """Everything from the start on (of log lines the latest thousands), until the engine has stopped or failed."""
        return self._broadcast.read()

    def history(self) -> tuple[EngineEvent, ...]:
        """What happened up to now."""
        return self._broadcast.history

    async def wait_ready(self) -> Endpoint:
        """The endpoint once `/health` answers; raises EngineError where the engine fails or is stopped before."""
        async for event in self.events():
            if isinstance(event, EngineReady):
                return event.endpoint
            if isinstance(event, EngineFailed):
                raise EngineError(event.failure.sentence(), event.failure)
        raise EngineError("The engine was stopped before it was ready.")

    async def stop(self, *, keep: bool | None = None) -> None:
        """Give the engine up: it ends, unless it was to be kept or another program uses it. Safe to call again.

        `keep` changes whether it was to be kept.

        Returns when no process, port, shared memory, socket or temporary file of it is left; what could not be removed
        stands in `left`.
        """
        if self._writer is None:
            return
        if not self._stopping:
            self._stopping = True
            if self.state not in ("failed", "stopped"):
                self.state = "stopping"
                self._broadcast.publish(EngineStopping())
            if keep is not None and not self.reused:
                await self._order({"do": "keep", "on": keep})
            await self._order({"do": "release"})
        await first_of(self._gone, self._released)
        await self._end()
        if self.state != "failed":
            self.state = "stopped"
            self._broadcast.publish(EngineStopped(self._last.get("code")))

    async def _end(self) -> None:
        if self._lost and not self._stopping:
            # Its keeper is still ending it; the memory that a new start needs is not free before.
            await first_of(self._gone)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        if not self._released.is_set() and not self._gone.is_set():
            await asyncio.to_thread(self._reap)
        if self._keeper is not None and self._gone.is_set():
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(self._keeper.wait, STOP_SECONDS)
            self._keeper = None

    def _fresh(self) -> None:
        self._gone, self._released, self._awake = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._awake.set()
        self._stopping, self._lost = False, False
        self._last = {}
        self._log_reader, self._broadcast = LogReader(), Broadcast()
        self._noted = set()
        self.failure, self.left = None, []
        self.endpoint, self.pid, self.reused = None, None, False

    def _running(self) -> records.Record | None:
        return records.find_record(self.profile, str(self.checkpoint))

    async def _join(self, found: records.Record) -> bool:
        """Use the engine that runs; False where it was just ending, and then it has gone on return."""
        try:
            reader, self._writer = await asyncio.open_unix_connection(str(found.keeper_socket))
        except OSError:
            return False
        self._id, self._folder, self.log = found.id, found.folder, found.log
        lease: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._tasks = [asyncio.create_task(self._listen(reader, lease))]
        await self._order({"do": "lease"})
        # The keeper answers within milliseconds, unless it is writing to a disk that hangs.
        await asyncio.wait([lease], timeout=LEASE_SECONDS)
        lost = lease.done() and lease.exception() is not None
        if lost or not lease.done() or not lease.result():
            if not lost:
                await first_of(self._gone)
            await self._end()
            self._fresh()
            return False
        self.reused, self.endpoint, self._began = True, found.endpoint, time.monotonic()
        self.pid = found.engine[0] if found.engine else None
        return True

    async def _spawn(self) -> None:
        profile, words = await asyncio.to_thread(self._fitted, self.profile)
        if words:
            self._broadcast.publish(PhaseChanged(Phase("memory planned", 0.0, 0.0, words)))
        await asyncio.to_thread(refuse_unreadable, self.checkpoint, self.runtime)
        known = await self._known_flags(profile)
        launch = Launch(profile, self.runtime, self.checkpoint, self._address, self._keep, self._warm, known)
        self._id, self._folder, self.log, self.endpoint = launch.id, launch.folder, launch.log, launch.endpoint
        ours, theirs = socket.socketpair()
        with theirs:
            self._began = time.monotonic()
            self._keeper = start_keeper(self._id, theirs)
        reader, self._writer = await asyncio.open_connection(sock=ours)
        spawned: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._tasks = [asyncio.create_task(self._listen(reader, spawned))]
        await self._order(launch.order())
        if not await spawned:
            raise EngineError("The engine ended before its process was there: try again.")

    async def _known_flags(self, profile: Profile) -> Flags | None:
        """The options of this vLLM: it is asked where the profile has one that not every release has."""
        known = await asyncio.to_thread(flags.known, self.runtime)
        if known is None and flags.unknown(profile.flags, None):
            asking = Phase("imports", 0.0, None, "asking this vLLM for its options, once")
            self._broadcast.publish(PhaseChanged(asking))
            known = await asyncio.to_thread(flags.read, self.runtime)
        return known

    async def _order(self, order: dict[str, Any]) -> None:
        if self._writer is None:
            return
        with contextlib.suppress(OSError):
            self._writer.write(json.dumps(order).encode() + b"\n")
            await self._writer.drain()

    async def _listen(self, reader: asyncio.StreamReader, begun: asyncio.Future[bool]) -> None:
        """Hear what the keeper says; its silence means that it was killed. `begun` gets its first answer."""
        while line := await next_line(reader):
            try:
                said = json.loads(line)
            except ValueError:
                # Cut off by the death of whoever wrote it.
                continue
            match said["event"]:
                case "spawned":
                    self.pid = said["pid"]
                    settle(begun, True)
                case "failed":
                    settle(begun, EngineError(f"The engine cannot be started: {said['error']}."))
                case "leased":
                    if said["asleep"]:
                        self._awake.clear()
                    settle(begun, True)
                case "awake":
                    self._awake.set()
                case "kept":
                    self._released.set()
                case "stopping":
                    settle(begun, False)
                case "stopped":
                    self._last, self.left = said, said["left"]
                    self._gone.set()
                    settle(begun, False)
                    return
        if not begun.done():
            begun.set_exception(EngineError("The engine's keeper process could not be started."))
            return
        self._last = {"code": None, "keeper": "killed"}
        await asyncio.to_thread(self._reap)
        self._gone.set()

    def _reap(self) -> None:
        for record in records.records():
            if record.id == self._id:
                # A dying process closes its sockets before it counts as dead.
                until = time.monotonic() + REAP_SECONDS
                while record.running and time.monotonic() < until:
                    time.sleep(0.01)
                if not record.running:
                    records.reap(record)

    async def _follow(self) -> None:
        """Read the log as it grows, until the engine is ready and for as long as it lives."""
        assert self.log is not None
        if not self.reused:
            if (before := await asyncio.to_thread(earlier.expected, self.profile.name)) is not None:
                self._broadcast.publish(before)
            self._broadcast.publish(self._log_reader.begin())
        elif not self._awake.is_set():
            self._broadcast.publish(PhaseChanged(Phase(WAKING, 0.0)))
        with contextlib.closing(Tail(self.log)) as tail:
            health = asyncio.create_task(self._await_health())
            doubt: float | None = None
            try:
                while not self._gone.is_set():
                    self._read(tail)
                    doubt = await self._doubted(doubt)
                    if self._lost:
                        break
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._gone.wait(), LOOK_SECONDS)
                self._read(tail)
            finally:
                health.cancel()
        if not self._stopping and self.state != "failed":
            self._failed()

    def _read(self, tail: Tail) -> None:
        at = None if self.reused else time.monotonic() - self._began
        for line in tail.lines():
            for event in self._log_reader.feed(line, at):
                if isinstance(event, EngineNote):
                    self._note(event.text)
                else:
                    self._broadcast.publish(event)

    async def _remark(self) -> None:
        """Tell what is known before vLLM says it, or does not."""
        for text in await asyncio.to_thread(lambda: tuple(self._remarks(self.profile))):
            self._note(text)

    def _note(self, text: str) -> None:
        # After its last event nothing more may come.
        if text not in self._noted and self.state in ("starting", "ready"):
            self._noted.add(text)
            self._broadcast.publish(EngineNote(text))

    async def _doubted(self, since: float | None) -> float | None:
        """When the log first said that the engine is lost; sets `_lost`, and has it ended, once that is certain."""
        if self._stopping or not self._log_reader.lost:
            return None
        now = time.monotonic()
        serving = self.state == "ready"
        if since is None or now - since < (LAST_WORDS_SECONDS if serving else LAST_WORDS_OF_A_START_SECONDS):
            return since if since is not None else now
        if serving and self.endpoint is not None and await answers(self.endpoint):
            # It was one request's trouble: /health is 503 where the engine core is gone.
            return now
        self._lost = True
        await self._order({"do": "stop"})
        return since

    async def _await_health(self) -> None:
        assert self.endpoint is not None
        await self._awake.wait()
        remains = Remains(self._id, str(self._folder), self.pid)
        await until_ready(self.endpoint, lambda: self._log_reader.serving, remains)
        if self.state == "starting":
            self.state = "ready"
            seconds = None if self.reused else round(time.monotonic() - self._began, 3)
            self._broadcast.publish(EngineReady(self.endpoint, self.profile.served_name, seconds))
            if seconds is not None:
                phases = tuple(self._log_reader.tracker.phases)
                await asyncio.to_thread(earlier.note, self.profile.name, self.runtime.version, phases, seconds)

    def _failed(self) -> None:
        if self._last.get("keeper") == "killed":
            failure = Failure(
                "The engine's keeper process was killed, so the engine was ended too.",
                "Start it again.",
                (),
                str(self.log),
            )
        elif self._last.get("asked") and not self._lost and not self._last.get("lost"):
            self.state = "stopped"
            self._broadcast.publish(EngineStopped(self._last.get("code")))
            return
        else:
            code = self._last.get("code")
            # A process that was found lost before it ended has no code of its own: we had it ended. An engine core that
            # went without a word was most likely killed.
            known = None if self._lost else KILLED if self._last.get("lost") else 1 if code is None else code
            found = self._log_reader.finish(exit_code=known).failure(str(self.log))
            ended = "was asked to end from outside" if code is None else f"ended with exit code {code}"
            failure = found or Failure(f"The engine {ended}.", "Start it again.", (), str(self.log))
        self.failure, self.state = failure, "failed"
        self._broadcast.publish(EngineFailed(failure))
