"""Scenes of one to four shapes: what is in them, and how they are drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from pocket.data.dice import Dice

FORMS = ("circle", "square", "triangle", "star", "cross", "ring", "heart", "diamond")
SIZES = ("small", "large")
PLACES = (
    "at the top left", "at the top", "at the top right",
    "on the left", "in the centre", "on the right",
    "at the bottom left", "at the bottom", "at the bottom right",
)  # fmt: skip
# Each colour's middle as red, green, blue; drawn up to 16 away in each, which keeps the names apart.
COLOURS = {
    "red": (214, 30, 34), "green": (34, 150, 50), "blue": (32, 64, 205), "yellow": (248, 222, 36),
    "orange": (246, 134, 20),
    "purple": (124, 38, 160), "pink": (250, 150, 192), "brown": (116, 68, 26), "black": (18, 18, 18),
    "white": (240, 240, 240), "grey": (130, 130, 130),
}  # fmt: skip
GROUNDS = ("white", "black", "grey", "blue", "green", "yellow", "pink")
# Too near to tell at a glance when one lies on the other.
CLASHES = frozenset({frozenset({"black", "brown"}), frozenset({"white", "pink"}), frozenset({"white", "yellow"})})


@dataclass(frozen=True)
class Shape:
    """A shape of the scene; `place` is 0 to 8, in reading order."""

    form: str
    colour: str
    size: str
    place: int


@dataclass(frozen=True)
class Scene:
    """One to four shapes in reading order, no two in one place, on a ground of another colour."""

    shapes: tuple[Shape, ...]
    ground: str


def scene(dice: Dice) -> Scene:
    """Any scene, each as likely."""
    ground = dice.pick(GROUNDS)
    usable = [name for name in COLOURS if name != ground and frozenset({name, ground}) not in CLASHES]
    places = sorted(dice.some(range(9), dice.whole(1, 4)))
    shapes = tuple(Shape(dice.pick(FORMS), dice.pick(usable), dice.pick(SIZES), place) for place in places)
    return Scene(shapes, ground)


def _shade(dice: Dice, name: str) -> tuple[int, int, int]:
    red, green, blue = (min(255, max(0, value + dice.whole(-16, 16))) for value in COLOURS[name])
    return red, green, blue


def _star(turn: float) -> list[tuple[float, float]]:
    points = []
    for index in range(10):
        angle = turn - math.pi / 2 + index * math.pi / 5
        reach = 1.08 if index % 2 == 0 else 0.45
        points.append((reach * math.cos(angle), reach * math.sin(angle)))
    return points


def _turned(points: list[tuple[float, float]], turn: float) -> list[tuple[float, float]]:
    sine, cosine = math.sin(turn), math.cos(turn)
    return [(x * cosine - y * sine, x * sine + y * cosine) for x, y in points]


def _heart() -> list[tuple[float, float]]:
    points = []
    for index in range(48):
        angle = 2 * math.pi * index / 48
        x = 16 * math.sin(angle) ** 3
        y = 13 * math.cos(angle) - 5 * math.cos(2 * angle) - 2 * math.cos(3 * angle) - math.cos(4 * angle)
        points.append((x / 16, -y / 16))
    return points


def outline(form: str, turn: float) -> list[tuple[float, float]]:
    """The corners of a form of unit reach, turned by `turn` radians; circle and ring are drawn as ellipses instead."""
    if form == "square":
        return _turned([(-0.84, -0.84), (0.84, -0.84), (0.84, 0.84), (-0.84, 0.84)], turn)
    if form == "triangle":
        return _turned([(0, -0.98), (0.98, 0.82), (-0.98, 0.82)], turn)
    if form == "diamond":
        return _turned([(0, -1.1), (0.72, 0), (0, 1.1), (-0.72, 0)], turn)
    if form == "cross":
        arm = 0.32
        corners = [
            (-arm, -1.0), (arm, -1.0), (arm, -arm), (1.0, -arm), (1.0, arm), (arm, arm),
            (arm, 1.0), (-arm, 1.0), (-arm, arm), (-1.0, arm), (-1.0, -arm), (-arm, -arm),
        ]  # fmt: skip
        return _turned(corners, turn)
    if form == "star":
        return _star(turn)
    return _turned(_heart(), turn)


def _draw(
    draw: ImageDraw.ImageDraw, dice: Dice, shape: Shape, width: int, height: int, ground: tuple[int, int, int]
) -> None:
    """One shape inside its ninth of the picture: large ones nearly fill it, small ones about half of that."""
    cell_w, cell_h = width / 3, height / 3
    side = min(cell_w, cell_h)
    reach = side * (dice.real(0.19, 0.235) if shape.size == "small" else dice.real(0.39, 0.46))
    free_x, free_y = (max(0.0, 0.5 * cell - reach * 1.08) for cell in (cell_w, cell_h))
    # Small shapes keep to the middle of their ninth, so that the place is never in doubt.
    free_x, free_y = min(free_x, 0.16 * cell_w), min(free_y, 0.16 * cell_h)
    x = (shape.place % 3 + 0.5) * cell_w + dice.real(-free_x, free_x)
    y = (shape.place // 3 + 0.5) * cell_h + dice.real(-free_y, free_y)
    colour = _shade(dice, shape.colour)
    if shape.form in ("circle", "ring"):
        draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=colour)
        if shape.form == "ring":
            hole = reach * dice.real(0.5, 0.62)
            draw.ellipse((x - hole, y - hole, x + hole, y + hole), fill=ground)
        return
    turn = dice.real(-0.16, 0.16)
    draw.polygon([(x + reach * px, y + reach * py) for px, py in outline(shape.form, turn)], fill=colour)


def picture_size(dice: Dice) -> tuple[int, int]:
    """Width and height: 160 to 900 pixels a side, from 1:2 to 2:1."""
    area = dice.real(200, 620)
    aspect = 2 ** dice.real(-0.9, 0.9) if dice.chance(0.75) else 1.0
    return max(96, round(area * math.sqrt(aspect))), max(96, round(area / math.sqrt(aspect)))


def paint(seen: Scene, dice: Dice, size: tuple[int, int] | None = None) -> Image.Image:
    """The scene as an RGB picture of `size` (width, height), or of a size of its own; smooth edges or hard ones."""
    width, height = size or picture_size(dice)
    scale = 2 if size or (width < 420 and dice.chance(0.7)) else 1
    ground = _shade(dice, seen.ground)
    image = Image.new("RGB", (width * scale, height * scale), ground)
    draw = ImageDraw.Draw(image)
    for shape in seen.shapes:
        _draw(draw, dice, shape, width * scale, height * scale, ground)
    if scale > 1:
        image = image.resize((width, height), Image.Resampling.BOX)
    if size:
        return image
    if dice.chance(0.2):
        image = image.filter(ImageFilter.GaussianBlur(dice.real(0.3, 0.002 * min(width, height) + 0.4)))
    if dice.chance(0.25):
        generator = np.random.Generator(np.random.PCG64(dice.whole(0, 2**31)))
        grain = generator.standard_normal((height, width, 1), dtype=np.float32) * np.float32(dice.real(1, 9))
        image = Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))
    return image
