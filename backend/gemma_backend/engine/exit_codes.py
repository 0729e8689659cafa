"""What an engine's exit code says where its log says nothing; as a shell has it (128 and a signal) or negative."""

from __future__ import annotations

import re
import signal

from gemma_backend.engine.cause import filled
from gemma_backend.engine.causes import BY_NAME

CORE_DIED = (
    "The engine core died while it was serving.",
    "It was most likely killed for its memory; start it again and watch the host's and the GPU's memory.",
)
_CRASHES = (signal.SIGILL, signal.SIGABRT, signal.SIGFPE, signal.SIGSEGV, signal.SIGTRAP, signal.SIGSYS)


def by_exit_code(code: int, *, dead: bool) -> tuple[str, str] | None:
    """Sentence and advice for `code`, None for a plain one; `dead`: the log told of the engine core's death."""
    number = -code if code < 0 else code - 128 if 128 < code < 193 else 0
    if number == signal.SIGKILL:
        return BY_NAME["killed"].sentence, BY_NAME["killed"].advice
    if number == signal.SIGBUS:
        return BY_NAME["shared-memory"].sentence, BY_NAME["shared-memory"].advice
    if number in _CRASHES:
        match = re.match(r"(?P<signal>.*)", f"signal {number}, {signal.Signals(number).name}")
        assert match is not None
        return filled(BY_NAME["crashed"], match)
    if number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        return (
            f"The engine was asked to end from outside ({signal.Signals(number).name}).",
            "Start it again; if nobody did that, look for a service that ends programs, such as a job's time limit.",
        )
    if number:
        return f"The engine was ended by signal {number}.", "Start it again and read the end of the log."
    if code == 0:
        first = CORE_DIED[0].rstrip(".") + ", and the server then ended" if dead else "The engine ended by itself"
        return (
            f"{first} (exit code 0) though nobody stopped it.",
            CORE_DIED[1]
            if dead
            else "vLLM ends this way when its engine core dies; start it again and read the end of the log.",
        )
    if code in (126, 127):
        return (
            f"The engine's program could not be run (exit code {code}).",
            "Repair the runtime: `gemma-tui engine install`.",
        )
    return None
