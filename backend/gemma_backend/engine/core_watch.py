"""Whether a server goes on without its engine core, which vLLM may notice late or, while it starts, never.

Standard library only, because the keeper imports it.
"""

from __future__ import annotations

from pathlib import Path

from gemma_backend.engine.proc import Process, look

# What the core calls itself once it has imported what it needs, and as what it is spawned before
# (vllm/v1/engine/core.py, multiprocessing/spawn.py).
TITLE = b"VLLM::EngineCore"
SPAWNED = b"multiprocessing.spawn import spawn_main"
# So long the server may take to notice by itself and to say why.
PATIENCE_SECONDS = 1.5


class CoreWatch:
    """Looks at the children of one server; `lost()` is asked a few times a second."""

    def __init__(self) -> None:
        self._cores: dict[int, Process] = {}
        self._spawned: dict[int, Process] = {}
        self._gone: float | None = None

    def lost(self, server: int, now: float) -> bool:
        """Whether an engine core of `server` ended, and the server still runs a while after that; `now` in seconds."""
        for pid in _children(server):
            if pid not in self._cores and (found := look(pid)) is not None:
                line = _command(pid)
                if line.startswith(TITLE):
                    self._cores[pid] = found
                elif SPAWNED in line:
                    self._spawned[pid] = found
        if look(server) is None or not (any(map(_ended, self._cores.values())) or any(map(_killed, self._spawned))):
            self._gone = None
            return False
        if self._gone is None:
            self._gone = now
        return now - self._gone >= PATIENCE_SECONDS


def _ended(core: Process) -> bool:
    found = look(core.pid)
    return found is None or found.start != core.start


def _killed(pid: int) -> bool:
    """Whether a child that has no title yet ended badly: other children than the core may end in good order."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    # State and exit code, fields 3 and 52 (proc(5)); the server has not collected the code, for it did not notice.
    fields = text[text.rfind(")") + 2 :].split()
    return len(fields) > 49 and fields[0] == "Z" and fields[49] != "0"


def _children(pid: int) -> list[int]:
    """Children that the main thread of `pid` started; [] where this system does not tell."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]
    except (OSError, ValueError):
        return []


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:
        return b""
