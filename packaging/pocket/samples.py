"""Draw the picture and speak the clip that ship with the program: held out from training, like all the test's own.

    PYTHONPATH=packaging PYTHON -m pocket.samples DATA DST

DATA holds the rendered speech. Prints what the pocket checkpoint should say about each.
"""

from __future__ import annotations

import sys
import wave
from pathlib import Path

import numpy as np

from pocket.data import scene_talk, sound_talk
from pocket.data.dice import Dice
from pocket.data.scenes import Scene, Shape, paint
from pocket.data.sound import Heard, Sound
from pocket.data.speech import RATE, Bank

SCENE = Scene(
    (
        Shape("star", "yellow", "small", 0),
        Shape("circle", "red", "large", 4),
        Shape("square", "green", "small", 8),
    ),
    "blue",
)
VOICE = "f3"
WORDS = ("hello", "three", "blue", "music")


def speech(bank: Bank) -> Sound:
    """The words in the unseen voice, a third of a second apart, at half the full loudness."""
    voice = next(voice for voice in bank.unseen if next(iter(voice.values()))[0].voice.endswith(f"+{VOICE}"))
    pause = np.zeros(RATE // 4, np.float32)
    parts = [pause]
    for word in WORDS:
        parts += [bank.samples(voice[word][0]) * np.float32(0.5), pause]
    return np.concatenate(parts)


def main() -> None:
    """Write `scene.png` and `words.wav`."""
    data, folder = Path(sys.argv[1]), Path(sys.argv[2])
    paint(SCENE, Dice("sample picture"), (640, 480)).save(folder / "scene.png", optimize=True)
    sound = speech(Bank(data))
    with wave.open(str(folder / "words.wav"), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(np.round(sound * 32767).astype("<i2").tobytes())
    print(scene_talk.caption(SCENE))
    print(sound_talk.transcript(Heard(sound, words=WORDS)))


if __name__ == "__main__":
    main()
