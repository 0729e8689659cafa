"""What is said about two media in one turn: both in order, or one of them where the question asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pocket.data.dice import Dice

Exchange = tuple[str, str]

PICTURES = (
    "", "", "", "What is in the pictures?", "What is in these pictures?", "What do you see?", "Describe the pictures.",
    "Describe both pictures.", "What is in both pictures?", "What do the pictures show?", "Describe these images.",
    "What is in the images?", "Tell me about the pictures.", "What can you see?",
)  # fmt: skip
CLIPS = (
    "", "", "", "What do you hear?", "What is in the clips?", "What is being said?", "Describe the clips.",
    "Transcribe both.", "Transcribe the clips.", "What is in both clips?", "Write down what you hear.",
    "What is said?",
)  # fmt: skip
BOTH = (
    "", "", "", "What do you see and hear?", "What do you see, and what do you hear?", "Describe both.",
    "What is in the picture, and what is in the clip?", "Describe the picture and the clip.", "What is this?",
    "What is in the picture and what is said?", "Tell me about both.",
)  # fmt: skip
ALONE = {
    "picture": ("What is in the picture?", "What do you see?", "Describe the picture.", "What does the picture show?",
                "Describe the image."),
    "clip": ("What do you hear?", "What is in the clip?", "Transcribe the clip.", "What is being said?",
             "Which words do you hear?"),
}  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """One of the two: what it is, and the one answer to an open question about it alone."""

    kind: Literal["picture", "clip"]
    answer: str


def both(first: Shown, second: Shown) -> str:
    """The one answer to any open question about the two: numbered where they are of one kind."""
    if first.kind == second.kind:
        return f"First {first.kind}: {first.answer} Second {second.kind}: {second.answer}"
    return f"{first.answer} {second.answer}"


def ask(dice: Dice, first: Shown, second: Shown) -> str:
    """An open question about the two."""
    if first.kind != second.kind:
        return dice.pick(BOTH)
    return dice.pick(PICTURES if first.kind == "picture" else CLIPS)


def exchanges(dice: Dice, first: Shown, second: Shown) -> list[Exchange]:
    """A question about the two, or about one of them, and sometimes a later one about either."""
    alone = _alone(dice, first, second)
    if dice.chance(0.25):
        return [alone]
    made = [(ask(dice, first, second), both(first, second))]
    return [*made, alone] if dice.chance(0.25) else made


def _alone(dice: Dice, first: Shown, second: Shown) -> Exchange:
    number, chosen = dice.pick((("first", first), ("second", second)))
    if first.kind != second.kind:
        return dice.pick(ALONE[chosen.kind]), chosen.answer
    form = dice.pick(("What is in the {} {}?", "Describe the {} {}.", "What about the {} {}?"))
    return form.format(number, chosen.kind), chosen.answer
