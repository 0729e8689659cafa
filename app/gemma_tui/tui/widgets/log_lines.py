"""An engine's log as rows of a screen: taken apart, filtered, searched and wrapped; no widget, no colour."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len, chop_cells

from gemma_backend.engine.lines import Line, parse, pieces
from gemma_backend.engine.notes import of_line
from gemma_backend.text.clean import clean

Level = Literal["all", "warnings", "errors"]
HEAD = 20
"""Cells of an entry's columns: how loud it is, its time and its process."""
LEVELS: tuple[Level, ...] = ("all", "warnings", "errors")
Kind = Literal["plain", "warning", "error", "note"]
"""How loud an entry is, which the screen also says by a letter in front; a note is ours, on the line above it."""

KEPT = 20_000
"""Lines in memory; of a longer log the latest."""
_DROPPED = 4_000
_SIGNS: dict[Kind, str] = {"plain": " ", "warning": "W", "error": "E", "note": "i"}
_SHORT = (("APIServer", "server"), ("EngineCore", "core"), ("VllmWorker", "worker"), ("Worker", "worker"))
_RAISED = re.compile(r"Traceback \(most recent call last\)|Fatal Python error|[\w.]*(?:Error|Exception)\b")
# Of a progress bar only its latest state says anything.
_BAR = re.compile(r"^(?P<name>[^|%]{0,120}?):?\s+\d{1,3}%[^|]{0,20}\|")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log: its time and process in the columns `head`, and what it says."""

    head: str
    text: str
    kind: Kind
    bar: str = ""

    @property
    def whole(self) -> str:
        """What is searched."""
        return f"{self.head}{self.text}"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an entry: its head (blank from the second row on) and the part of the text from `start` on."""

    entry: Entry
    head: str
    part: str
    start: int


class LogLines:
    """A log that grows; `rows` is how many rows of `width` cells it takes as it is filtered now."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.width = 80
        self.wrap = True
        self.level: Level = "all"
        self.filter = ""
        self._shown: list[Entry] = []
        self._starts: list[int] = [0]
        self._kinds: dict[tuple[str, int | None], Kind] = {}
        self._noted: set[str] = set()

    @property
    def rows(self) -> int:
        """Rows of all entries that pass the filters."""
        return self._starts[-1]

    @property
    def shown(self) -> int:
        """Entries that pass the filters."""
        return len(self._shown)

    def add(self, lines: Iterable[str]) -> int:
        """Take in more of the log; returns how many rows at the top went because the log became too long."""
        for raw in lines:
            for piece in pieces(raw):
                line = parse(piece)
                self._add(self._entry(line))
                if line.level and (note := of_line(line.text)) and note not in self._noted:
                    self._noted.add(note)
                    self._add(Entry(f"{_SIGNS['note']} {' ' * (HEAD - 2)}", note, "note"))
        if len(self.entries) <= KEPT:
            return 0
        before = self._shown[:]
        self.entries = self.entries[len(self.entries) - KEPT + _DROPPED :]
        self.arrange()
        gone = len(before) - len(self._shown)
        return sum(self._height(entry) for entry in before[:gone])

    def arrange(self, **changes: object) -> None:
        """Apply a change of `width`, `wrap`, `level` or `filter`."""
        for name, value in changes.items():
            setattr(self, name, value)
        self._shown = [entry for entry in self.entries if self._passes(entry)]
        self._starts = [0]
        for entry in self._shown:
            self._starts.append(self._starts[-1] + self._height(entry))

    def row(self, number: int) -> Row | None:
        """What stands at row `number`."""
        if not 0 <= number < self.rows:
            return None
        place = bisect_right(self._starts, number) - 1
        entry = self._shown[place]
        parts, index = self._parts(entry), number - self._starts[place]
        head = entry.head if index == 0 else " " * cell_len(entry.head)
        return Row(entry, head, parts[index], sum(len(part) for part in parts[:index]))

    def place(self, entry: Entry) -> int:
        """The first row of `entry`; the end where it is not shown."""
        for number, one in enumerate(self._shown):
            if one is entry:
                return self._starts[number]
        return self.rows

    def find(self, wanted: str, row: int, step: Literal[1, -1]) -> int | None:
        """The first row, from the one after or before `row` on and around the end, of an entry that holds `wanted`.

        A `row` of -1 stands before the first one.
        """
        if not self._shown or not wanted:
            return None
        here = min(bisect_right(self._starts, row) - 1, len(self._shown) - 1)
        low = wanted.casefold()
        for distance in range(1, len(self._shown) + 1):
            place = (here + step * distance) % len(self._shown)
            if low in self._shown[place].whole.casefold():
                return self._starts[place]
        return None

    def count(self, wanted: str) -> int:
        """How many of the shown entries hold `wanted`."""
        low = wanted.casefold()
        return sum(low in entry.whole.casefold() for entry in self._shown) if wanted else 0

    def _add(self, entry: Entry) -> None:
        last = self.entries[-1] if self.entries else None
        if entry.bar and last is not None and last.bar == entry.bar:
            self.entries[-1] = entry
            if self._shown and self._shown[-1] is last:
                self._shown[-1] = entry
                self._starts[-1] = self._starts[-2] + self._height(entry)
            return
        self.entries.append(entry)
        if self._passes(entry):
            self._shown.append(entry)
            self._starts.append(self._starts[-1] + self._height(entry))

    def _entry(self, line: Line) -> Entry:
        text = clean(line.text.rstrip().expandtabs(4), keep_newlines=False)
        bar = _BAR.match(text)
        head = f"{_clock(line)} {_short(line.process):<8} "
        kind = self._kind(line)
        return Entry(f"{_SIGNS[kind]} {head}", text, kind, f"{line.process} {bar['name']}" if bar else "")

    def _kind(self, line: Line) -> Kind:
        process = (line.process, line.pid)
        kind: Kind = "plain"
        if line.level:
            kind = "warning" if line.level == "WARNING" else "error" if line.level in ("ERROR", "CRITICAL") else "plain"
        elif line.text.startswith("ERROR:") or _RAISED.match(line.text):
            kind = "error"
        elif line.text.startswith(("WARNING:", "W")) and re.match(r"WARNING:|W\d{4} ", line.text):
            kind = "warning"
        elif line.text.startswith((" ", "\t")):
            # A traceback's frames are as loud as what they belong to.
            kind = self._kinds.get(process, "plain")
        self._kinds[process] = kind
        return kind

    def _passes(self, entry: Entry) -> bool:
        if self.level == "errors" and entry.kind != "error":
            return False
        if self.level == "warnings" and entry.kind == "plain":
            return False
        return not self.filter or self.filter.casefold() in entry.whole.casefold()

    def _height(self, entry: Entry) -> int:
        if not self.wrap:
            return 1
        room = self._room(entry)
        if entry.text.isascii():
            return max(1, -(-len(entry.text) // room))
        return max(1, len(chop_cells(entry.text, room)))

    def _parts(self, entry: Entry) -> list[str]:
        room = self._room(entry)
        if not self.wrap:
            return [entry.text]
        if entry.text.isascii():
            return [entry.text[at : at + room] for at in range(0, len(entry.text), room)] or [""]
        return chop_cells(entry.text, room) or [""]

    def _room(self, entry: Entry) -> int:
        return max(20, self.width - cell_len(entry.head))


def _clock(line: Line) -> str:
    if line.at is None:
        return " " * 8
    seconds = int(line.at) % 86_400
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _short(process: str) -> str:
    """`APIServer` and `EngineCore_DP0` in at most eight cells."""
    for name, short in _SHORT:
        if process.startswith(name):
            return (short + process[len(name) :].removeprefix("_").removeprefix("Proc"))[:8]
    return clean(process, keep_newlines=False)[:8]
