"""Spoken words from espeak-ng, rendered beforehand into one FLAC file and an index.

    PYTHONPATH=packaging PYTHON -m pocket.data.speech DST [--seed 0] [--takes 2]

Needs the `espeak-ng` program (Debian's package of that name) and soundfile. The same version of espeak-ng gives the
same samples from the same seed. The clips are 16 kHz mono, trimmed to the word, at 10 bits, which FLAC packs well.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import wave
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocket.data.dice import Dice

RATE = 16_000


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
WORDS = DIGITS + _names(
    "yes no up down left right stop go red green blue yellow black white cat dog bird horse tree house water fire sun "
    "moon happy open music apple table garden window hello"
)
ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029", "en-us-nyc")
# espeak-ng's variants, which differ in pitch, formants, breath and roughness. Whispers and effects are left out.
TRAINED = _names(
    "adam Alex Alicia Andy antonio aunty belinda benjamin boris caleb david Diogo ed edward edward2 f1 f2 f4 f5 "
    "Gene Gene2 grandma grandpa Gustave Henrique iven iven2 iven3 iven4 john kaukovalta klatt klatt2 klatt3 "
    "klatt4 Lee linda m1 m2 m3 m5 m6 m7 m8 marcelo Marco Mario max Michael michel miguel norbert pablo paul pedro "
    "quincy rob robert sandro shelby steph steph2 steph3 travis victor zac AnxiousAndy anika"
)
UNSEEN = ("f3", "m4", "Andrea", "mike", "Denis", "Hugo", "Annie", "Jacky")


@dataclass(frozen=True)
class Clip:
    """One spoken word: samples `start` to `end` of the file, who says it, and whether that voice is held out."""

    word: str
    voice: str
    start: int
    end: int
    unseen: bool


def resample(sound: npt.NDArray[np.float64], rate: int) -> npt.NDArray[np.float64]:
    """The sound at 16 kHz, through its spectrum: exact for what lies under 8 kHz."""
    count = round(len(sound) * RATE / rate)
    spectrum = np.fft.rfft(sound)
    kept = np.zeros(count // 2 + 1, dtype=np.complex128)
    shared = min(len(kept), len(spectrum))
    kept[:shared] = spectrum[:shared]
    return np.fft.irfft(kept, count) * (count / len(sound))


def trim(sound: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The sound without the silence around it: frames of 10 ms under 1% of the peak, less a margin of 20 ms."""
    loud = np.flatnonzero(np.abs(sound) > 0.01 * np.abs(sound).max())
    margin = RATE // 50
    return sound[max(0, loud[0] - margin) : loud[-1] + margin]


def speak(text: str, accent: str, variant: str, speed: int, pitch: int) -> npt.NDArray[np.int16]:
    """What espeak-ng says, at 16 kHz with a peak of 0.9, in 10 bits; `speed` in words a minute, `pitch` 0 to 99."""
    command = ["espeak-ng", "-v", f"{accent}+{variant}", "-s", str(speed), "-p", str(pitch), "--stdout", text]
    made = subprocess.run(command, check=True, capture_output=True).stdout
    with wave.open(io.BytesIO(made)) as file:
        rate = file.getframerate()
        raw = np.frombuffer(file.readframes(file.getnframes() or 10**9), dtype="<i2")
    sound = trim(resample(raw.astype(np.float64), rate))
    scaled = np.round(sound * (0.9 * 511 / np.abs(sound).max()))
    return (scaled.astype(np.int16) * 64).astype(np.int16)


def jobs(seed: int, takes: int, words: tuple[str, ...] = WORDS) -> list[tuple[str, str, str, int, int, bool]]:
    """What is to be said: each variant says each word `takes` times, each time at a speed and a pitch of its own."""
    dice = Dice(f"speech {seed}")
    made = []
    for unseen, variants in ((False, TRAINED), (True, UNSEEN)):
        for variant in variants:
            for _ in range(takes):
                accent = dice.pick(ACCENTS)
                made += [(word, accent, variant, dice.whole(110, 210), dice.whole(25, 75), unseen) for word in words]
    return made


def render(folder: Path, seed: int, takes: int, words: tuple[str, ...] = WORDS) -> float:
    """Write `speech.flac` and `speech.json` into `folder`; returns the seconds of speech."""
    import soundfile

    work = jobs(seed, takes, words)
    with ThreadPoolExecutor(2) as pool:
        sounds = list(pool.map(lambda job: speak(*job[:5]), work))
    at = 0
    clips = []
    for (word, accent, variant, _, _, unseen), sound in zip(work, sounds, strict=True):
        clips.append(Clip(word, f"{accent}+{variant}", at, at + len(sound), unseen))
        at += len(sound)
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / "speech.flac", np.concatenate(sounds), RATE, subtype="PCM_16", compression_level=1.0)
    (folder / "speech.json").write_text(json.dumps([list(asdict(clip).values()) for clip in clips]), "utf-8")
    return at / RATE


class Bank:
    """The rendered words, by voice: `seen` to learn from, `unseen` held out."""

    def __init__(self, folder: Path) -> None:
        import soundfile

        samples, _ = soundfile.read(folder / "speech.flac", dtype="int16")
        self._samples = samples
        rows = json.loads((folder / "speech.json").read_text("utf-8"))
        self.clips = [Clip(*row) for row in rows]
        self.seen = self._by_voice(False)
        self.unseen = self._by_voice(True)

    def _by_voice(self, unseen: bool) -> list[dict[str, list[Clip]]]:
        found: dict[str, dict[str, list[Clip]]] = {}
        for clip in self.clips:
            if clip.unseen == unseen:
                found.setdefault(clip.voice.split("+")[1], {}).setdefault(clip.word, []).append(clip)
        return list(found.values())

    def samples(self, clip: Clip) -> npt.NDArray[np.float32]:
        """The word's samples, -1 to 1."""
        return self._samples[clip.start : clip.end].astype(np.float32) / 32768


def main() -> None:
    """Read the command line and render."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dst", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--takes", type=int, default=2)
    options = parser.parse_args()
    print(f"{render(options.dst, options.seed, options.takes):,.0f} s of speech in {options.dst}")


if __name__ == "__main__":
    main()
