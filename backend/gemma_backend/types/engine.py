"""States of one vLLM process and the events that lead from one to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gemma_backend.types.endpoint import Endpoint

EngineState = Literal["stopped", "starting", "ready", "stopping", "failed"]
START_PHASES = (
    "imports", "config", "engine core", "weights", "weights loaded", "compile", "kv cache", "graphs", "warm-up",
    "server", "ready",
)  # fmt: skip
"""The phases of a start, in the order in which they come; not every start has all of them."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One stage of a start: `start_s` counts from the first sign of life, `seconds` is None while it lasts."""

    name: str
    start_s: float
    seconds: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an engine failed, what a person can do next, and the log lines that show it."""

    cause: str
    advice: str
    excerpt: tuple[str, ...] = ()
    log_path: str | None = None

    def sentence(self) -> str:
        """Cause, advice and the log's path as one paragraph for a person."""
        text = f"{self.cause} {self.advice}".strip()
        return f"{text} The whole log: {self.log_path}" if self.log_path else text


@dataclass(frozen=True, slots=True)
class PhaseChanged:
    """A start went on to another phase, or the current one has a new detail."""

    phase: Phase


@dataclass(frozen=True, slots=True)
class EarlierPhase:
    """A phase of earlier starts: how long it lasted, and how long it then took until the engine was ready (s)."""

    name: str
    seconds: float
    after: float


@dataclass(frozen=True, slots=True)
class EarlierStarts:
    """What earlier starts of the same profile took on this machine: medians in seconds over `count` of them."""

    count: int
    total: float
    phases: tuple[EarlierPhase, ...] = ()

    def left(self, phase: Phase | None, elapsed: float) -> float:
        """Seconds that a start probably still takes which began `elapsed` seconds ago and is in `phase`.

        A phase that takes longer than ever before holds the estimate up, it does not use up the time of later ones.
        """
        known = next((one for one in self.phases if phase is not None and one.name == phase.name), None)
        if phase is None or known is None:
            return max(0.0, self.total - elapsed)
        return max(0.0, known.seconds - (elapsed - phase.start_s)) + known.after


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that the engine wrote, as it came (not yet cleaned for a screen)."""

    text: str


@dataclass(frozen=True, slots=True)
class EngineNote:
    """A sentence on what vLLM does without a word, or says in words that look worse than what they mean."""

    text: str


@dataclass(frozen=True, slots=True)
class EngineReady:
    """`/health` answered 200; `seconds` from spawn, None where a running engine was re-used."""

    endpoint: Endpoint
    model: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class EngineStopping:
    """The process tree was asked to end."""


@dataclass(frozen=True, slots=True)
class EngineStopped:
    """No process of the engine is left."""

    code: int | None = None


@dataclass(frozen=True, slots=True)
class EngineFailed:
    """The engine could not start, or ended though nobody stopped it."""

    failure: Failure


EngineEvent = (
    EarlierStarts | PhaseChanged | LogLine | EngineNote | EngineReady | EngineStopping | EngineStopped | EngineFailed
)
