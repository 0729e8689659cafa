"""A report as one SVG picture: throughput over time and load, and how latencies are spread."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from gemma_backend.evaluate.bench.records import Report, Round
from gemma_backend.evaluate.bench.summary import LATENCIES, summarise
from gemma_backend.evaluate.bench.tables import heading

WIDTH, HEIGHT = 520, 280
LEFT, RIGHT, TOP, BOTTOM = 62, 16, 34, 44
# Okabe and Ito's palette, which colour-blind readers can tell apart (jfly.uni-koeln.de/color).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
POINTS = 200


@dataclass(frozen=True, slots=True)
class Curve:
    """The line of load number `load`; points in the units of the axes."""

    load: int
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """One diagram: what its axes are, with units, and its curves; `marks` shows each point."""

    title: str
    x: str
    y: str
    curves: tuple[Curve, ...]
    marks: bool = False
    top: float | None = None


def svg(report: Report) -> str:
    """The picture of a report."""
    panels = panels_of(report)
    lines = heading(report)
    columns = 2
    rows = math.ceil(len(panels) / columns)
    width, height = columns * WIDTH, rows * HEIGHT + 22 * len(lines) + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for index, line in enumerate(lines):
        parts.append(f'<text x="16" y="{22 + 20 * index}" font-size="13" fill="#222222">{escape(line)}</text>')
    parts += _legend(report, 22 * len(lines) + 8)
    for index, panel in enumerate(panels):
        x, y = (index % columns) * WIDTH, 22 * len(lines) + 30 + (index // columns) * HEIGHT
        parts.append(f'<g transform="translate({x} {y})">{drawn(panel)}</g>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _loads(report: Report) -> dict[str, list[Round]]:
    """The rounds of each load that answered, in the order in which they came."""
    found: dict[str, list[Round]] = {}
    for one in report.rounds:
        if any(not asked.error for asked in one.asked):
            found.setdefault(one.load, []).append(one)
    return found


def _legend(report: Report, y: float) -> list[str]:
    """The loads' names in their colours, in one row."""
    parts, x = [], 16.0
    for index, load in enumerate(_loads(report)):
        colour = COLOURS[index % len(COLOURS)]
        parts.append(f'<rect x="{x:.0f}" y="{y:.0f}" width="12" height="12" fill="{colour}"/>')
        parts.append(_text(x + 17, y + 11, load, colour="#222222"))
        x += 32 + 7 * len(load)
    return parts


def panels_of(report: Report) -> list[Panel]:
    """The diagrams that a report has figures for."""
    loads = _loads(report)
    found = []
    rates = {
        float(repeats[0].concurrency or 0): [summarise(one).output_rate for one in repeats]
        for repeats in loads.values()
        if repeats[0].rate is None
    }
    if len(rates) > 1:
        points = tuple((load, statistics.median(values)) for load, values in sorted(rates.items()))
        found.append(Panel("Throughput by load", "requests at once", "generated tokens/s", (Curve(0, points),), True))
    courses = [
        Curve(index, tuple((second + 0.5, tokens) for second, tokens in enumerate(one.tokens_by_second)))
        for index, repeats in enumerate(loads.values())
        for one in repeats
    ]
    if any(curve.points for curve in courses):
        found.append(Panel("Throughput over time", "seconds", "generated tokens/s", tuple(courses)))
    for name, of in LATENCIES.items():
        curves = [
            Curve(index, _shares([value * 1000 for one in repeats for asked in one.asked for value in of(asked)]))
            for index, repeats in enumerate(loads.values())
        ]
        if any(curve.points for curve in curves):
            title = f"{name.upper()}: how many are faster"
            found.append(Panel(title, "milliseconds", "% of all", tuple(curves), top=100.0))
    return found


def _shares(values: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """The share of values up to each, in percent, at so many points at most."""
    ordered = sorted(values)
    if not ordered:
        return ()
    picked = sorted({round(index * (len(ordered) - 1) / POINTS) for index in range(POINTS + 1)})
    return tuple((ordered[index], 100 * (index + 1) / len(ordered)) for index in picked)


def ticks(top: float, most: int = 6) -> list[float]:
    """Round numbers from zero to `top` or just above it, `most` at most."""
    if top <= 0 or not math.isfinite(top):
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(top / (most - 1)))
    step = next(size * power for size in (1, 2, 2.5, 5, 10, 20) if top / (size * power) <= most - 1)
    return [step * index for index in range(math.ceil(top / step - 1e-9) + 1)]


def drawn(panel: Panel) -> str:
    """A diagram with axes, grid, units and a legend."""
    points = [point for curve in panel.curves for point in curve.points]
    across = ticks(max((x for x, _ in points), default=1.0))
    up = ticks(panel.top if panel.top is not None else max((y for _, y in points), default=1.0))
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def at_x(value: float) -> float:
        return LEFT + value / across[-1] * (right - LEFT)

    def at_y(value: float) -> float:
        return bottom - value / up[-1] * (bottom - TOP)

    parts = [_text(LEFT, 20, panel.title, weight="bold")]
    for value in up:
        parts.append(_line(LEFT, at_y(value), right, at_y(value), "#dddddd"))
        parts.append(_text(LEFT - 6, at_y(value) + 4, _number(value), anchor="end"))
    for value in across:
        parts.append(_line(at_x(value), TOP, at_x(value), bottom, "#eeeeee"))
        parts.append(_text(at_x(value), bottom + 16, _number(value), anchor="middle"))
    parts.append(_line(LEFT, bottom, right, bottom, "#444444"))
    parts.append(_line(LEFT, TOP, LEFT, bottom, "#444444"))
    parts.append(_text((LEFT + right) / 2, bottom + 34, panel.x, anchor="middle"))
    parts.append(
        f'<text transform="translate(14 {(TOP + bottom) / 2:.1f}) rotate(-90)" text-anchor="middle" '
        f'fill="#444444">{escape(panel.y)}</text>'
    )
    parts += _curves(panel, at_x, at_y)
    return "".join(parts)


def _curves(panel: Panel, at_x: Callable[[float], float], at_y: Callable[[float], float]) -> list[str]:
    parts = []
    for curve in panel.curves:
        colour = COLOURS[curve.load % len(COLOURS)]
        points = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in curve.points)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if panel.marks or len(curve.points) == 1:
            parts += [
                f'<circle cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="3.5" fill="{colour}"/>' for x, y in curve.points
            ]
    return parts


def _text(
    x: float, y: float, said: str, *, anchor: str = "start", weight: str = "normal", colour: str = "#444444"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" fill="{colour}">'
        f"{escape(said)}</text>"
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _number(value: float) -> str:
    return f"{value:,.6g}" if value < 1e6 else f"{value:.3g}"
