"""What an engine needs before its process exists: an address, a log, a lock, an environment and a keeper."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gemma_backend.config.paths import ensure, log_dir
from gemma_backend.engine import record as records
from gemma_backend.types import EngineError

LOGS_KEPT = 10
LOCK_SECONDS = 0.05
# Ours and other servers' keys, and a switch that writes replies into the log, are none of the engine's business.
WITHHELD = ("OPENAI_API_KEY", "VLLM_API_KEY", "VLLM_DEBUG_LOG_API_SERVER_RESPONSE", "PYTHONHOME", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True)
class Tcp:
    """Listen on a TCP port instead of a socket; `key` None means that anyone who can connect may ask."""

    host: str = "127.0.0.1"
    port: int = 8000
    key: str | None = None


def inherited_environment() -> dict[str, str]:
    """This process's environment without what an engine must not get."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in WITHHELD and not name.startswith(("GEMMA_TUI_", "PYTHONPATH"))
    }


@contextlib.asynccontextmanager
async def start_lock() -> AsyncIterator[None]:
    """Held while an engine is looked for and spawned, so that two programs that start together share one.

    The wait for it can be cancelled: another program may hold it for long, or have been halted.
    """
    with (records.folder() / "lock").open("wb") as file:
        while not _locked(file):  # noqa: ASYNC110 - the lock is the system's, which tells nobody
            await asyncio.sleep(LOCK_SECONDS)
        yield


def _locked(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def start_keeper(engine_id: str, channel: socket.socket) -> subprocess.Popen[bytes]:
    """Start the keeper process with `channel` as its owner's connection; it waits there for its order."""
    root = str(Path(__file__).parents[2])
    env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-s", "-P", "-m", "gemma_backend.engine.keeper", engine_id],
        stdin=channel.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
        env=env | {"PYTHONPATH": root},
    )


def check_port(address: Tcp) -> None:
    """Raise EngineError where the port cannot be had; vLLM itself may find out only at the very end of its start."""
    try:
        infos = socket.getaddrinfo(address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, target = infos[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(target)
            probe.listen(1)
    except PermissionError:
        raise EngineError(f"This user may not listen on port {address.port}: choose one above 1023.") from None
    except (OSError, OverflowError) as error:
        if isinstance(error, socket.gaierror) or getattr(error, "errno", 0) == 99:
            raise EngineError(f"{address.host} is no address of this computer: use 127.0.0.1.") from None
        raise EngineError(
            f"Port {address.port} on {address.host} is already in use: stop the program that has it, or choose another "
            "with --port."
        ) from None


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def new_log(profile: str, engine_id: str) -> Path:
    """Path for the log of a start that begins now; all but the latest logs are removed."""
    folder = ensure(log_dir() / "engine")
    old = sorted(folder.glob("*.log"))
    for path in old[: max(0, len(old) - LOGS_KEPT + 1)]:
        for one in (path, path.with_name(path.name + ".1")):
            one.unlink(missing_ok=True)
    return folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{profile}-{engine_id}.log"


def write_secret(path: Path, text: str) -> None:
    """Write `text` to a new file that only its owner can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
