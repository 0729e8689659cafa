"""Clips: spoken words in a row, or tones, with the noise, loudness and speed that a person's recording would have."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pocket.data.dice import Dice
from pocket.data.speech import RATE, WORDS, Bank, Clip

Sound = npt.NDArray[np.float32]
# The longest clip made, in seconds: 105 soft tokens of 40 ms.
LONGEST = 4.2
TONES = ("low", "high", "rising", "falling")


@dataclass(frozen=True)
class Heard:
    """A clip's samples at 16 kHz, -1 to 1, and what is in it: spoken words, or tones, or neither."""

    samples: Sound
    words: tuple[str, ...] = ()
    tones: tuple[str, ...] = ()


def _noise(dice: Dice, count: int) -> Sound:
    """White noise, or noise that falls with frequency, of unit strength."""
    generator = np.random.Generator(np.random.PCG64(dice.whole(0, 2**31)))
    white = generator.standard_normal(count, dtype=np.float32)
    if dice.chance(0.5):
        return white
    for index in range(1, 4):
        white[index:] += white[:-index] * np.float32(0.8**index)
    return white / np.float32(max(1e-6, float(white.std())))


def _stretched(sound: Sound, factor: float) -> Sound:
    """The sound played `factor` times as fast, so also as high."""
    count = max(2, int(len(sound) / factor))
    return np.interp(np.arange(count) * factor, np.arange(len(sound)), sound).astype(np.float32)


def _tilted(sound: Sound, tilt: float) -> Sound:
    """The sound with its high frequencies weaker (`tilt` above 0) or stronger (below), as by another microphone."""
    made = sound.copy()
    made[1:] += np.float32(tilt) * sound[:-1]
    return made


def _finished(dice: Dice, parts: list[Sound], quiet: float) -> Sound:
    """The parts in a row, as a recording: its noise floor, its loudness."""
    sound = np.concatenate(parts)[: int(LONGEST * RATE)]
    # The signal-to-noise ratio in decibels; one clip in five is clean.
    if not dice.chance(0.2):
        power = float(np.sqrt(np.mean(sound**2))) + 1e-6
        sound = sound + _noise(dice, len(sound)) * np.float32(power * 10 ** (-dice.real(quiet, 45) / 20))
    peak = float(np.abs(sound).max()) + 1e-6
    return np.clip(sound * np.float32(dice.real(0.25, 0.95) / peak), -1, 1).astype(np.float32)


def _gap(dice: Dice, low: float, high: float) -> Sound:
    return np.zeros(int(dice.real(low, high) * RATE), dtype=np.float32)


def spoken(dice: Dice, bank: Bank, voice: dict[str, list[Clip]], *, plain: bool = False, most: int = 5) -> Heard:
    """One to five words of one voice with pauses between them; `plain` leaves speed and noise as rendered."""
    factor = 1.0 if plain else dice.real(0.84, 1.2)
    tilt = 0.0 if plain else dice.real(-0.35, 0.6)
    parts = [_gap(dice, 0.05, 0.3)]
    words: list[str] = []
    length = len(parts[0])
    for _ in range(dice.pick((1, 1, 2, 2, 3, 3, 4, 5)[: 2 * most])):
        word = dice.pick(WORDS)
        if word not in voice:
            continue
        sound = _stretched(bank.samples(dice.pick(voice[word])), factor)
        sound = _tilted(sound, tilt) * np.float32(dice.real(0.7, 1.0))
        pause = _gap(dice, 0.08, 0.35)
        if words and length + len(sound) + len(pause) > (LONGEST - 0.02) * RATE:
            break
        parts += [sound, pause]
        length += len(sound) + len(pause)
        words.append(word)
    return Heard(_finished(dice, parts, 60 if plain else 8), words=tuple(words))


def _tone(dice: Dice, kind: str) -> Sound:
    """A tone of 0.25 to 0.6 s: low under 350 Hz, high over 900 Hz, or gliding between the two."""
    seconds = dice.real(0.25, 0.6)
    count = int(seconds * RATE)
    low, high = dice.real(160, 350), dice.real(900, 2200)
    start, end = {"low": (low, low), "high": (high, high), "rising": (low, high), "falling": (high, low)}[kind]
    pitch = start * (end / start) ** np.linspace(0, 1, count)
    angle = 2 * math.pi * np.cumsum(pitch) / RATE
    wave = np.sin(angle)
    timbre = dice.whole(0, 2)
    if timbre == 1:
        wave = wave + 0.4 * np.sin(2 * angle) + 0.2 * np.sin(3 * angle)
    elif timbre == 2:
        wave = np.sign(wave) * 0.5 + 0.5 * wave
    fade = np.minimum(1, np.minimum(np.arange(count), np.arange(count)[::-1]) / (0.02 * RATE))
    return (wave * fade * dice.real(0.6, 1.0)).astype(np.float32)


def tones(dice: Dice) -> Heard:
    """One to four tones with pauses between them."""
    kinds = tuple(dice.pick(TONES) for _ in range(dice.whole(1, 4)))
    parts = [_gap(dice, 0.05, 0.3)]
    for kind in kinds:
        parts += [_tone(dice, kind), _gap(dice, 0.1, 0.35)]
    return Heard(_finished(dice, parts, 12), tones=kinds)


def quiet(dice: Dice) -> Heard:
    """Noise alone, half a second to three seconds."""
    count = int(dice.real(0.5, 3.0) * RATE)
    loud = 10 ** dice.real(-4, -1)
    return Heard(np.clip(_noise(dice, count) * np.float32(loud), -1, 1).astype(np.float32))


def clip(dice: Dice, bank: Bank, voices: list[dict[str, list[Clip]]]) -> Heard:
    """Mostly speech, some tones, a little noise."""
    kind = dice.real(0, 1)
    if kind < 0.78:
        return spoken(dice, bank, dice.pick(voices))
    return tones(dice) if kind < 0.97 else quiet(dice)
