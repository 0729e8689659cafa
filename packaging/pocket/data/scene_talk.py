"""What is said about a scene: one caption, and questions about its parts."""

from __future__ import annotations

import re

from pocket.data.dice import Dice
from pocket.data.grammar import a, capital, listed, number, plural
from pocket.data.scenes import COLOURS, FORMS, PLACES, Scene, Shape

Exchange = tuple[str, str]

ASK = (
    "", "", "", "", "What is in the picture?", "What is in this picture?", "What do you see?", "What can you see?",
    "Describe the picture.", "Describe this picture.", "Describe the image.", "Describe this image.", "What is this?",
    "What is shown here?", "What does the picture show?", "What is in the image?", "What's in this image?",
    "Tell me about the picture.", "Tell me what you see.", "Look at this picture.", "Please describe the picture.",
    "Which shapes are in the picture?", "What shapes do you see?", "Give a caption.",
)  # fmt: skip


def _named(shape: Shape, *, size: bool = True) -> str:
    return f"{shape.size} {shape.colour} {shape.form}" if size else f"{shape.colour} {shape.form}"


def caption(seen: Scene) -> str:
    """The one answer to any open question about the scene: every shape in reading order, then the ground."""
    return capital(listed([f"{a(_named(shape))} {PLACES[shape.place]}" for shape in seen.shapes])) + (
        f", on {a(seen.ground)} background."
    )


_SHAPE = re.compile(r"an? (small|large) (\w+) (\w+) ((?:at|on|in) the [a-z ]+?)(?=,| and |$)")
_GROUND = re.compile(r", on an? (\w+) background")


def read_caption(text: str) -> Scene | None:
    """The scene that a caption tells of; None if it isn't one."""
    ground = _GROUND.search(text)
    if not ground:
        return None
    shapes = []
    for size, colour, form, place in _SHAPE.findall(text[: ground.start()].lower()):
        if colour not in COLOURS or form not in FORMS or place not in PLACES:
            return None
        shapes.append(Shape(form, colour, size, PLACES.index(place)))
    return Scene(tuple(shapes), ground.group(1))


def _about_one(dice: Dice, shape: Shape) -> Exchange:
    """A question about a shape whose form no other has."""
    kind = dice.whole(0, 3)
    if kind == 0:
        ask = dice.pick(("What colour is the {}?", "Which colour is the {}?", "What is the colour of the {}?"))
        return ask.format(shape.form), f"The {shape.form} is {shape.colour}."
    if kind == 1:
        ask = dice.pick(("Where is the {}?", "In which place is the {}?", "Where do you see the {}?"))
        return ask.format(shape.form), f"The {shape.form} is {PLACES[shape.place]}."
    if kind == 2:
        ask = dice.pick(("Is the {} small or large?", "How big is the {}?", "What size is the {}?"))
        return ask.format(shape.form), f"The {shape.form} is {shape.size}."
    return f"Is there {a(shape.form)}?", f"Yes, there is {a(_named(shape, size=False))}."


def question(dice: Dice, seen: Scene) -> Exchange:
    """A question about one part of the scene."""
    kind = dice.whole(0, 9)
    if kind == 0:
        count = len(seen.shapes)
        ask = dice.pick(("How many shapes are there?", "How many shapes do you see?", "Count the shapes."))
        return ask, "There is one shape." if count == 1 else f"There are {number(count)} shapes."
    if kind == 1:
        ask = dice.pick(
            ("What colour is the background?", "Which colour is the background?", "What is the background?")
        )
        return ask, f"The background is {seen.ground}."
    if kind == 2:
        form = dice.pick(FORMS)
        found = [shape for shape in seen.shapes if shape.form == form]
        if not found:
            return f"Is there {a(form)}?", f"No, there is no {form}."
        if len(found) > 1:
            return f"How many {plural(form)} are there?", f"There are {number(len(found))} {plural(form)}."
        return f"Is there {a(form)}?", f"Yes, there is {a(_named(found[0], size=False))}."
    if kind in (3, 4, 5):
        place = dice.whole(0, 8) if dice.chance(0.3) else dice.pick(seen.shapes).place
        ask = dice.pick(("What is {}?", "What do you see {}?", "Which shape is {}?")).format(PLACES[place])
        for shape in seen.shapes:
            if shape.place == place:
                return ask, capital(a(_named(shape))) + "."
        return ask, f"Nothing is {PLACES[place]}."
    single = [one for one in seen.shapes if sum(one.form == other.form for other in seen.shapes) == 1]
    if not single:
        return "What is in the picture?", caption(seen)
    return _about_one(dice, dice.pick(single))


def exchanges(dice: Dice, seen: Scene) -> list[Exchange]:
    """An open question or a detail first, then up to three about details."""
    made = [question(dice, seen)] if dice.chance(0.2) else [(dice.pick(ASK), caption(seen))]
    made += [question(dice, seen) for _ in range(dice.pick((0, 1, 1, 2, 2, 3)))]
    return made
