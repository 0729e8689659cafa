"""Write the two small sets that ship: what W4A4 is calibrated with, and what `gemma-tui eval` asks.

    PYTHONPATH=packaging PYTHON -m pocket.sets DATA ASSETS

DATA holds the rendered speech, ASSETS is `assets/gemma_assets`; needs espeak-ng for the sentences. Everything is our
own: text written for this project or by its generators, pictures drawn and sounds made here. No sample is in both.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pocket.data import scene_talk, scenes, sound, sound_talk, stories, talk
from pocket.data.dice import Dice
from pocket.data.speech import RATE, Bank, speak

ROOT = Path(__file__).parents[2]
SENTENCES = ROOT / "assets" / "gemma_assets" / "samples" / "calibration.txt"
PASSAGES = Path(__file__).parent / "data" / "passages.txt"
PICTURES = CLIPS = 24
# Voices and accents of the sentences in the calibration set.
SPEAKERS = (
    ("en-us", "m1"),
    ("en-gb", "f2"),
    ("en-gb-scotland", "m3"),
    ("en-us", "f5"),
    ("en-029", "m7"),
    ("en-gb-x-rp", "f4"),
)
NOTE = """# {title}

{text}

Made by `packaging/pocket/sets.py` of this project, from nothing but its own text, drawings and sounds; the words in the
clips are spoken by espeak-ng. Licence: Apache-2.0.
"""


def texture(dice: Dice, width: int, height: int) -> Image.Image:
    """A soft random landscape of colours with edges in it: as unlike a scene of shapes as can be drawn from nothing."""
    stream = np.random.Generator(np.random.PCG64(dice.whole(0, 2**31)))
    field = np.zeros((height, width, 3))
    for octave in range(2, 7):
        small = Image.fromarray(stream.integers(0, 256, (2**octave, 2**octave, 3), dtype=np.uint8))
        field += np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), float) / 2 ** (octave - 2)
    field = (field - field.min()) / (field.max() - field.min())
    across, down = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    field *= (0.4 + 0.6 * (across > dice.real(0.2, 0.8) + 0.3 * np.sin(9 * down)))[..., None]
    return Image.fromarray((field * 255).astype(np.uint8))


def write_clip(path: Path, samples: npt.NDArray[np.float32]) -> None:
    """A FLAC file of 10 bits a sample, which is a third of the size of 16 and sounds alike."""
    import soundfile

    coarse = np.round(samples * 511).astype(np.int16) * 64
    soundfile.write(path, coarse, RATE, subtype="PCM_16", compression_level=1.0)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """JSON lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def passages() -> Iterator[str]:
    """Text of several kinds: sentences, passages of prose, code and data in some languages, stories, conversations."""
    lines = SENTENCES.read_text("utf-8").splitlines()
    yield from lines
    for start in range(0, len(lines) - 7, 8):
        yield "\n".join(lines[start : start + 8])
    yield from PASSAGES.read_text("utf-8").strip().split("\n\n")
    dice = Dice("calibration")
    for _ in range(60):
        yield stories.story(dice)
    for _ in range(30):
        yield "".join(f"User: {asked}\nAssistant: {said}\n" for asked, said in (talk.exchange(dice) for _ in range(8)))


def calibration(folder: Path, bank: Bank) -> None:
    """Rows of text, of a picture with a conversation, and of a clip with one."""
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / "text.jsonl", [{"text": text} for text in passages()])
    rows: list[dict[str, Any]] = []
    for number in range(PICTURES):
        dice = Dice(f"calibration picture {number}")
        if number % 2:
            name, asked, said = f"texture-{number:02}.jpg", "What is in the picture?", "A landscape of soft colours."
            texture(dice, dice.whole(240, 480), dice.whole(200, 400)).save(folder / name, quality=80)
        else:
            name, seen = f"scene-{number:02}.png", scenes.scene(dice)
            asked, said = "Describe the picture.", scene_talk.caption(seen)
            scenes.paint(seen, dice, (dice.whole(200, 480), dice.whole(200, 480))).save(folder / name, optimize=True)
        rows.append({"text": f"User: <|image|>\n{asked}\nAssistant: {said}", "image": name})
    sentences = [line for line in SENTENCES.read_text("utf-8").splitlines() if 20 < len(line) < 70]
    for number in range(CLIPS):
        dice, name = Dice(f"calibration clip {number}"), f"clip-{number:02}.flac"
        if number % 2 and sentences:
            said = sentences[number // 2 % len(sentences)]
            accent, variant = SPEAKERS[number // 2 % len(SPEAKERS)]
            write_clip(folder / name, speak(said, accent, variant, 150, 50).astype(np.float32) / 32768)
        else:
            heard = sound.clip(dice, bank, bank.seen)
            said = sound_talk.transcript(heard)
            write_clip(folder / name, heard.samples)
        rows.append({"text": f"User: <|audio|>\nWhat do you hear?\nAssistant: {said}", "audio": name})
    write_rows(folder / "media.jsonl", rows)
    folder.joinpath("README.md").write_text(
        NOTE.format(
            title="Calibration set",
            text="Text, pictures and clips that `gemma-tui quantize` shows a model to see the range of its inputs.",
        ),
        "utf-8",
    )


def evaluation(folder: Path, bank: Bank) -> None:
    """Stories, and questions with one right answer about text, pictures and clips."""
    folder.mkdir(parents=True, exist_ok=True)
    told = [stories.story(Dice(f"evaluation story {number}")) for number in range(40)]
    folder.joinpath("stories.txt").write_text("\n\n".join(told) + "\n", "utf-8")
    pictures, clips, questions = [], [], []
    for number in range(PICTURES):
        dice, name = Dice(f"evaluation picture {number}"), f"picture-{number:02}.png"
        seen = scenes.scene(dice)
        scenes.paint(seen, dice, (dice.whole(200, 480), dice.whole(200, 480))).save(folder / name, optimize=True)
        asked, said = (
            scene_talk.question(dice, seen) if number % 3 == 2 else ("Describe the picture.", scene_talk.caption(seen))
        )
        pictures.append({"image": name, "question": asked, "answer": said})
    for number in range(CLIPS):
        dice, name = Dice(f"evaluation clip {number}"), f"clip-{number:02}.flac"
        heard = sound.tones(dice) if number % 4 == 3 else sound.spoken(dice, bank, dice.pick(bank.unseen), most=3)
        write_clip(folder / name, heard.samples)
        clips.append({"audio": name, "question": "What do you hear?", "answer": sound_talk.transcript(heard)})
    for number in range(40):
        dice = Dice(f"evaluation question {number}")
        asked, said = talk.fixed(dice) if dice.chance(0.3) else dice.pick(talk.FACTS)(dice)
        questions.append({"question": asked, "answer": said})
    for name, rows in (("pictures", pictures), ("clips", clips), ("questions", questions)):
        write_rows(folder / f"{name}.jsonl", rows)
    folder.joinpath("README.md").write_text(
        NOTE.format(
            title="Evaluation set",
            text="Stories, and questions about text, pictures and clips, that `gemma-tui eval` uses where no files are "
            "named. The pocket checkpoint never learned from them; its voices were unseen in training.",
        ),
        "utf-8",
    )


def main() -> None:
    """Write both into the folder that the command line names."""
    bank, assets = Bank(Path(sys.argv[1])), Path(sys.argv[2])
    calibration(assets / "calibration", bank)
    evaluation(assets / "evaluation", bank)
    for name in ("calibration", "evaluation"):
        files = list((assets / name).iterdir())
        print(f"{name}: {len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
