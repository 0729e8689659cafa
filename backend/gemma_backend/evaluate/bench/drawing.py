"""A few plain shapes, and the two ways to write them: SVG for documents, PNG for whatever shows no SVG."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

Anchor = Literal["start", "middle", "end"]
SCALE = 2
"""Pixels of a PNG for each unit, so that it stays sharp on a screen with many of them."""
SMOOTH = 2
"""Pixels drawn for each that is kept: Pillow's lines have no smooth edges of their own."""


@dataclass(frozen=True, slots=True)
class Box:
    """A filled rectangle."""

    x: float
    y: float
    width: float
    height: float
    colour: str


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line, one unit wide."""

    x1: float
    y1: float
    x2: float
    y2: float
    colour: str


@dataclass(frozen=True, slots=True)
class Path:
    """Points joined by lines, two units wide."""

    points: tuple[tuple[float, float], ...]
    colour: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A filled circle."""

    x: float
    y: float
    radius: float
    colour: str


@dataclass(frozen=True, slots=True)
class Words:
    """Text whose baseline is at `y`; with `upward` it reads from bottom to top."""

    x: float
    y: float
    text: str
    anchor: Anchor = "start"
    bold: bool = False
    colour: str = "#444444"
    size: float = 12.0
    upward: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Shapes of which the origin is moved to (x, y)."""

    x: float
    y: float
    shapes: tuple[Shape, ...]


Shape = Box | Line | Path | Dot | Words | Group


@dataclass(frozen=True, slots=True)
class Picture:
    """Shapes on white; x grows to the right, y downward."""

    width: int
    height: int
    shapes: tuple[Shape, ...]


def svg(picture: Picture) -> str:
    """The picture as a document of its own."""
    size = f'width="{picture.width}" height="{picture.height}"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {picture.width} {picture.height}" {size} '
        'font-family="sans-serif" font-size="12">'
    )
    return "\n".join([head, f'<rect {size} fill="#ffffff"/>', *map(_element, picture.shapes), "</svg>"]) + "\n"


def _element(shape: Shape) -> str:
    match shape:
        case Box(x, y, width, height, colour):
            return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'
        case Line(x1, y1, x2, y2, colour):
            return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'
        case Path(points, colour):
            joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            return f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2"/>'
        case Dot(x, y, radius, colour):
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{colour}"/>'
        case Words():
            return _written(shape)
        case Group(x, y, shapes):
            return f'<g transform="translate({x:.1f} {y:.1f})">{"".join(map(_element, shapes))}</g>'


def _written(words: Words) -> str:
    turned = f"translate({words.x:.1f} {words.y:.1f}) rotate(-90)"
    place = f'transform="{turned}"' if words.upward else f'x="{words.x:.1f}" y="{words.y:.1f}"'
    weight = ' font-weight="bold"' if words.bold else ""
    size = f' font-size="{words.size:g}"' if words.size != 12.0 else ""
    return f'<text {place} text-anchor="{words.anchor}"{weight}{size} fill="{words.colour}">{escape(words.text)}</text>'


def png(picture: Picture) -> bytes:
    """The picture as a PNG, SCALE pixels for each unit; its letters are those of the font that Pillow ships."""
    from PIL import Image, ImageDraw

    unit = SCALE * SMOOTH
    image = Image.new("RGB", (picture.width * unit, picture.height * unit), "#ffffff")
    _Painter(image, ImageDraw.Draw(image), unit).paint(picture.shapes)
    written = io.BytesIO()
    image.reduce(SMOOTH).save(written, "PNG", optimize=True)
    return written.getvalue()


class _Painter:
    """Draws shapes on an image, `unit` pixels for each of theirs."""

    def __init__(self, image: Image, draw: ImageDraw, unit: int) -> None:
        from PIL import ImageFont

        self._image = image
        self._draw = draw
        self._unit = unit
        self._font: Callable[[float], Any] = lambda size: ImageFont.load_default(size * unit)
        self._fonts: dict[float, Any] = {}

    def paint(self, shapes: Sequence[Shape], x: float = 0.0, y: float = 0.0) -> None:
        """Draw them with their origin at (x, y)."""
        for shape in shapes:
            if isinstance(shape, Group):
                self.paint(shape.shapes, x + shape.x, y + shape.y)
            else:
                self._one(shape, x, y)

    def _one(self, shape: Box | Line | Path | Dot | Words, x: float, y: float) -> None:
        unit = self._unit

        def at(across: float, down: float) -> tuple[float, float]:
            return (x + across) * unit, (y + down) * unit

        match shape:
            case Box(left, top, width, height, colour):
                self._draw.rectangle((*at(left, top), *at(left + width, top + height)), fill=colour)
            case Line(x1, y1, x2, y2, colour):
                self._draw.line((at(x1, y1), at(x2, y2)), fill=colour, width=unit)
            case Path(points, colour):
                if len(points) > 1:
                    self._draw.line([at(*point) for point in points], fill=colour, width=2 * unit, joint="curve")
            case Dot(left, top, radius, colour):
                self._draw.ellipse((*at(left - radius, top - radius), *at(left + radius, top + radius)), fill=colour)
            case Words():
                self._write(shape, *at(shape.x, shape.y))

    def _write(self, words: Words, x: float, y: float) -> None:
        font = self._fonts.setdefault(words.size, self._font(words.size))
        place = {"start": "l", "middle": "m", "end": "r"}[words.anchor] + "s"
        # Pillow's own font has one weight: a narrow outline in the same colour makes it bold.
        bold = self._unit // 3 if words.bold else 0
        if not words.upward:
            self._draw.text(
                (x, y), words.text, fill=words.colour, font=font, anchor=place, stroke_width=bold,
                stroke_fill=words.colour,
            )  # fmt: skip
            return
        from PIL import Image, ImageDraw

        length = round(font.getlength(words.text)) + 2 * self._unit
        deep = round(2 * words.size * self._unit)
        mask = Image.new("L", (length, deep))
        ImageDraw.Draw(mask).text((length / 2, deep / 2), words.text, fill=255, font=font, anchor="ms")
        turned = mask.transpose(Image.Transpose.ROTATE_90)
        self._image.paste(words.colour, (round(x - deep / 2), round(y - length / 2)), turned)
