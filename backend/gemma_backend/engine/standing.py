"""How a running engine stands now, by its keeper's word, its own answer and its log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gemma_backend.engine.explain import LogReader
from gemma_backend.engine.health import healthy
from gemma_backend.engine.record import Record, ask
from gemma_backend.engine.tail import Tail

State = Literal["starting", "ready", "asleep", "stopping", "failing", "not answering"]
ANSWER_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Standing:
    """`detail` is a starting engine's phase; `leases` the programs that use it; `stops_in` seconds of idleness left."""

    state: State
    detail: str = ""
    leases: int = 0
    stops_in: float | None = None


def standing(record: Record) -> Standing:
    """Ask the keeper of `record` and its engine; takes a few seconds where they do not answer."""
    said = ask(record, {"do": "status"}, wait_for="status", seconds=ANSWER_SECONDS)
    leases = int(said.get("leases", 0))
    left = None
    if record.keep and not leases and said.get("stop_after_s"):
        left = max(0.0, float(said["stop_after_s"]) - float(said.get("idle_s", 0.0)))
    state, detail = _state(record, said)
    return Standing(state, detail, leases, left)


def _state(record: Record, said: dict[str, object]) -> tuple[State, str]:
    if said.get("ending"):
        return "stopping", ""
    if said.get("asleep"):
        return "asleep", ""
    if healthy(record.endpoint):
        return "ready", ""
    reader = LogReader()
    tail = Tail(record.log)
    for line in tail.lines():
        reader.feed(line)
    tail.close()
    if reader.lost:
        return "failing", reader.finish().cause or ""
    if reader.ready:
        return "not answering", ""
    phase = reader.tracker.current
    return "starting", f"{phase.name} {phase.detail}".strip() if phase is not None else ""
