"""One vLLM process as an object: started under a keeper, followed through its log, stopped without a trace."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gemma_assets import path as asset
from gemma_backend.checkpoint.locate import has_chat_template
from gemma_backend.config.paths import cache_dir, ensure
from gemma_backend.engine import record as records
from gemma_backend.engine.broadcast import Broadcast
from gemma_backend.engine.command import EngineCommand, build, caches_of, has_socket
from gemma_backend.engine.container import folders_of, name_of, prepare
from gemma_backend.engine.explain import LogReader
from gemma_backend.engine.health import answers
from gemma_backend.engine.spawn import (
    Tcp,
    check_port,
    enter,
    free_port,
    inherited_environment,
    new_log,
    start_keeper,
    start_lock,
    write_secret,
)
from gemma_backend.engine.tail import Tail
from gemma_backend.runtime.plugin import plugin_names, write_plugin_folder
from gemma_backend.types import (
    Endpoint,
    EngineError,
    EngineEvent,
    EngineFailed,
    EngineReady,
    EngineState,
    EngineStopped,
    EngineStopping,
    Failure,
)

if TYPE_CHECKING:
    from gemma_backend.config.profiles import Profile
    from gemma_backend.runtime.found import Runtime

LOOK_SECONDS = 0.1
HEALTH_SECONDS = 0.1
# TERM and its wait take 5 s, KILL and the resource trackers seldom another 2 s.
STOP_SECONDS = 30.0
REAP_SECONDS = 2.0


class Engine:
    """Owns one engine's state; everyone else reads `events()`.

    `address` None means a Unix socket in a folder closed to others. With `keep` the engine outlives this program. A
    running engine of the same profile and checkpoint is used instead of a second one where `reuse` is true and no
    address was asked for.
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
        self._reuse = reuse and address is None
        self._id = ""
        self._folder = Path()
        self._began = 0.0
        self._broadcast = Broadcast()
        self._log_reader = LogReader()
        self._tasks: list[asyncio.Task[None]] = []
        self._writer: asyncio.StreamWriter | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._gone = asyncio.Event()
        self._released = asyncio.Event()
        self._stopping = False
        self._last: dict[str, Any] = {}

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
            with await asyncio.to_thread(enter, start_lock()):
                await asyncio.to_thread(records.clean_stale)
                found = await asyncio.to_thread(self._running) if self._reuse else None
                await (self._join(found) if found is not None else self._spawn())
        except BaseException as error:
            self.state = "failed" if isinstance(error, EngineError) else "stopped"
            raise
        self._tasks.append(asyncio.create_task(self._follow()))

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
        done = [asyncio.ensure_future(one.wait()) for one in (self._gone, self._released)]
        await asyncio.wait(done, timeout=STOP_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            one.cancel()
        await self._end()
        if self.state != "failed":
            self.state = "stopped"
            self._broadcast.publish(EngineStopped(self._last.get("code")))

    async def _end(self) -> None:
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
        self._gone, self._released, self._stopping, self._last = asyncio.Event(), asyncio.Event(), False, {}
        self._log_reader, self._broadcast, self.failure, self.left = LogReader(), Broadcast(), None, []
        self.endpoint, self.pid, self.reused = None, None, False

    def _running(self) -> records.Record | None:
        return records.find_record(self.profile, str(self.checkpoint))

    async def _join(self, found: records.Record) -> None:
        self.reused = True
        self._id, self._folder, self.log = found.id, found.folder, found.log
        self.endpoint, self._began = found.endpoint, time.monotonic()
        self.pid = found.engine[0] if found.engine else None
        try:
            reader, self._writer = await asyncio.open_unix_connection(str(found.keeper_socket))
        except OSError:
            raise EngineError("The running engine ended just now: start it again.") from None
        await self._order({"do": "lease"})
        self._tasks = [asyncio.create_task(self._listen(reader))]

    async def _spawn(self) -> None:
        self._id = secrets.token_hex(4)
        if self._address is not None:
            check_port(self._address)
        self._folder = records.new_folder(self._id)
        (self._folder / "tmp").mkdir(mode=0o700)
        self.log = new_log(self.profile.name, self._id)
        try:
            command = self._command()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        ours, theirs = socket.socketpair()
        with theirs:
            self._began = time.monotonic()
            self._keeper = start_keeper(self._id, theirs)
        reader, self._writer = await asyncio.open_connection(sock=ours)
        spawned: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks = [asyncio.create_task(self._listen(reader, spawned))]
        await self._order(self._spec(command))
        await spawned

    def _command(self) -> EngineCommand:
        key: str | None
        where: dict[str, Any]
        if self._address is None and has_socket(self.runtime.version):
            path = self._folder / "api.sock"
            where, key = {"socket": path}, None
            self.endpoint = Endpoint("http://localhost", str(path))
        else:
            address = self._address or Tcp(port=free_port(), key=secrets.token_urlsafe(32))
            where, key = {"host": address.host, "port": address.port}, address.key
            host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(address.host, address.host)
            self.endpoint = Endpoint(f"http://{f'[{host}]' if ':' in host else host}:{address.port}", None, key)
        if key is not None:
            write_secret(self._folder / "key", key)
        image = self.runtime.image
        plugin = write_plugin_folder()
        template = None if has_chat_template(self.checkpoint) else asset("templates", "transcript.jinja")
        caches = ensure(cache_dir() / "engine" / caches_of(self.runtime))
        command = build(
            self.profile,
            self.runtime,
            self.checkpoint,
            **where,
            key=key,
            folder=self._folder,
            plugin=plugin,
            plugin_names=plugin_names(),
            chat_template=template,
            caches=caches,
            inherited=os.environ if image is None else dict(image.environment),
        )
        if image is None:
            return command
        read = (*folders_of(self.checkpoint), plugin, *([template] if template is not None else []))
        return prepare(command, self.runtime, self.profile.container, self._id, self._folder, caches, read)

    def _spec(self, command: EngineCommand) -> dict[str, Any]:
        assert self.endpoint is not None
        return {
            "id": self._id,
            "argv": list(command.argv),
            "env": inherited_environment() | command.env,
            "folder": str(self._folder),
            "log": str(self.log),
            "record_path": str(records.folder() / f"{self._id}.json"),
            "record": {
                "profile": self.profile.name,
                "model": self.profile.served_name,
                "checkpoint": str(self.checkpoint),
                "version": self.runtime.version,
                "runtime": str(self.runtime.path),
                "container": self._container(),
                "base_url": self.endpoint.base_url,
                "socket": self.endpoint.socket,
                "since": time.time(),
            },
            "keep": self._keep,
            "container": self._container(),
        }

    def _container(self) -> list[str] | None:
        image = self.runtime.image
        return [image.tool, name_of(self._id)] if image is not None else None

    async def _order(self, order: dict[str, Any]) -> None:
        if self._writer is None:
            return
        with contextlib.suppress(OSError):
            self._writer.write(json.dumps(order).encode() + b"\n")
            await self._writer.drain()

    async def _listen(self, reader: asyncio.StreamReader, spawned: asyncio.Future[None] | None = None) -> None:
        """Hear what the keeper says; its silence means that it was killed."""
        while line := await _line(reader):
            said = json.loads(line)
            match said["event"]:
                case "spawned":
                    self.pid = said["pid"]
                    if spawned is not None and not spawned.done():
                        spawned.set_result(None)
                case "failed":
                    if spawned is not None and not spawned.done():
                        spawned.set_exception(EngineError(f"The engine cannot be started: {said['error']}."))
                case "kept":
                    self._released.set()
                case "stopped":
                    self._last, self.left = said, said["left"]
                    self._gone.set()
                    return
        if spawned is not None and not spawned.done():
            spawned.set_exception(EngineError("The engine's keeper process could not be started."))
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
            self._broadcast.publish(self._log_reader.begin())
        with contextlib.closing(Tail(self.log)) as tail:
            health = asyncio.create_task(self._await_health())
            try:
                while not self._gone.is_set():
                    self._read(tail)
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
                self._broadcast.publish(event)

    async def _await_health(self) -> None:
        assert self.endpoint is not None
        while True:
            # On TCP somebody else's server might answer until ours has the port, so its own word is waited for.
            ours = self.endpoint.socket is not None or self._log_reader.serving
            if ours and await answers(self.endpoint):
                break
            await asyncio.sleep(HEALTH_SECONDS)
        if self.state == "starting":
            self.state = "ready"
            seconds = None if self.reused else round(time.monotonic() - self._began, 3)
            self._broadcast.publish(EngineReady(self.endpoint, self.profile.served_name, seconds))

    def _failed(self) -> None:
        if self._last.get("keeper") == "killed":
            failure = Failure(
                "The engine's keeper process was killed, so the engine was ended too.",
                "Start it again.",
                (),
                str(self.log),
            )
        elif self._last.get("asked"):
            self.state = "stopped"
            self._broadcast.publish(EngineStopped(self._last.get("code")))
            return
        else:
            code = self._last.get("code")
            found = self._log_reader.finish(exit_code=code if code is not None else 1).failure(str(self.log))
            failure = found or Failure(f"The engine ended with exit code {code}.", "", (), str(self.log))
        self.failure, self.state = failure, "failed"
        self._broadcast.publish(EngineFailed(failure))


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except (OSError, ValueError):
        return b""
