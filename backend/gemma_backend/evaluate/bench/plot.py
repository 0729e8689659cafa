"""A report as one picture: throughput over time and load, and how latencies are spread."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gemma_backend.evaluate.bench import drawing
from gemma_backend.evaluate.bench.drawing import Box, Dot, Group, Line, Path, Picture, Shape, Words
from gemma_backend.evaluate.bench.records import Report, Round
from gemma_backend.evaluate.bench.summary import LATENCIES, summarise
from gemma_backend.evaluate.bench.tables import heading
from gemma_backend.text.clean import clean

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
    """The picture of a report as SVG."""
    return drawing.svg(picture(report))


def png(report: Report) -> bytes:
    """The picture of a report as PNG."""
    return drawing.png(picture(report))


def picture(report: Report) -> Picture:
    """What was measured in words, the loads in their colours, and the diagrams two beside each other."""
    panels = panels_of(report)
    lines = [clean(line, keep_newlines=False) for line in heading(report)]
    columns = 2
    rows = math.ceil(len(panels) / columns)
    shapes: list[Shape] = [
        Words(16, 22 + 20 * index, line, colour="#222222", size=13) for index, line in enumerate(lines)
    ]
    shapes += _legend(report, 22 * len(lines) + 8)
    for index, panel in enumerate(panels):
        x, y = (index % columns) * WIDTH, 22 * len(lines) + 30 + (index // columns) * HEIGHT
        shapes.append(Group(x, y, tuple(drawn(panel))))
    return Picture(columns * WIDTH, rows * HEIGHT + 22 * len(lines) + 34, tuple(shapes))


def _loads(report: Report) -> dict[str, list[Round]]:
    """The rounds of each load that answered, in the order in which they came."""
    found: dict[str, list[Round]] = {}
    for one in report.rounds:
        if any(not asked.error for asked in one.asked):
            found.setdefault(one.load, []).append(one)
    return found


def _legend(report: Report, y: float) -> list[Shape]:
    """The loads' names in their colours, in one row."""
    shapes: list[Shape] = []
    x = 16.0
    for index, load in enumerate(_loads(report)):
        shapes.append(Box(x, y, 12, 12, COLOURS[index % len(COLOURS)]))
        shapes.append(Words(x + 17, y + 11, load, colour="#222222"))
        x += 32 + 7 * len(load)
    return shapes


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


def drawn(panel: Panel) -> list[Shape]:
    """A diagram with axes, grid, units and a legend."""
    points = [point for curve in panel.curves for point in curve.points]
    across = ticks(max((x for x, _ in points), default=1.0))
    up = ticks(panel.top if panel.top is not None else max((y for _, y in points), default=1.0))
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def at_x(value: float) -> float:
        return LEFT + value / across[-1] * (right - LEFT)

    def at_y(value: float) -> float:
        return bottom - value / up[-1] * (bottom - TOP)

    shapes: list[Shape] = [Words(LEFT, 20, panel.title, bold=True)]
    for value in up:
        shapes.append(Line(LEFT, at_y(value), right, at_y(value), "#dddddd"))
        shapes.append(Words(LEFT - 6, at_y(value) + 4, _number(value), "end"))
    for value in across:
        shapes.append(Line(at_x(value), TOP, at_x(value), bottom, "#eeeeee"))
        shapes.append(Words(at_x(value), bottom + 16, _number(value), "middle"))
    shapes.append(Line(LEFT, bottom, right, bottom, "#444444"))
    shapes.append(Line(LEFT, TOP, LEFT, bottom, "#444444"))
    shapes.append(Words((LEFT + right) / 2, bottom + 34, panel.x, "middle"))
    shapes.append(Words(14, (TOP + bottom) / 2, panel.y, "middle", upward=True))
    return shapes + _curves(panel, at_x, at_y)


def _curves(panel: Panel, at_x: Callable[[float], float], at_y: Callable[[float], float]) -> list[Shape]:
    shapes: list[Shape] = []
    for curve in panel.curves:
        colour = COLOURS[curve.load % len(COLOURS)]
        places = tuple((at_x(x), at_y(y)) for x, y in curve.points)
        shapes.append(Path(places, colour))
        if panel.marks or len(places) == 1:
            shapes += [Dot(x, y, 3.5, colour) for x, y in places]
    return shapes


def _number(value: float) -> str:
    return f"{value:,.6g}" if value < 1e6 else f"{value:.3g}"
