"""Exceptions found in a log: which process raised them, in which order, and which of them caused which."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from gemma_backend.engine.lines import Line

START = "Traceback (most recent call last):"
EXCEPTION = re.compile(r"(?P<type>[A-Za-z_][\w.]*?)(?:\((?=[^)]*\):))?(?::\s*(?P<message>.*))?$")
DIRECT = "The above exception was the direct cause of the following exception:"
DURING = "During handling of the above exception, another exception occurred:"
# An exception's message can go on over several lines (pydantic, CUDA); more than this is a dump.
MESSAGE_LINES = 12
LIMIT = 200
# Some messages list every weight of a model.
WIDEST = 400
SUBPROCESS = "RuntimeError: Error raised in subprocess"
COMPILERS = r"(?:/[\w./-]*/)?(?:[\w-]+-)?(?:gcc|g\+\+|cc|c\+\+|clang(?:\+\+)?|nvcc|ninja)"
# These only say that something else failed; what failed stands before them or in another process.
WRAPPERS = re.compile(
    r"(?:RuntimeError: (?:Engine core initialization failed|Frontend process failed|Engine process failed to start"
    r"|Error raised in subprocess|Engine core process \S+ died|Worker failed with error"
    r"|Process \S+ \(PID: \d+\) died|.{0,40}See root cause above)"
    rf"|(?:subprocess\.)?CalledProcessError: (?!Command '\[?'?{COMPILERS}\b)"
    r"|(?:\w+\.)*EngineDeadError|(?:\w+\.)*EngineGenerateError"
    r"|(?:\w+\.)*TokenizerRegistryError$|(?:torch\.\w+(?:\.\w+)*\.)?(?:ProcessRaisedException|ProcessExitedException)"
    r"|Exception: (?:WorkerProc|Worker) (?:initialization )?failed|(?:\w+\.)*ActorDiedError"
    r"|(?:asyncio\.(?:exceptions\.)?|concurrent\.futures\.\S*)?CancelledError|SystemExit: ?\d*$)"
)
# pydantic wraps what a validator raised; this one only points at an earlier traceback.
POINTER = re.compile(r"failed to be inspected\. Please check the logs")
STOPPED = re.compile(r"(?:KeyboardInterrupt|asyncio\.exceptions\.CancelledError|CancelledError)\b")

# One whose traceback is not in the log, or was never written.
BARE = re.compile(
    r"(?P<type>(?:[A-Za-z_]\w*\.)*(?:[A-Z]\w*(?:Error|Exception|Failure)|KeyError|MemoryError)): ?(?P<message>.+)"
)

Link = Literal["", "direct", "during"]


@dataclass(slots=True)
class Raised:
    """One exception: its traceback's lines, its type and message, and how it follows from the one before."""

    key: tuple[str, int | None, str]
    heading: str
    logged: bool
    link: Link = ""
    frames: deque[str] = field(default_factory=lambda: deque(maxlen=60))
    type: str = ""
    lines: list[str] = field(default_factory=list)
    handled: bool = False

    @property
    def message(self) -> str:
        """The message's first line; of a pydantic error the sentence that its validator gave."""
        first = self.lines[0].partition(": ")[2] if self.lines else ""
        if first.rstrip().endswith(":"):
            # What was announced stands in the lines below.
            first = " ".join(row.strip() for row in (first, *self.lines[1:4]))
        if "validation error" in first:
            for row in self.lines[1:]:
                if "error, " in row:
                    return re.sub(r"\s*\[type=.*", "", row.strip()).partition("error, ")[2]
        return first.strip()

    @property
    def text(self) -> str:
        """Type and whole message, one line for each of the log's."""
        return "\n".join(self.lines)

    @property
    def where(self) -> str:
        """The frames of its traceback, those nearest to it last."""
        return "\n".join(self.frames)

    @property
    def wrapper(self) -> bool:
        """Whether it only reports that another exception was raised elsewhere."""
        return not self.lines or bool(WRAPPERS.match(self.text) or POINTER.search(self.text))

    @property
    def role(self) -> int:
        """How near to the fault its process stands: 0 a worker, 1 the engine core, 2 any other."""
        process = self.key[0]
        if "Worker" in process or "WorkerProc" in self.heading:
            return 0
        return 1 if "EngineCore" in process or "EngineCore" in self.heading else 2

    def excerpt(self) -> list[str]:
        """The end of the traceback: its last frames and the exception."""
        rows = (START, *list(self.frames)[-6:], *(row for row in self.lines[:5] if row.strip()))
        return [row if len(row) <= WIDEST else row[:WIDEST] + "…" for row in rows]


class Tracebacks:
    """Collects exceptions while the lines of several processes come in mixed."""

    def __init__(self) -> None:
        self.raised: deque[Raised] = deque(maxlen=LIMIT)
        self._open: dict[tuple[str, int | None, str], Raised] = {}
        self._ended: dict[tuple[str, int | None, str], Raised] = {}
        self._link: dict[tuple[str, int | None, str], Link] = {}
        self._before: dict[tuple[str, int | None], str] = {}

    def outlived(self) -> None:
        """The start went on after what was raised so far: none of that was its end."""
        for one in self.raised:
            one.handled = True

    def feed(self, line: Line) -> Raised | None:
        """Take in one line; returns the exception that it names, if it ends a traceback."""
        text = re.sub(r"^\s*\| ?", "", line.text) if line.text.lstrip().startswith("|") else line.text
        key = line.key
        if START in text and text.rstrip().endswith(START) and len(text) < 200:
            heading = self._before.get(key[:2], "") if text.strip() == START else text
            self._drop(key)
            raised = Raised(key, heading, bool(line.level), self._link.pop(key, ""))
            self._open[key] = raised
            self.raised.append(raised)
            return None
        inside = self._open.get(key)
        if inside is not None:
            return self._inside(inside, text)
        self._after(key, text)
        if text.strip():
            self._before[key[:2]] = text
        return None

    def _inside(self, raised: Raised, text: str) -> Raised | None:
        if text[:1] in (" ", "\t") or not text.strip():
            if text.strip(" \t~^"):
                raised.frames.append(text)
            return None
        found = EXCEPTION.match(text)
        del self._open[raised.key]
        if found is None:
            # The traceback was cut by a line of another process that carries no tag.
            return None
        raised.type = found["type"]
        raised.lines.append(text)
        self._ended[raised.key] = raised
        return raised

    def _after(self, key: tuple[str, int | None, str], text: str) -> None:
        if key not in self._ended and text[:1] not in ("T", "D", " ", "\t"):
            return
        stripped = text.strip()
        if stripped in (DIRECT, DURING):
            self._link[key] = "direct" if stripped == DIRECT else "during"
            self._ended.pop(key, None)
        elif (ended := self._ended.get(key)) is not None:
            # One empty line may stand inside a message: huggingface_hub writes the repository's URL behind one.
            if len(ended.lines) < MESSAGE_LINES and (stripped or ended.lines[-1].strip()):
                ended.lines.append(text)
            else:
                self._ended.pop(key)

    def _drop(self, key: tuple[str, int | None, str]) -> None:
        self._open.pop(key, None)
        self._ended.pop(key, None)


def unknown(name: str, message: str) -> str:
    """The sentence for an exception that no entry of the table knows: its type and message."""
    last = name.rpartition(".")[2]
    # A type's name in small letters says nothing without its module: `struct.error`.
    shown = last if last[:1].isupper() else name
    what = f"{shown}: {message}" if message else shown
    return f"The engine stopped at an error that is not known here: {what[:340]}.".replace("..", ".")


def chains(raised: list[Raised]) -> list[list[Raised]]:
    """Group exceptions that follow from one another, each group in the order in which they were raised."""
    groups: list[list[Raised]] = []
    for one in raised:
        last = next((group for group in reversed(groups) if group[-1].key == one.key), None) if one.link else None
        if last is not None:
            last.append(one)
        elif groups and groups[-1][-1].key == one.key and groups[-1][-1].text.startswith(SUBPROCESS):
            groups[-1].append(one)
        else:
            groups.append([one])
    return groups


def root(chain: list[Raised]) -> Raised | None:
    """The exception of `chain` that says most: the innermost one, unless its handler raised one of its own."""
    best: Raised | None = None
    for one in chain:
        if one.wrapper or STOPPED.match(one.text):
            continue
        if best is None or one.link == "during":
            best = one
    return best
