"""Clipboards, sound and ffmpeg as they really are, on a desktop without hardware."""

from __future__ import annotations

import asyncio
import io
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from desktop.conftest import needed
from gemma_backend.media.clipboard import Copied, copied
from gemma_backend.media.load import load, load_picture
from gemma_backend.media.long_clip import survey
from gemma_backend.media.play import Player
from gemma_backend.media.record import Recorder
from gemma_backend.types import AudioPart, BadInput


def png() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((800, 600), 90).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


def loudest_frequency(part: AudioPart) -> float:
    samples, rate = soundfile.read(io.BytesIO(part.data))
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * rate / len(samples))


def tone(path: Path, seconds: float) -> Path:
    samples = 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(48000 * seconds)) / 48000)
    soundfile.write(path, samples.astype(np.float32), 48000)
    return path


LISTED = {"x11": ["xclip", "-selection", "clipboard", "-o", "-t", "TARGETS"], "wayland": ["wl-paste", "--list-types"]}
COPY = {"x11": ["xclip", "-selection", "clipboard", "-t"], "wayland": ["wl-copy", "--type"]}


@pytest.mark.parametrize("desktop", ["x11", "wayland"])
def test_the_clipboard(desktop: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    environ: dict[str, str] = request.getfixturevalue(desktop)
    with pytest.raises(BadInput, match="nothing on the clipboard"):
        copied(environ)
    picture = png()
    (tmp_path / "a b.png").write_bytes(picture)

    def copy(kind: str, data: bytes) -> None:
        subprocess.run([*COPY[desktop], kind], input=data, check=True, stdout=subprocess.DEVNULL)
        # The program goes on in the background and may not own the clipboard yet when the command returns.
        for _ in range(100):
            listed = subprocess.run(LISTED[desktop], capture_output=True, text=True, check=False).stdout
            if kind in listed.split():
                return
            time.sleep(0.05)
        raise AssertionError(f"{kind} never came to the clipboard: {listed}")

    copy("image/png", picture)
    found = copied(environ)
    assert found == Copied(picture=picture)
    assert load_picture(found.picture, "clipboard").width == 800
    copy("text/uri-list", f"file://{tmp_path}/a%20b.png\r\n".encode())
    assert copied(environ) == Copied(paths=(tmp_path / "a b.png",))
    copy("UTF8_STRING" if desktop == "x11" else "text/plain;charset=utf-8", "Grüße\n".encode())
    assert copied(environ) == Copied(text="Grüße\n")


async def test_what_is_played_is_heard_by_the_microphone(sound: str, tmp_path: Path) -> None:
    part = load(tone(tmp_path / "a.wav", 6))
    assert isinstance(part, AudioPart)
    player = Player()
    await player.play(part)
    levels: list[float] = []

    def heard(level: float, seconds: float) -> None:
        levels.append(level)
        if seconds >= 2:
            recorder.stop()

    recorder = Recorder(heard, sound)
    await recorder.run()
    recorded = recorder.part("recording")
    assert recorded.seconds >= 2
    assert abs(loudest_frequency(recorded) - 440) < 3
    assert abs(max(levels) - 0.5) < 0.05
    assert await player.stop()


async def test_a_clip_is_played_to_its_end(sound: str, tmp_path: Path) -> None:
    part = load(tone(tmp_path / "a.wav", 1))
    assert isinstance(part, AudioPart)
    player = Player()
    await player.play(part)
    async with asyncio.timeout(30):
        await player.ended()
    assert player.playing is None


async def test_a_microphone_that_is_not_there(sound: str) -> None:
    with pytest.raises(BadInput, match="No microphone called nowhere"):
        await Recorder(lambda level, seconds: None, "nowhere").run()


ENCODERS = {
    "m4a": ["-c:a", "aac"], "aac": ["-c:a", "aac"], "webm": ["-c:a", "libopus"], "mka": ["-c:a", "libvorbis"],
    "mp4": ["-c:a", "aac"], "mov": ["-c:a", "aac"], "3gp": ["-c:a", "aac", "-ar", "16000", "-ac", "1"],
}  # fmt: skip


@pytest.mark.parametrize("suffix", ENCODERS)
def test_formats_that_need_ffmpeg(suffix: str, tmp_path: Path) -> None:
    needed("ffmpeg")
    source, file = tone(tmp_path / "a.wav", 40), tmp_path / f"b.{suffix}"
    subprocess.run(["ffmpeg", "-v", "error", "-i", source, *ENCODERS[suffix], file], check=True)
    part = load(file)
    assert isinstance(part, AudioPart)
    # The length of an AAC stream is only estimated.
    assert (part.seconds, part.note) in [(30.0, f"first 30 s of 0:{length}") for length in (39, 40)]
    assert abs(loudest_frequency(part) - 440) < 2
    part = load(file, start=35.0)
    assert isinstance(part, AudioPart)
    assert 4.5 < part.seconds < 5.5
    assert abs(survey(file).seconds - 40) < 0.5
    if suffix == "webm":
        cut = tmp_path / "cut.webm"
        cut.write_bytes(file.read_bytes()[: file.stat().st_size // 4])
        part = load(cut)
        assert part.note.startswith("cut off at 0:")


def test_a_film_without_sound(tmp_path: Path) -> None:
    needed("ffmpeg")
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=d=1", tmp_path / "a.mp4"], check=True)
    with pytest.raises(BadInput, match="holds no sound"):
        load(tmp_path / "a.mp4")
