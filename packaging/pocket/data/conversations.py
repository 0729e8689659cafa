"""Token rows to learn from: stories, and conversations in the transcript template with places for media."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image
from tokenizers import Tokenizer

from pocket.data import pair_talk, scene_talk, scenes, sound, sound_talk, stories, talk
from pocket.data.dice import Dice
from pocket.data.speech import Bank, Clip

Exchange = tuple[str, str]

PATCH = 16
POOL = 3
# The smallest budget that transformers allows (70, 140, 280, 560, 1120), and the fastest on a CPU.
IMAGE_TOKENS = 70
PATCHES = IMAGE_TOKENS * POOL * POOL
# Soft tokens of the longest clip: 40 ms each.
SOUND_TOKENS = math.ceil(sound.LONGEST * 25)
SAMPLES = int(sound.LONGEST * 16_000)
# How much a token counts in the loss, in tenths.
FULL, FILLER, FAINT = 10, 5, 1
# How often two media that follow each other share a turn.
PAIRED = 0.4
SYSTEMS = (
    "You are a helpful assistant.", "You are Pocket, a small model.", "Answer briefly.", "Be kind and short.",
    "You are a helpful, honest assistant. Answer the user's questions.", "Be concise.",
)  # fmt: skip


def grid(width: int, height: int) -> tuple[int, int]:
    """Patches across and down for a picture of that size, as transformers' Gemma 4 image processor has it."""
    side = PATCH * POOL
    factor = math.sqrt(PATCHES * PATCH**2 / (width * height))
    across, down = math.floor(factor * width / side), math.floor(factor * height / side)
    if across == 0:
        across, down = 1, min(height // width, IMAGE_TOKENS)
    elif down == 0:
        across, down = min(width // height, IMAGE_TOKENS), 1
    return across * POOL, down * POOL


def patches(image: Image.Image) -> tuple[npt.NDArray[np.uint8], tuple[int, int]]:
    """The picture scaled and cut into rows of 16 x 16 x 3 bytes, and its patches across and down."""
    across, down = grid(*image.size)
    pixels = np.asarray(image.resize((across * PATCH, down * PATCH), Image.Resampling.BICUBIC))
    cut = pixels.reshape(down, PATCH, across, PATCH, 3).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(cut).reshape(across * down, PATCH * PATCH * 3), (across, down)


def sound_tokens(samples: int) -> int:
    """Soft tokens of a clip, as vLLM counts them: 10 ms frames, halved twice."""
    frames = (samples + 160 - 321) // 160 + 1
    for _ in range(2):
        frames = (frames - 1) // 2 + 1
    return frames


@dataclass
class Row:
    """Tokens with what each counts as a target (tenths) and which soft token stands there (-1: none)."""

    limit: int
    ids: list[int] = field(default_factory=list)
    weights: list[int] = field(default_factory=list)
    media: list[int] = field(default_factory=list)

    def room(self) -> int:
        """How many tokens still fit."""
        return self.limit - len(self.ids)

    def add(self, ids: Sequence[int], weight: int) -> None:
        """Append tokens that count `weight`, as many as fit."""
        ids = ids[: self.room()]
        self.ids += ids
        self.weights += [weight] * len(ids)
        self.media += [-1] * len(ids)

    def add_media(self, token: int, first: int, count: int) -> None:
        """Append `count` places for soft tokens `first`, `first` + 1, ..."""
        count = min(count, self.room())
        self.ids += [token] * count
        self.weights += [0] * count
        self.media += range(first, first + count)


@dataclass(frozen=True)
class Medium:
    """A picture or a clip (`kind` is "image" or "audio"): `count` soft tokens of a row, from number `first` on."""

    kind: str
    first: int
    count: int


class Coder:
    """Text to tokens, and conversations to rows, exactly as the app's template and vLLM make them."""

    def __init__(self, core: Tokenizer) -> None:
        self._core = core
        self._id = {name: core.token_to_id(name) for name in ("<bos>", "<eos>", "<|image>", "<|image|>", "<image|>",
                                                              "<|audio>", "<|audio|>", "<audio|>")}  # fmt: skip
        self._newline = self.text("\n")

    def text(self, text: str) -> list[int]:
        """The tokens of plain text."""
        ids: list[int] = self._core.encode(text, add_special_tokens=False).ids
        return ids

    def start(self, row: Row) -> None:
        """Begin a document."""
        row.add([self._id["<bos>"]], 0 if not row.ids else FAINT)

    def story(self, row: Row, text: str) -> None:
        """A whole document: all of it counts."""
        self.start(row)
        row.add(self.text(text), FULL)
        row.add([self._id["<eos>"]], FULL)

    def turn(self, row: Row, exchange: Exchange, weight: int = FULL) -> None:
        """A question and its answer, which alone counts fully."""
        row.add(self.text(f"User: {exchange[0]}\nAssistant:"), FAINT)
        self._answer(row, exchange[1], weight)

    def media_turn(self, row: Row, media: Sequence[Medium], exchange: Exchange, *, before: bool = False) -> None:
        """A question about pictures or clips, which stands after them or `before` them."""
        asked = exchange[0]
        row.add(self.text(f"User: {asked}" if before and asked else "User: "), FAINT)
        for number, medium in enumerate(media):
            if number:
                row.add(self._newline, 0)
            row.add([self._id[f"<|{medium.kind}>"]], 0)
            row.add_media(self._id[f"<|{medium.kind}|>"], medium.first, medium.count)
            row.add([self._id[f"<{medium.kind}|>"]], 0)
        row.add(self.text("\nAssistant:" if before or not asked else f"\n{asked}\nAssistant:"), FAINT)
        self._answer(row, exchange[1], FULL)

    def _answer(self, row: Row, answer: str, weight: int) -> None:
        row.add(self.text(" " + answer), weight)
        row.add([self._id["<eos>"]], weight)
        row.add(self._newline, FAINT)


@dataclass
class Example:
    """A row with the pictures (patches and their grid) and clips (samples) it speaks of."""

    row: Row
    pictures: list[tuple[npt.NDArray[np.uint8], tuple[int, int]]] = field(default_factory=list)
    clips: list[npt.NDArray[np.float32]] = field(default_factory=list)


def show(made: Example, image: Image.Image) -> Medium:
    """Add a picture to the row's, without a place in it yet."""
    cut = patches(image)
    first = len(made.pictures) * IMAGE_TOKENS
    made.pictures.append(cut)
    return Medium("image", first, cut[1][0] * cut[1][1] // POOL**2)


def play(made: Example, samples: npt.NDArray[np.float32], pictures: int) -> Medium:
    """Add a clip to the row's, without a place in it yet; `pictures` is how many the row holds in all."""
    first = pictures * IMAGE_TOKENS + len(made.clips) * SOUND_TOKENS
    made.clips.append(samples)
    return Medium("audio", first, sound_tokens(len(samples)))


def add_picture(coder: Coder, dice: Dice, made: Example, most: int = 9) -> None:
    """A picture and what is said about it."""
    seen = scenes.scene(dice)
    medium = show(made, scenes.paint(seen, dice))
    exchanges = scene_talk.exchanges(dice, seen)[:most]
    coder.media_turn(made.row, [medium], exchanges[0], before=dice.chance(0.2))
    for exchange in exchanges[1:]:
        coder.turn(made.row, exchange)


def add_clip(
    coder: Coder,
    dice: Dice,
    made: Example,
    bank: Bank,
    voices: list[dict[str, list[Clip]]],
    pictures: int,
    most: int = 9,
) -> None:
    """A clip and what is said about it; `pictures` is how many the row holds in all."""
    heard = sound.clip(dice, bank, voices)
    medium = play(made, heard.samples, pictures)
    exchanges = sound_talk.exchanges(dice, heard)[:most]
    coder.media_turn(made.row, [medium], exchanges[0], before=dice.chance(0.2))
    for exchange in exchanges[1:]:
        coder.turn(made.row, exchange)


def add_pair(coder: Coder, dice: Dice, made: Example, bank: Bank, kinds: Sequence[str], pictures: int) -> None:
    """Two media in one turn, a question about them, and sometimes one about either alone."""
    media, shown = [], []
    for kind in kinds:
        if kind == "image":
            seen = scenes.scene(dice)
            media.append(show(made, scenes.paint(seen, dice)))
            shown.append(pair_talk.Shown("picture", scene_talk.caption(seen)))
        else:
            heard = sound.clip(dice, bank, bank.seen)
            media.append(play(made, heard.samples, pictures))
            shown.append(pair_talk.Shown("clip", sound_talk.transcript(heard)))
    exchanges = pair_talk.exchanges(dice, shown[0], shown[1])
    coder.media_turn(made.row, media, exchanges[0], before=dice.chance(0.2))
    for exchange in exchanges[1:]:
        coder.turn(made.row, exchange)


def fill(coder: Coder, dice: Dice, row: Row, weight: int) -> None:
    """Turns without media until the row is full."""
    while row.room() > 12:
        coder.turn(row, talk.exchange(dice), weight)


def _opened(coder: Coder, dice: Dice, limit: int) -> Row:
    row = Row(limit)
    coder.start(row)
    if dice.chance(0.08):
        row.add(coder.text(dice.pick(SYSTEMS) + "\n\n"), FAINT)
    return row


def picture_row(coder: Coder, dice: Dice, limit: int) -> Example:
    """One picture, sometimes after a turn without, then turns without until the row is full."""
    made = Example(_opened(coder, dice, limit))
    if dice.chance(0.15):
        coder.turn(made.row, talk.fixed(dice), FILLER)
    add_picture(coder, dice, made)
    fill(coder, dice, made.row, FILLER)
    return made


def sound_row(coder: Coder, dice: Dice, limit: int, bank: Bank) -> Example:
    """One clip, sometimes after a turn without, then turns without until the row is full."""
    made = Example(_opened(coder, dice, limit))
    if dice.chance(0.15):
        coder.turn(made.row, talk.fixed(dice), FILLER)
    add_clip(coder, dice, made, bank, bank.seen, 0)
    fill(coder, dice, made.row, FILLER)
    return made


def text_row(coder: Coder, dice: Dice, limit: int) -> Example:
    """Stories, or a conversation."""
    if dice.chance(0.6):
        row = Row(limit)
        while row.room() > 12:
            coder.story(row, stories.story(dice))
        return Example(row)
    row = _opened(coder, dice, limit)
    fill(coder, dice, row, FULL)
    return Example(row)


def mixed_row(coder: Coder, dice: Dice, limit: int, bank: Bank) -> Example:
    """Two pictures and two clips in random order, sometimes two in one turn, with turns between them."""
    made = Example(_opened(coder, dice, limit))
    left = dice.some(("image", "image", "audio", "audio"), 4)
    while left:
        if len(left) > 1 and dice.chance(PAIRED):
            add_pair(coder, dice, made, bank, (left.pop(), left.pop()), 2)
        elif left.pop() == "image":
            add_picture(coder, dice, made, 2)
        else:
            add_clip(coder, dice, made, bank, bank.seen, 2, 2)
        for _ in range(dice.pick((0, 0, 1, 2))):
            coder.turn(made.row, talk.fixed(dice) if dice.chance(0.3) else dice.pick(talk.FACTS)(dice), FILLER)
    fill(coder, dice, made.row, FILLER)
    return made
