"""What a vLLM log says: the phases of the start with their times and, where it failed, the cause in one sentence."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, replace

from gemma_backend.engine.cause import Cause, filled
from gemma_backend.engine.causes import BY_NAME, CAUSES
from gemma_backend.engine.exit_codes import CORE_DIED, by_exit_code
from gemma_backend.engine.lines import Line, later, parse, pieces
from gemma_backend.engine.notes import of_line
from gemma_backend.engine.phases import READY, SERVER, VERSION, PhaseTracker
from gemma_backend.engine.tracebacks import BARE, START, STOPPED, WRAPPERS, Raised, Tracebacks, chains, root, unknown
from gemma_backend.types import EngineEvent, EngineNote, Failure, LogLine, Phase, PhaseChanged

# The engine is lost when one of these is logged, whatever else goes on in other processes.
FATAL = re.compile(
    r"EngineCore failed to start|WorkerProc failed to start|EngineCore encountered a fatal error"
    r"|Engine core proc \S+ died unexpectedly|Worker proc \S+ died unexpectedly"
    r"|(?:RuntimeError: )?Engine core initialization failed|\[shutdown\] MPClient: engine core exited unexpectedly"
    r"|(?:RuntimeError: )?Frontend process failed during"
    r"|(?:[\w. -]{1,60}: )?error: (?:unrecognized arguments|argument |ambiguous option|the following arguments are)"
    r"|(?:bash: line \d+: +\d+ )?Killed\b|OOMKilled"
    r"|Fatal Python error: |Segmentation fault|Illegal instruction|Bus error|!!!!!!! \w+ encountered"
    r"|ERROR:\s+\[Errno \d+\]|ERROR:\s+Application startup failed"
    r"|(?:\S+: )?No module named '?vllm|(?:\S+: )+vllm: (?:command )?not found"
    r"|exec [^\n:]{1,200}: exec format error|docker: Error response from daemon|nvidia-container-cli: "
)
EXITED = re.compile(r".*exited with (?:code|status) (?:137|139|1)\b")
STOPPING = re.compile(
    r"\[shutdown\] (?:API server: shutdown triggered|EngineCore: trigger received signal=SIG(?:TERM|INT))"
    r"|INFO:\s+Shutting down$|Received KeyboardInterrupt|Shutting down FastAPI HTTP server"
    r"|Gracefully stopping http server|\[shutdown\] API server: shutting down FastAPI"
)
# Also what requests are told when the engine is stopped under them: it counts only before any word of a shutdown.
DEAD = re.compile(r".*\bEngineDeadError\b")
CLOSING = re.compile(r"\[shutdown\] (?!MPClient: engine core exited)")
# Logged before a start, once: whatever stands behind belongs to a new process in the same file.
BANNER = re.compile(r"non-default args: |vLLM API server version ")
# One look for nearly all lines of a log, which are none of these.
NOTABLE = re.compile("|".join(f"(?:{one.pattern})" for one in (FATAL, STOPPING, CLOSING, BANNER)))
# What wrappers tell of the fault itself: the signal that ended a process, or the words of its exception.
TELLING = re.compile(r"-(?:4|6|7|8|9|11)\b|Worker failed with error '(?!')")
TAIL = 60
EXCERPT = 14
DEFAULT_PORT = "8000"
DIED = re.compile(r"EngineDeadError|died|exited unexpectedly|fatal error")
_SEARCH = "Look for it in vLLM's issues."
_READ_END = "Read the end of the log."
IN_USE = re.compile(r"\[Errno (?:98|48)\]|[Aa]ddress already in use")


@dataclass(frozen=True, slots=True)
class Explanation:
    """What became of a start; `cause` is None unless it failed, times are seconds from the first line."""

    phases: tuple[Phase, ...]
    ready: bool
    cause: str | None
    advice: str | None
    excerpt: tuple[str, ...]
    vllm_version: str | None

    def failure(self, log_path: str | None = None) -> Failure | None:
        """The same as data for an event; None where nothing failed."""
        if self.cause is None:
            return None
        return Failure(self.cause, self.advice or "", self.excerpt, log_path)


def explain(text: str, *, exit_code: int | None = None, stopped: bool = False) -> Explanation:
    """Read a whole log, or a part of one.

    `exit_code` is that of the server's process where it is known (negative: the signal's number), `stopped` whether it
    was asked to end.
    """
    reader = LogReader()
    # Row by row, so that an escape sequence without an end hides no more than its row.
    for row in text.split("\n"):
        reader.feed(row)
    explanation = reader.finish(exit_code=exit_code, stopped=stopped)
    if explanation.cause is None and not reader.recognised:
        return replace(explanation, phases=())
    return explanation


class LogReader:
    """Reads a log as it grows; keeps a bounded part of it."""

    def __init__(self) -> None:
        self.version: str | None = None
        self.recognised = False
        """Whether anything was fed that vLLM writes."""
        self._reset()

    def _reset(self) -> None:
        self.tracker = PhaseTracker()
        self.tracebacks = Tracebacks()
        self._first: float | None = None
        self._last = 0.0
        self._stamp: float | None = None
        self._fatal: str | None = None
        self._broken: Raised | None = None
        self._stopping = False
        self._closing = False
        self._bound = True
        self._known: dict[str, str] = {}
        self._noted: set[str] = set()
        self._tail: deque[str] = deque(maxlen=TAIL)
        self._loose: deque[str] = deque(maxlen=400)
        self._errors: deque[str] = deque(maxlen=8)

    @property
    def ready(self) -> bool:
        """Whether the server said that it is up."""
        return self.tracker.ready and self._bound

    @property
    def serving(self) -> bool:
        """Whether the HTTP server has begun to come up: the last phase before readiness."""
        current = self.tracker.current
        return current is not None and current.name in (SERVER, READY)

    @property
    def lost(self) -> bool:
        """Whether the log said that the engine is lost, with nobody having asked it to end before."""
        return self._fatal is not None

    def begin(self) -> PhaseChanged:
        """Open the first phase at 0 s, the moment of spawn, before anything is written."""
        return PhaseChanged(self.tracker.begin(0.0))

    def feed(self, text: str, at: float | None = None) -> list[EngineEvent]:
        """Take in one line and return what it means; `at` is the time since spawn in seconds, else the log's own."""
        events: list[EngineEvent] = []
        for piece in pieces(text):
            line = parse(piece)
            notable = bool(NOTABLE.match(line.text))
            if notable and BANNER.match(line.text) and self._began():
                self._reset()
            moment = self._moment(line, at)
            self.recognised = self.recognised or bool(line.level or line.process)
            events.append(LogLine(piece))
            if line.level and (note := of_line(line.text)) and note not in self._noted:
                self._noted.add(note)
                events.append(EngineNote(note))
            if not self.tracker.phases:
                events.append(PhaseChanged(self.tracker.begin(moment)))
            opened = len(self.tracker.phases)
            if (phase := self.tracker.feed(line.text, moment)) is not None:
                events.append(PhaseChanged(phase))
                self.recognised = True
                if len(self.tracker.phases) > opened:
                    # Whatever was raised before did not keep the start from going on.
                    self._broken = None
                    if self._fatal is None:
                        self.tracebacks.outlived()
            self._notice(line, notable)
        return events

    def finish(self, *, exit_code: int | None = None, stopped: bool = False) -> Explanation:
        """Say what became of the start, as far as it was fed."""
        failed = self._failed(exit_code, stopped)
        phases = list(self.tracker.phases)
        if not self.ready:
            phases = [phase for phase in phases if phase.name != READY]
        if phases and (failed or self._stopping or not self._bound) and phases[-1].seconds is None:
            phases[-1] = replace(phases[-1], seconds=round(max(0.0, self._last - phases[-1].start_s), 3))
        cause, advice, excerpt = self._cause(exit_code) if failed else (None, None, ())
        return Explanation(tuple(phases), self.ready, cause, advice, excerpt, self.version)

    def _began(self) -> bool:
        names = {phase.name for phase in self.tracker.phases}
        return bool(names - {"imports", "config"}) or self._fatal is not None

    def _moment(self, line: Line, at: float | None) -> float:
        if line.at is not None:
            self._stamp = line.at if self._stamp is None else later(line.at, self._stamp)
            if self._first is None:
                self._first = self._stamp
        if at is not None:
            self._last = max(self._last, at)
        elif self._stamp is not None and self._first is not None:
            self._last = max(self._last, self._stamp - self._first)
        return round(self._last, 3)

    def _notice(self, line: Line, notable: bool) -> None:
        text = line.text
        if ("version" in text or "(v" in text) and (found := VERSION.match(text)):
            self.version = found[1]
        if notable:
            if text.startswith("non-default args: ") and "'uds'" not in text:
                port = re.search(r"'port': (\d+)", text)
                self._known["port"] = port[1] if port else DEFAULT_PORT
            if STOPPING.match(text) and not self._fatal:
                self._stopping = True
            if CLOSING.match(text):
                self._closing = True
        if text.strip():
            self._tail.append(text)
        raised = self.tracebacks.feed(line)
        if raised is not None:
            self._weigh(raised)
            return
        telling = notable or "exited with" in text or "EngineDeadError" in text
        if telling and self._is_fatal(text) and not self._stopping and not self._served(line):
            self._fatal = self._fatal or text
            if IN_USE.search(text):
                self._bound = False
        if not text.startswith((" ", "\t")) and START not in text:
            self._loose.append(text)
            if line.level in ("ERROR", "CRITICAL") and text.strip():
                self._errors.append(text)

    def _is_fatal(self, text: str) -> bool:
        return bool(FATAL.match(text) or EXITED.match(text) or (not self._closing and DEAD.match(text)))

    def _served(self, line: Line) -> bool:
        """Whether a line of a serving engine only tells of one request."""
        return self.tracker.ready and line.text.startswith("ERROR:") and not IN_USE.search(line.text)

    def _weigh(self, raised: Raised) -> None:
        if STOPPED.match(raised.text):
            if not self._fatal and not raised.role < 2:
                self._stopping = True
            return
        if self._stopping:
            return
        if self._is_fatal(raised.text) or self._is_fatal(raised.heading):
            self._fatal = self._fatal or raised.text
        elif IN_USE.search(raised.text) and not raised.logged:
            # uvicorn says that the application is up before it listens: this one never was.
            self._fatal, self._bound = self._fatal or raised.text, False
        elif not raised.logged and not self.tracker.ready and not raised.heading.startswith("Exception ignored"):
            self._broken = raised

    def _failed(self, exit_code: int | None, stopped: bool) -> bool:
        if stopped:
            return False
        if exit_code is not None:
            return not (self._stopping and not self._fatal)
        return self._fatal is not None or self._broken is not None

    def _cause(self, exit_code: int | None) -> tuple[str, str | None, tuple[str, ...]]:
        groups = sorted(chains(list(self.tracebacks.raised)), key=_rank)
        for group in groups:
            found = _of_chain(group)
            if found is not None:
                cause, match = self._better(*found)
                sentence, advice = filled(cause, match, self._known)
                shown = root(group) or group[0]
                return sentence, advice, tuple(shown.excerpt()[-EXCERPT:])
            if (one := root(group)) is not None and _rank(group)[0] < 3:
                return self._unknown(one)
        return self._of_lines(exit_code)

    def _better(self, cause: Cause, match: re.Match[str]) -> tuple[Cause, re.Match[str]]:
        for name in cause.unless:
            for text in [*self._loose, *(one.text for one in self.tracebacks.raised)]:
                if other := BY_NAME[name].search(text):
                    return BY_NAME[name], other
        return cause, match

    def _unknown(self, one: Raised) -> tuple[str, str | None, tuple[str, ...]]:
        loose = self._loose_cause()
        if loose is not None and loose[0].name in ("killed", "driver-too-old"):
            sentence, advice = filled(*loose, self._known)
            return sentence, advice, tuple(one.excerpt())
        where = _place(one)
        advice = f"It was raised in {where}. {_SEARCH}" if where else _SEARCH
        return unknown(one.type, one.message), advice, tuple(one.excerpt()[-EXCERPT:])

    def _loose_cause(self) -> tuple[Cause, re.Match[str]] | None:
        for cause in CAUSES:
            if cause.anywhere or (self._fatal and not cause.general and cause.search(self._fatal)):
                for text in [*([self._fatal] if self._fatal else []), *reversed(self._loose)]:
                    if match := cause.search(text):
                        return self._better(cause, match)
        return None

    def _of_lines(self, exit_code: int | None) -> tuple[str, str | None, tuple[str, ...]]:
        tail = tuple(self._tail)[-EXCERPT:]
        if (loose := self._loose_cause()) is not None:
            return (*filled(*loose, self._known), tail)
        dead = self._fatal is not None and DIED.search(self._fatal) is not None
        if exit_code != 0 and (bare := self._bare()) is not None:
            # Its traceback's beginning is not in this part of the log.
            return (*bare, tail)
        if exit_code is not None and (told := by_exit_code(exit_code, dead=dead)) is not None:
            return (*told, tail)
        if dead:
            return (*CORE_DIED, tail)
        for one in self.tracebacks.raised:
            # Who reports that another process failed, which itself said nothing.
            if not one.handled and (match := BY_NAME["process-vanished"].search(one.text)):
                return (*filled(BY_NAME["process-vanished"], match), tail)
        last = f" Its last error was: {self._errors[-1][:300]}" if self._errors else ""
        if exit_code is not None:
            return f"The engine ended with exit code {exit_code} and said no reason.{last}", _READ_END, tail
        return f"The engine failed to start; the log ends before it says why.{last}", "Look at the whole log.", tail

    def _bare(self) -> tuple[str, str] | None:
        """What the last exception among lines outside tracebacks says, those that only wrap another left out."""
        for text in reversed(self._loose):
            found = BARE.match(text)
            if found is None or WRAPPERS.match(text) or STOPPED.match(text):
                continue
            for cause in CAUSES:
                if not cause.frames and not cause.general and (match := cause.search(text)):
                    return filled(cause, match, self._known)
            return unknown(found["type"], found["message"]), _SEARCH
        return None


def _of_chain(group: list[Raised]) -> tuple[Cause, re.Match[str]] | None:
    """The first cause of the table that an exception of this chain shows, the one nearest to the fault first."""
    best = root(group)
    ordered = ([best] if best is not None else []) + [one for one in group if one is not best]
    for general in (False, True):
        for one in ordered:
            if one.wrapper and not TELLING.search(one.text):
                continue
            for cause in CAUSES:
                if cause.general == general and (match := cause.search(one.text, one.where)):
                    return cause, match
    return None


def _rank(group: list[Raised]) -> tuple[int, int]:
    """Workers before the engine core before the server; what was only logged on the way comes last."""
    first = group[0]
    if all(one.wrapper for one in group):
        return (4, 0)
    if not first.handled and (FATAL.match(first.heading) or not first.logged):
        return (first.role, 0)
    return (3, first.role)


def _place(one: Raised) -> str:
    """Where it was raised: the last frame in vLLM itself, else the last one."""
    found = [match for frame in one.frames if (match := re.search(r'File "([^"]+)", line (\d+)', frame))]
    own = [match for match in found if "/vllm/" in match[1]]
    last = (own or found)[-1] if found else None
    return "/".join(last[1].split("/")[-2:]) + f", line {last[2]}" if last else ""
