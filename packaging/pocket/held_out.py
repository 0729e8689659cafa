"""What the model never learns from: scenes, voices, questions and stories from seeds of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from pocket.data import pair_talk, scene_talk, scenes, sound, sound_talk, stories, talk
from pocket.data.dice import Dice
from pocket.data.speech import Bank


@dataclass(frozen=True)
class Picture:
    """A picture, the question asked about it, and what its caption must tell."""

    image: Image.Image
    question: str
    scene: scenes.Scene


@dataclass(frozen=True)
class Voice:
    """A clip in a voice that training never heard, the question, and the right transcript."""

    samples: npt.NDArray[np.float32]
    question: str
    answer: str
    words: tuple[str, ...]


def pictures(count: int) -> list[Picture]:
    """Scenes with open questions about them."""
    made = []
    for number in range(count):
        dice = Dice(f"held-out picture {number}")
        seen = scenes.scene(dice)
        made.append(Picture(scenes.paint(seen, dice), dice.pick(scene_talk.ASK), seen))
    return made


def voices(count: int, bank: Bank) -> list[Voice]:
    """Words of unseen voices, as a recording has them."""
    made = []
    for number in range(count):
        dice = Dice(f"held-out voice {number}")
        heard = sound.spoken(dice, bank, dice.pick(bank.unseen))
        made.append(Voice(heard.samples, dice.pick(sound_talk.ASK), sound_talk.transcript(heard), heard.words))
    return made


@dataclass(frozen=True)
class Pair:
    """Two media in one turn (pictures and clips), the question, and the right answer."""

    media: tuple[Image.Image | npt.NDArray[np.float32], ...]
    question: str
    answer: str


def pairs(count: int, bank: Bank) -> list[Pair]:
    """Two pictures, two clips of unseen voices, or one of each, with open questions about both."""
    made = []
    for number in range(count):
        dice = Dice(f"held-out pair {number}")
        media: list[Image.Image | npt.NDArray[np.float32]] = []
        shown = []
        for kind in dice.pick((("image", "image"), ("image", "audio"), ("audio", "image"), ("audio", "audio"))):
            if kind == "image":
                seen = scenes.scene(dice)
                media.append(scenes.paint(seen, dice))
                shown.append(pair_talk.Shown("picture", scene_talk.caption(seen)))
            else:
                heard = sound.spoken(dice, bank, dice.pick(bank.unseen))
                media.append(heard.samples)
                shown.append(pair_talk.Shown("clip", sound_talk.transcript(heard)))
        made.append(Pair(tuple(media), pair_talk.ask(dice, *shown), pair_talk.both(*shown)))
    return made


def questions(count: int) -> list[tuple[str, str]]:
    """The template's question set: everything with one right answer."""
    made = []
    for number in range(count):
        dice = Dice(f"held-out question {number}")
        made.append(talk.fixed(dice) if dice.chance(0.3) else dice.pick(talk.FACTS)(dice))
    return made


def tales(count: int) -> list[str]:
    """Stories."""
    return [stories.story(Dice(f"held-out story {number}")) for number in range(count)]
