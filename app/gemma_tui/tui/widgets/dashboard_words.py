"""Numbers as the dashboard says them: short, with units, and `not available` for what nobody knows."""

from __future__ import annotations

from gemma_tui.start_progress import clock as clock

NONE = "not available"
_GIB = 1 << 30
_MIB = 1 << 20


def number(value: float) -> str:
    """A count or rate in at most seven characters: `4.2`, `272.8`, `2,027`, `9.2 M`."""
    if value < 999.95:
        return f"{value:.1f}"
    return whole(round(value))


def whole(value: int) -> str:
    """A whole number: `7`, `55,356`, `9.2 M`, `1.3 G`."""
    if value < 1_000_000:
        return f"{value:,}"
    for power, letter in ((6, "M"), (9, "G"), (12, "T")):
        if value < 999.95 * 10**power:
            return f"{value / 10**power:.1f} {letter}"
    return f"{value:.1e}"


def rate(value: float | None) -> str:
    """Tokens a second."""
    return NONE if value is None else f"{number(value)} tok/s"


def share(value: float | None) -> str:
    """A share of one as a percentage: `0.7 %`, `45 %`."""
    if value is None:
        return NONE
    return f"{value * 100:.1f} %" if 0 < value < 0.0995 else f"{value * 100:.0f} %"


def duration(seconds: float | None) -> str:
    """A latency: `0.42 ms`, `3.7 ms`, `26 ms`, `2.03 s`, `1:05`."""
    if seconds is None:
        return "–"
    if seconds < 0.9995:
        thousandths = seconds * 1000
        return (
            f"{thousandths:.2f} ms" if thousandths < 0.995 else f"{thousandths:.{1 if thousandths < 9.95 else 0}f} ms"
        )
    return f"{seconds:.2f} s" if seconds < 59.995 else clock(seconds)


def scale(value: float, unit: str) -> str:
    """The end of a chart's scale: `500 tok/s`, `20 ms`, `8`."""
    if unit == "s":
        return "0" if value == 0 else duration(value).replace(".0 ", " ").replace(".00 ", " ")
    said = f"{value:,.6g}" if value < 1_000_000 else whole(round(value))
    return f"{said} {unit}".rstrip()


def span(seconds: float) -> str:
    """A length of time that was chosen: `15 s`, `1 min`, `6 h`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.0f} h"


def gib(size: float) -> str:
    """Bytes as a number of GiB."""
    return f"{size / _GIB:,.{1 if size >= 0.95 * _GIB else 2}f}"


def memory(size: float) -> str:
    """Bytes of memory in binary units, as vLLM's log has them."""
    if size < 999.5 * _MIB:
        return f"{size / _MIB:.0f} MiB"
    return f"{size / _GIB:,.{1 if size < 999.95 * _GIB else 0}f} GiB"


def memory_of(used: float, total: float) -> str:
    """Used and whole memory with the unit once: `8.2 of 23.5 GiB`."""
    return f"{used / _GIB:,.1f} of {total / _GIB:,.1f} GiB"
