"""Records of running engines on disk: found again by later commands, and cleaned up after a crash."""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gemma_backend.config.formats import RECORD, bring_up, current, refuse_newer
from gemma_backend.config.paths import FolderError, ensure, state_dir
from gemma_backend.engine.container_life import Container, remove_stray
from gemma_backend.engine.health import PROBE_SECONDS, healthy
from gemma_backend.engine.place import home, runtime_root
from gemma_backend.engine.proc import alive, belongs, boot_id, everyone, look, send
from gemma_backend.engine.reap import Remains, end, sweep
from gemma_backend.types import Endpoint, EngineError

if TYPE_CHECKING:
    from gemma_backend.config.profiles import Profile


@dataclass(frozen=True, slots=True)
class Record:
    """One engine as its keeper wrote it down; `keeper` and `engine` are pid and start time.

    `runtime` is the folder of the runtime that it runs from, `container` the tool and the name of its container.
    """

    id: str
    path: Path
    profile: str
    model: str
    checkpoint: str
    version: str
    base_url: str
    socket: str | None
    folder: Path
    log: Path
    boot: str
    keeper: tuple[int, int]
    engine: tuple[int, int] | None
    keep: bool
    since: float
    shm: tuple[str, ...]
    runtime: str = ""
    container: tuple[str, str] | None = None
    cgroup: str | None = None

    @property
    def running(self) -> bool:
        """Whether its keeper, the very process, still runs."""
        return self.boot == boot_id() and alive(*self.keeper)

    @property
    def endpoint(self) -> Endpoint:
        """Where it answers; the key is read from the engine's folder."""
        key = None
        with contextlib.suppress(OSError):
            key = (self.folder / "key").read_text(encoding="ascii").strip() or None
        return Endpoint(self.base_url, self.socket, key)

    @property
    def keeper_socket(self) -> Path:
        """Where the keeper takes orders."""
        return self.folder / "keeper.sock"


def folder() -> Path:
    """Where the records lie; FolderError where that folder cannot be made."""
    return ensure(_place())


def _place() -> Path:
    return state_dir() / "engines"


def records() -> list[Record]:
    """Every record that can be read, oldest first; those of older versions are brought to the newest form."""
    found = []
    for path in sorted(_place().glob("*.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, IndexError, EngineError):
            found.append(_read(path))
    return sorted(found, key=lambda record: record.since)


def newer_record() -> EngineError | None:
    """What to say where an engine was recorded by a newer version, whose processes and files nobody here knows."""
    for path in sorted(_place().glob("*.json")):
        with contextlib.suppress(OSError, ValueError):
            data = json.loads(path.read_text(encoding="utf-8"))
            try:
                refuse_newer(RECORD, data if isinstance(data, dict) else {}, path)
            except EngineError as error:
                return error
    return None


def _read(path: Path) -> Record:
    text = path.read_text(encoding="utf-8")
    newest, data = current(RECORD, path, text)
    record = _record(path, data)
    if newest != text:
        bring_up(RECORD, path)
    return record


def _record(path: Path, data: dict[str, Any]) -> Record:
    engine, container = data.get("engine"), data.get("container")
    return Record(
        id=str(data["id"]),
        path=path,
        profile=str(data["profile"]),
        model=str(data["model"]),
        checkpoint=str(data["checkpoint"]),
        version=str(data.get("version", "")),
        base_url=str(data["base_url"]),
        socket=data.get("socket"),
        folder=Path(data["folder"]),
        log=Path(data["log"]),
        boot=str(data["boot"]),
        keeper=(int(data["keeper"][0]), int(data["keeper"][1])),
        engine=(int(engine[0]), int(engine[1])) if engine else None,
        keep=bool(data.get("keep")),
        since=float(data.get("since", 0.0)),
        shm=tuple(str(name) for name in data.get("shm", [])),
        runtime=str(data.get("runtime", "")),
        container=(str(container[0]), str(container[1])) if container else None,
        cgroup=data.get("cgroup"),
    )


def find_record(profile: Profile, checkpoint: str | None = None) -> Record | None:
    """The running engine of `profile` (and of `checkpoint`, a path, where it is given), ready or not."""
    for record in reversed(records()):
        same = record.profile == profile.name and record.model == profile.served_name
        if same and (checkpoint is None or record.checkpoint == checkpoint) and record.running:
            return record
    return None


def find_running(profile: Profile) -> Endpoint | None:
    """The endpoint of a ready engine of `profile`; what dead ones left is removed on the way."""
    clean_stale()
    record = find_record(profile)
    return record.endpoint if record is not None and healthy(record.endpoint) else None


def clean_stale(*, locked: bool = False) -> list[str]:
    """End and remove what engines left whose keeper died; returns a sentence for each.

    `locked` says that the caller holds the lock of starts. EngineError where an engine is of a newer version: then
    nothing is touched.
    """
    if (newer := newer_record()) is not None:
        raise newer
    try:
        folder()
    except FolderError:
        # Where no folder can be made no engine was recorded, and whoever starts one is told.
        return []
    for copy in folder().glob("*.json.v*.bak"):
        if not copy.with_name(copy.name.partition(".json")[0] + ".json").exists():
            copy.unlink(missing_ok=True)
    said = [reap(record) for record in records() if not record.running]
    said += remove_stray(container_notes(), home(), _living)
    if locked:
        return said + _remove_orphans()
    with (folder() / "lock").open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            # An engine is being started: its folder has no record yet.
            return said
        return said + _remove_orphans()


def _living() -> set[str]:
    """Ids of engines whose keeper lives; on a full disk one may have no record, but it listens."""
    found = {record.id for record in records() if record.running}
    with contextlib.suppress(OSError, EngineError):
        found |= {path.name for path in runtime_root().iterdir() if _listens(path / "keeper.sock")}
    return found


def container_notes() -> Path:
    """Where the tools stand that containers were started with."""
    return folder() / "container-tools"


def reap(record: Record, grace: float = 1.0) -> str:
    """End whatever is left of an engine whose keeper is gone, and remove its files; returns what was done."""
    count, left = reaped(record, grace)
    what = f"{count} process{'' if count == 1 else 'es'} and its files" if count else "its files"
    text = f"Removed what an engine of profile {record.profile} had left after a crash: {what}."
    return f"{text} Could not remove {', '.join(left)}." if left else text


def reaped(record: Record, grace: float = 1.0) -> tuple[int, list[str]]:
    """The same; returns how many processes there were, and what could not be removed."""
    this_boot = record.boot == boot_id()
    gone = record.container is None or Container(*record.container).end(grace)
    root = record.engine[0] if record.engine and this_boot and alive(*record.engine) else None
    # Without its leader a session's number may by now stand for somebody else's: then the other marks must do.
    remains = Remains(record.id, str(record.folder), session=root)
    if this_boot:
        remains.shm, remains.cgroup = set(record.shm), record.cgroup
    count = len(remains.pids()) if this_boot else 0
    if count:
        end(remains, root, grace)
    left = sweep(remains) + ([] if gone else [f"container {record.container[1] if record.container else ''}"])
    for path in (record.path, record.path.with_name(f".{record.path.name}.new")):
        with contextlib.suppress(OSError):
            path.unlink()
    return count, left


def _remove_orphans() -> list[str]:
    """Remove folders without a record: what is left of a program or keeper that was killed at the very start."""
    said = []
    known = {record.folder for record in records()}
    root = runtime_root()
    for path in root.iterdir():
        with contextlib.suppress(OSError):
            if path in known or _listens(path / "keeper.sock"):
                continue
            remains = Remains(path.name, str(path))
            if any(belongs(process, path.name, str(path), None) for process in everyone()):
                end(remains, None, 0.0)
            shutil.rmtree(path, ignore_errors=True)
            said.append("Removed what an engine had left that was killed at its very start.")
    for path in folder().glob("*.json"):
        with contextlib.suppress(OSError):
            if not _holds_json(path):
                # What a disk that failed left of a record says nothing to anybody.
                path.unlink()
    with contextlib.suppress(OSError):
        root.rmdir()
    return said


def _holds_json(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_text(encoding="utf-8")), dict)
    except ValueError:
        return False


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_SECONDS)
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:
            return True
        return True


def ask(record: Record, order: dict[str, Any], *, wait_for: str | None = None, seconds: float = 30.0) -> dict[str, Any]:
    """Send one order to the keeper of `record`; returns the event called `wait_for`, {} where none came."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        try:
            connection.connect(str(record.keeper_socket))
            connection.sendall(json.dumps(order).encode() + b"\n")
            with connection.makefile("rb") as lines:
                for line in lines if wait_for else ():
                    said: dict[str, Any] = json.loads(line)
                    if said.get("event") == wait_for:
                        return said
        except (OSError, ValueError):
            pass
    return {}


def stop(record: Record) -> list[str]:
    """Stop a running engine and wait until nothing of it is left; returns what could not be removed."""
    said = ask(record, {"do": "stop"}, wait_for="stopped")
    if said:
        return [str(one) for one in said.get("left", [])]
    keeper = look(record.keeper[0])
    if keeper is not None and keeper.start == record.keeper[1] and record.boot == boot_id():
        send(keeper, signal.SIGKILL)
    return reaped(record)[1]
