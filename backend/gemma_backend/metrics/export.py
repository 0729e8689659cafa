"""A history of figures as CSV for spreadsheets or JSON for programs; pure functions on values."""

from __future__ import annotations

import csv
import datetime
import io
import json
from collections.abc import Mapping

from gemma_backend.metrics.history import FIGURES, History

UNITS = {
    "generation": "tokens/s", "prompt": "tokens/s", "running": "requests", "waiting": "requests", "kv_cache": "share",
    "preemptions": "requests", "prefix_hits": "share", "ttft": "s", "itl": "s", "e2e": "s", "engine_memory": "bytes",
    "engine_cpu": "cores", "host_memory": "bytes", "gpu_memory": "bytes", "gpu_busy": "share", "gpu_power": "W",
}  # fmt: skip
"""What each figure is counted in; latencies are medians, shares from 0 to 1."""


def as_csv(histories: Mapping[str, History], until: datetime.datetime) -> str:
    """Return one row for each second and server, empty cells where nothing was known, `until` the newest row's time.

    The days' minutes come first, as far as the seconds do not cover them; `seconds` is how long a row stands for.
    """
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(["server", "time", "seconds", *(f"{name} ({UNITS[name]})" for name in FIGURES)])
    for server, history in histories.items():
        for at, seconds, values in _rows(history, until):
            cells = ("" if values[name] is None else f"{values[name]:.7g}" for name in FIGURES)
            table.writerow([_plain(server), at.isoformat(timespec="seconds"), f"{seconds:g}", *cells])
    return written.getvalue()


def as_json(histories: Mapping[str, History], until: datetime.datetime) -> str:
    """Return the same as JSON: for each server its rows, None where nothing was known."""
    servers = [
        {
            "server": server,
            "rows": [
                {"time": at.isoformat(timespec="seconds"), "seconds": seconds, **values}
                for at, seconds, values in _rows(history, until)
            ],
        }
        for server, history in histories.items()
    ]
    return json.dumps({"format": "gemma-tui figures", "version": 1, "units": UNITS, "servers": servers}, indent=1)


def _rows(history: History, until: datetime.datetime) -> list[tuple[datetime.datetime, float, dict[str, float | None]]]:
    """Minutes that lie before the seconds, then seconds, oldest first."""
    count = len(history)
    covered = count * history.interval
    minutes = history.minutes("generation")
    found = []
    for index in range(len(minutes)):
        age = 60.0 * (len(minutes) - index)
        if age > covered + 60:
            values = {name: history.minutes(name)[index] for name in FIGURES}
            found.append((until - datetime.timedelta(seconds=age), 60.0, values))
    courses = {name: history.last(name) for name in FIGURES}
    for index in range(count):
        at = until - datetime.timedelta(seconds=(count - 1 - index) * history.interval)
        found.append((at, history.interval, {name: courses[name][index] for name in FIGURES}))
    return found


def _plain(text: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in "=+-@\t\r" else text
