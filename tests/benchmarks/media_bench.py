"""How long a dropped file takes until it is ready to be sent: `python -m benchmarks.media_bench`.

Each file is read from disk, checked and brought to what the model takes. The first time is that of a fresh process,
with all that it imports for it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from benchmarks.stream_bench import environment

PROGRAM = """
import json, sys, time
from pathlib import Path
from gemma_backend.media import words
times = []
for _ in range(8):
    begun = time.perf_counter()
    from gemma_backend.media.load import load
    load(Path(sys.argv[1]))
    times.append(1000 * (time.perf_counter() - begun))
print(json.dumps(times))
"""


def files(folder: Path) -> dict[str, Path]:
    """A photograph of 12 megapixels and half a minute of stereo sound, as phones and recorders write them."""
    random = np.random.default_rng(1)
    small = random.integers(0, 255, (60, 80, 3), dtype=np.uint8)
    photograph = folder / "photograph.jpg"
    Image.fromarray(small).resize((4000, 3000), Image.Resampling.BICUBIC).save(photograph, quality=90)
    seconds = np.arange(30 * 44_100) / 44_100
    sound = 0.3 * np.sin(2 * np.pi * 220 * seconds) + 0.02 * random.standard_normal(len(seconds))
    found = {"12-megapixel JPEG": photograph}
    for name in ("wav", "flac", "mp3", "ogg"):
        path = folder / f"clip.{name}"
        soundfile.write(path, np.stack([sound, sound], axis=1), 44_100)
        found[f"30-second clip, {name.upper()}, 44.1 kHz stereo"] = path
    return found


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="gemma-") as folder:
        for what, path in files(Path(folder)).items():
            done = subprocess.run(
                [sys.executable, "-c", PROGRAM, str(path)],
                env={**os.environ, **environment()}, capture_output=True, text=True, check=True,
            )  # fmt: skip
            first, *rest = json.loads(done.stdout)
            print(f"{what}: {min(rest):.0f} to {max(rest):.0f} ms, the first time {first:.0f}")


if __name__ == "__main__":
    main()
