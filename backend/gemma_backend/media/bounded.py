"""Programs run for their output, with a limit on bytes and seconds."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence


class BoundedError(Exception):
    """The program could not be started, failed, or gave more than was allowed; `why` is `missing`, `failed`, `slow` or
    `large`, and `said` what it wrote on standard error."""

    def __init__(self, why: str, said: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.said = said


def output_of(words: Sequence[str], *, limit: int, seconds: float) -> bytes:
    """Return what the program writes on standard output; raises BoundedError. It is ended where it exceeds a limit."""
    try:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
    except OSError:
        raise BoundedError("missing") from None
    assert process.stdout is not None and process.stderr is not None
    end = time.monotonic() + seconds
    taken: dict[int, bytearray] = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    out, err = taken.values()
    try:
        with selectors.DefaultSelector() as selector:
            for stream in taken:
                selector.register(stream, selectors.EVENT_READ)
            while selector.get_map():
                if not (ready := selector.select(max(0.0, end - time.monotonic()))):
                    raise BoundedError("slow")
                for key, _ in ready:
                    piece = os.read(key.fd, 1 << 16)
                    if not piece:
                        selector.unregister(key.fd)
                    elif len(out) + len(piece) > limit:
                        raise BoundedError("large")
                    elif len(taken[key.fd]) < limit:
                        taken[key.fd] += piece
        code = process.wait(max(0.1, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise BoundedError("slow") from None
    finally:
        if process.poll() is None:
            _kill(process)
            process.wait()
        process.stdout.close()
        process.stderr.close()
    if code != 0:
        raise BoundedError("failed", bytes(err[:2000]).decode("utf-8", "replace").strip())
    return bytes(out)


def _kill(process: subprocess.Popen[bytes]) -> None:
    # It leads a session of its own, so that what it has started ends with it.
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
