"""Prompts of a wanted length for any tokenizer, and pictures and clips that no cache has seen."""

from __future__ import annotations

import hashlib
import io
import json
import random
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gemma_backend.chat.request import chat_body, completion_body
from gemma_backend.evaluate.bench.workload import KINDS, Kind, Workload
from gemma_backend.types import AudioPart, ImagePart, Part, Sampling, TextPart, Turn

# Short and common, so that a vocabulary of any size has most of them as one token.
_COMMON = (
    "the of and to in is it was for on are as with his they at be this from have or by one had not but what"
    " all were when we there can an your which their said if do will each about how up out them then she many"
    " some so these would other into has more her two like him see time could no make than first been its who"
    " now people my made over did down only way find use may water long little very after words called just"
    " where most know"
)
WORDS = tuple(_COMMON.split())
RATE = 16_000


@dataclass(frozen=True, slots=True)
class Scale:
    """How a server counts: `fixed` tokens in every prompt, and `each` for a word."""

    fixed: float = 0.0
    each: float = 1.0

    @classmethod
    def from_two(cls, few: tuple[int, int], many: tuple[int, int]) -> Scale:
        """The scale through two prompts of so many words and so many tokens."""
        each = (many[1] - few[1]) / (many[0] - few[0])
        if each <= 0:
            return cls()
        return cls(max(0.0, few[1] - each * few[0]), each)

    def words(self, tokens: int) -> int:
        """How many words make a prompt of `tokens`, one at least."""
        return max(1, round((tokens - self.fixed) / self.each))


@dataclass(frozen=True, slots=True)
class Question:
    """One request before it is sent: its body, and how many tokens it asks for."""

    body: bytes
    kind: Kind
    output_tokens: int


class Questions:
    """Makes request number 0, 1, 2 and so on of a workload; the same seed gives the same ones.

    `dropped` are fields that the server was found to refuse.
    """

    def __init__(self, workload: Workload, model: str, scale: Scale, dropped: frozenset[str] = frozenset()) -> None:
        self._workload = workload
        self._model = model
        self._scale = scale
        self._dropped = dropped
        self._shared = words(random.Random(f"shared {workload.seed}"), round(workload.shared_prefix / scale.each))

    def make(self, number: int) -> Question:
        """Request `number`; negative ones are for warming up and share nothing with the others but the prefix."""
        workload = self._workload
        chance = random.Random(f"{workload.seed} {number}")
        (kind,) = chance.choices(KINDS, [workload.mix.get(kind, 0.0) for kind in KINDS])
        wanted = self._scale.words(workload.prompt_tokens.drawn(chance))
        text = " ".join((*self._shared, *words(chance, max(1, wanted - len(self._shared)))))
        output = workload.output_tokens.drawn(chance)
        parts: list[Part] = [TextPart(text)]
        if kind == "image":
            parts.insert(0, picture(chance, workload.image_pixels))
        elif kind == "audio":
            parts.insert(0, clip(chance, workload.audio_seconds))
        return Question(body_of(workload, self._model, parts, output, self._dropped), kind, output)


def words(chance: random.Random, count: int) -> list[str]:
    """`count` words at random."""
    return chance.choices(WORDS, k=count)


def body_of(
    workload: Workload, model: str, parts: Sequence[Part], output_tokens: int, dropped: frozenset[str] = frozenset()
) -> bytes:
    """The JSON of a request for `output_tokens`, without the fields in `dropped`."""
    sampling = Sampling(max_tokens=output_tokens, temperature=workload.temperature)
    body: dict[str, Any]
    if workload.chat:
        # Never taken for a base model: its stop words would end replies early.
        body = chat_body([Turn("user", tuple(parts))], sampling, model, base=False)
    else:
        text = "".join(part.text for part in parts if isinstance(part, TextPart))
        body = completion_body(text, sampling, model)
    # Counts within every event would make each a third longer; the last one has them.
    body["stream_options"] = {"include_usage": True}
    if workload.ignore_eos:
        body["ignore_eos"] = True
    body |= workload.extra
    for name in dropped:
        body.pop(name, None)
    return json.dumps(body, ensure_ascii=False).encode()


def picture(chance: random.Random, pixels: int) -> ImagePart:
    """A square picture of coloured blocks, as a JPEG, unlike any other."""
    from PIL import Image

    small = Image.frombytes("RGB", (8, 8), chance.randbytes(8 * 8 * 3))
    written = io.BytesIO()
    small.resize((pixels, pixels), Image.Resampling.BICUBIC).save(written, "JPEG", quality=85)
    data = written.getvalue()
    return ImagePart(data, "image/jpeg", "bench.jpg", pixels, pixels, hashlib.sha256(data).hexdigest())


def clip(chance: random.Random, seconds: float) -> AudioPart:
    """A clip of tones, as 16 kHz mono WAV, unlike any other."""
    import numpy

    at = numpy.arange(round(seconds * RATE)) / RATE
    pitches = numpy.array([chance.uniform(100, 2000) for _ in range(3)])
    tones = numpy.sin(2 * numpy.pi * pitches[:, None] * at).sum(axis=0)
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((tones * 8000).astype("<i2").tobytes())
    data = written.getvalue()
    return AudioPart(data, "wav", "bench.wav", seconds, hashlib.sha256(data).hexdigest())
