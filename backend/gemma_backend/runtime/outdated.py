"""Whether a managed runtime is still what its lock says; one that is not goes on working until a person updates it."""

from __future__ import annotations

from gemma_backend.runtime import find, locks
from gemma_backend.runtime.found import Runtime
from gemma_backend.types import EngineError


def outdated(runtime: Runtime) -> str | None:
    """What to say of a managed runtime whose lock is another by now, with the command that updates it; else None.

    None also where this program has no lock of it any more, or it is not known what it was made from.
    """
    if runtime.kind != "managed":
        return None
    version = runtime.name.partition("-")[2]
    try:
        wanted = version or locks.newest(runtime.device)
        shipped = [
            locks.load(runtime.device, python, version=wanted)
            for python in locks.pythons(runtime.device, version=wanted)
        ]
        made_from = find.read_mark(runtime.path).get("lock")
    except EngineError:
        return None
    if not shipped or made_from is None or made_from in (lock.digest for lock in shipped):
        return None
    now = shipped[-1].main.version
    what = "ModelOpt" if runtime.device == "quantize" else "vLLM"
    change = (
        f"{what} {runtime.version}, by now {now}" if now != runtime.version else f"{what} {now} with other packages"
    )
    command = f"gemma-tui engine install --runtime {runtime.device}" + (f" --version {version}" if version else "")
    return f"The {runtime.name} runtime is of an earlier lock ({change}) and goes on working. Update it with: {command}"
