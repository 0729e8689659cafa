"""Text in the Prometheus exposition format -> values by name.

Written for a page that is read once a second: one pass over the lines, no regular expression, labels left as text
until somebody asks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One reading of `/metrics`: for each name its series, as label text (without braces) and value.

    `at` is a monotonic time in seconds.
    """

    at: float
    series: Mapping[str, tuple[tuple[str, float], ...]]

    def __contains__(self, name: str) -> bool:
        return name in self.series

    def of(self, name: str) -> tuple[tuple[str, float], ...]:
        """Return the series of one name, () where it is absent."""
        return self.series.get(name, ())


def parse(text: str, at: float = 0.0) -> Snapshot:
    """Return the samples in `text`; comments, time stamps and lines that are no sample are passed over.

    Format: prometheus.io/docs/instrumenting/exposition_formats, text-based format 0.0.4.
    """
    found: dict[str, list[tuple[str, float]]] = {}
    for line in text.split("\n"):
        # Checked first because half of the lines are comments.
        if not line or line[0] == "#":
            continue
        key, _, number = line.rpartition(" ")
        name, brace, labels = key.partition("{")
        try:
            value = float(number)
            usual = labels[-1] == "}" if brace else " " not in name
        except (ValueError, IndexError):
            usual = False
        if usual and name and name[0] != " ":
            labels = labels[:-1]
        elif (odd := _unusual(line)) is not None:
            name, labels, value = odd
        else:
            continue
        series = found.get(name)
        if series is None:
            found[name] = [(labels, value)]
        else:
            series.append((labels, value))
    return Snapshot(at, {name: tuple(series) for name, series in found.items()})


def _unusual(line: str) -> tuple[str, str, float] | None:
    """Return name, labels and value of a line with a time stamp or unusual spaces, None where it is no sample."""
    line = line.strip()
    name, brace, rest = line.partition("{")
    labels = ""
    if brace:
        labels, end, rest = rest.rpartition("}")
        if not end:
            return None
    else:
        name, _, rest = line.partition(" ")
    fields = rest.split()
    name = name.strip()
    if not 1 <= len(fields) <= 2 or not name or " " in name:
        return None
    try:
        return name, labels, float(fields[0])
    except ValueError:
        return None


LONGEST_LABELS = 8192
"""Characters of label text that are looked into: what is kept of a hostile page stays small."""


@lru_cache(maxsize=2048)
def _labels(text: str) -> Mapping[str, str]:
    return {name: _ESCAPED.sub(_plain, value) for name, value in _LABEL.findall(text)}


def _plain(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]


@lru_cache(maxsize=2048)
def _bucket(text: str) -> tuple[str, float] | None:
    bound: float | None = None
    others = []
    for match in _LABEL.finditer(text):
        if match[1] == "le":
            try:
                bound = float(match[2])
            except ValueError:
                return None
        else:
            others.append(match[0])
    return None if bound is None else (",".join(others), bound)


def labels_of(text: str) -> Mapping[str, str]:
    """Return the labels written as `text` (`a="x",b="y"`); what is no label is passed over."""
    return _labels(text) if len(text) <= LONGEST_LABELS else {}


def bucket_of(text: str) -> tuple[str, float] | None:
    """Return the labels of a histogram's bucket without `le`, as text, and `le` as a number; None without one."""
    return _bucket(text) if len(text) <= LONGEST_LABELS else None
