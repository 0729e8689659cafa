"""What the model never learns from: scenes, voices, questions and stories from seeds of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from pocket.data import scene_talk, scenes, sound, sound_talk, stories, talk
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
