"""The tokenizer of the trained pocket checkpoint: byte-level BPE over the text that the generators make.

PYTHONPATH=packaging PYTHON -m pocket.vocabulary DST
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from pocket import tokenizer
from pocket.data import conversations, scene_talk, scenes, sound_talk, stories, talk
from pocket.data.dice import Dice
from pocket.data.sound import TONES
from pocket.data.speech import WORDS
from pocket.model import TRAINED


def texts() -> Iterator[str]:
    """Stories, conversations and captions in about the shares that training has."""
    dice = Dice("vocabulary")
    for _ in range(6000):
        yield stories.story(dice)
    for _ in range(6000):
        asked, answer = talk.exchange(dice)
        yield f"User: {asked}\nAssistant: {answer}\n"
    for _ in range(3000):
        for asked, answer in scene_talk.exchanges(dice, scenes.scene(dice)):
            yield f"User: {asked}\nAssistant: {answer}\n"
    for _ in range(500):
        words = [dice.pick(WORDS) for _ in range(dice.whole(1, 5))]
        yield f"User: {dice.pick(sound_talk.ASK)}\nAssistant: I hear the words: {', '.join(words)}.\n"
        tones = [dice.pick(TONES) for _ in range(dice.whole(1, 4))]
        yield f"Assistant: I hear three tones: {', '.join(tones)}. I hear only noise. The last tone is {tones[0]}.\n"
    yield from conversations.SYSTEMS


def main() -> None:
    """Write `tokenizer.json` into the folder that the command line names."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.train(texts(), TRAINED.vocabulary).save(str(folder / "tokenizer.json"))


if __name__ == "__main__":
    main()
