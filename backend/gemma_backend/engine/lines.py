"""One line of a vLLM log taken apart: which process wrote it, when, how loud, and what it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# CSI and OSC sequences, other two-byte escapes, and the C1 forms of CSI and OSC.
_ENDS = re.compile(r"[\r\n]+")
ANSI = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b[@-_]?")
# `(EngineCore pid=989) `, `(EngineCore_DP0 pid=7130) `, `(VllmWorker rank=1 pid=5) `: vllm/utils/system_utils.py.
TAG = re.compile(r"\((?P<name>[A-Za-z][\w.:-]{0,40})(?: [\w=.:-]{1,30}){0,3}? pid=(?P<pid>\d{1,9})\) ?")
# `INFO 11-23 13:44:22 [core.py:116] `: vllm/logging_utils/formatter.py; before 0.9 without the first bracket.
HEAD = re.compile(
    r"(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL) (?:\d{4}-)?(?P<month>\d\d)-(?P<day>\d\d) "
    r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:[.,]\d+)? \[?(?P<source>[\w./<>-]+:\d+)\] ?"
)
# What journald, docker, docker compose, Kubernetes and other launchers put in front of every line.
WRAPPER = re.compile(
    r"(?:\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)? (?:std(?:out|err) [FP] )?"
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ [^\s:]{1,60}(?:\[\d+\])?: "
    r"|[\w.-]{1,60} +\| "
    r"|\[[Ii]nfo\] (?:\(Process\) )?|\[pod/[^\]\s]{1,200}\] )"
)
BAR = re.compile(r"(?:Capturing CUDA graphs|Loading [\w.-]+ checkpoint shards)[^|\n]{0,40}: +\d+%")
# What stands in front of nearly every line; behind it there is seldom a second one.
_PREFIX = re.compile(re.sub(r"\?P<\w+>", "?:", f"(?:{WRAPPER.pattern})*(?:{TAG.pattern})*(?:{HEAD.pattern})?"))
_HEAD_BEGINS = re.compile(r"(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) (?:\d{4}-)?\d\d-\d\d ")
LONGEST = 20_000
_DAYS_BEFORE = (0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335)
_YEAR = 366 * 86400.0


@dataclass(frozen=True, slots=True)
class Line:
    """A piece of a log; `at` is in seconds since the first of January of some leap year, None where no time stands."""

    text: str
    process: str = ""
    pid: int | None = None
    level: str = ""
    source: str = ""
    at: float | None = None

    @property
    def key(self) -> tuple[str, int | None, str]:
        """Equal for the lines of one traceback: the same process and the same logging call."""
        return (self.process, self.pid, self.source)


def pieces(text: str) -> Iterator[str]:
    """Split at line ends, at carriage returns of progress bars and where two processes' lines ran together."""
    if "\x1b" in text or "\x9b" in text or "\x9d" in text:
        text = ANSI.sub("", text)
    for row in _ENDS.split(text) if "\r" in text or "\n" in text else (text,):
        if row:
            yield from _apart(row[:LONGEST])


def parse(piece: str) -> Line:
    """Take one piece apart; anything may stand in it, and what is not recognised is text."""
    rest = piece
    while rest[:1] != "(" and (found := WRAPPER.match(rest)):
        rest = rest[found.end() :]
    process, pid = "", None
    while rest[:1] == "(" and (found := TAG.match(rest)):
        process, pid = found["name"], int(found["pid"])
        rest = rest[found.end() :]
    head = HEAD.match(rest)
    if head is None:
        return Line(rest.rstrip(), process, pid)
    month, day = int(head["month"]), int(head["day"])
    at = None
    if 1 <= month <= 12:
        days = _DAYS_BEFORE[month - 1] + day - 1
        at = days * 86400.0 + int(head["hour"]) * 3600 + int(head["minute"]) * 60 + int(head["second"])
    return Line(rest[head.end() :].rstrip(), process, pid, head["level"], head["source"], at)


def later(new: float, old: float) -> float:
    """`new`, moved by a year where the log went over New Year since `old`, and never before `old`."""
    return max(new + _YEAR if old - new > _YEAR / 2 else new, old)


def _apart(row: str) -> Iterator[str]:
    prefix = _PREFIX.match(row)
    behind = prefix.end() if prefix is not None else 0
    if "pid=" not in row[behind:] and not _HEAD_BEGINS.search(row, behind) and "%" not in row:
        yield row
        return
    cuts = [0]
    end, headed = 0, False
    tags = TAG.finditer(row) if "pid=" in row else ()
    bars = BAR.finditer(row) if "%" in row else ()
    for found in sorted([*tags, *bars, *HEAD.finditer(row)], key=lambda match: match.start()):
        # Tags and a head that follow one another directly are one prefix; one after other text starts a new line.
        # So does one after a head, which is a prefix's end: the line that it stands before was empty.
        other = bool(row[end : found.start()].strip()) and not WRAPPER.fullmatch(row[cuts[-1] : found.start()])
        if other or (headed and found.re is not BAR):
            cuts.append(found.start())
        end, headed = found.end(), found.re is HEAD
    for start, stop in zip(cuts, [*cuts[1:], len(row)], strict=True):
        yield row[start:stop]
