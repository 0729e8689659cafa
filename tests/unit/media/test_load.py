"""Files of every kind and in every state, through the loader."""

from __future__ import annotations

import base64
import io
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import wave
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from gemma_backend.media.clip import clock, soft_tokens
from gemma_backend.media.cutoff import is_cut_off
from gemma_backend.media.load import clip_kind, load, load_picture
from gemma_backend.media.picture import BUDGETS, MAX_BYTES, fitted
from gemma_backend.media.sound import SoundFile
from gemma_backend.types import AudioPart, BadInput, ImagePart

FIXTURES = Path(__file__).parents[2] / "fixtures" / "media"
RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def image(path: Path) -> ImagePart:
    part = load(path)
    assert isinstance(part, ImagePart)
    return part


def sound(path: Path, **options: float) -> AudioPart:
    part = load(path, **options)  # type: ignore[arg-type]
    assert isinstance(part, AudioPart)
    return part


def decoded(part: ImagePart) -> Image.Image:
    opened = Image.open(io.BytesIO(part.data))
    opened.load()
    assert opened.size == (part.width, part.height)
    assert Image.MIME[opened.format or ""] == part.mime
    return opened.convert("RGB")


def near(left: object, right: tuple[int, int, int], tolerance: int = 12) -> bool:
    assert isinstance(left, tuple)
    return all(abs(a - b) <= tolerance for a, b in zip(left, right, strict=True))


def halves(size: tuple[int, int] = (64, 32)) -> Image.Image:
    """Red on the left, blue on the right."""
    picture = Image.new("RGB", size, RED)
    picture.paste(BLUE, (size[0] // 2, 0, *size))
    return picture


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "bmp", "tiff", "avif"])
def test_each_format_comes_out_as_it_looks(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"two words ü.{suffix}"
    halves().save(file)
    part = image(file)
    assert part.name == file.name
    assert (part.width, part.height, part.note) == (64, 32, "")
    seen = decoded(part)
    assert near(seen.getpixel((8, 16)), RED)
    assert near(seen.getpixel((56, 16)), BLUE)


def test_exif_rotation_is_applied_and_metadata_left_out(tmp_path: Path) -> None:
    # Each orientation of the same scene: stored so that turning it upright puts red on the left.
    upright = halves()
    stored = {
        1: upright,
        2: upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: upright.transpose(Image.Transpose.ROTATE_180),
        4: upright.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: upright.transpose(Image.Transpose.TRANSPOSE),
        6: upright.transpose(Image.Transpose.ROTATE_90),
        7: upright.transpose(Image.Transpose.TRANSVERSE),
        8: upright.transpose(Image.Transpose.ROTATE_270),
    }
    for orientation, picture in stored.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        exif[0x010E] = "taken at home"
        file = tmp_path / f"{orientation}.jpg"
        picture.save(file, exif=exif, quality=95)
        part = image(file)
        seen = decoded(part)
        assert seen.size == (64, 32), orientation
        assert near(seen.getpixel((4, 16)), RED), orientation
        assert near(seen.getpixel((60, 16)), BLUE), orientation
        assert part.note == ("" if orientation == 1 else "turned upright")
        assert b"taken at home" not in part.data


def test_alpha_lies_on_white(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (20, 10), (255, 0, 0, 255))
    picture.paste((0, 0, 0, 0), (10, 0, 20, 10))
    picture.save(tmp_path / "a.png")
    part = image(tmp_path / "a.png")
    seen = decoded(part)
    assert seen.getpixel((2, 5)) == RED
    assert seen.getpixel((15, 5)) == WHITE
    assert part.note == "transparency on white"


def test_an_opaque_alpha_channel_is_not_worth_a_note(tmp_path: Path) -> None:
    Image.new("RGBA", (20, 10), (255, 0, 0, 255)).save(tmp_path / "a.png")
    assert image(tmp_path / "a.png").note == ""


def test_palettes_with_and_without_a_transparent_colour(tmp_path: Path) -> None:
    palette = halves().convert("P", palette=Image.Palette.ADAPTIVE)
    palette.save(tmp_path / "opaque.png")
    seen = decoded(image(tmp_path / "opaque.png"))
    assert near(seen.getpixel((4, 4)), RED, 40)
    palette.save(tmp_path / "clear.png", transparency=palette.getpixel((4, 4)))
    seen = decoded(image(tmp_path / "clear.png"))
    assert seen.getpixel((4, 4)) == WHITE
    assert near(seen.getpixel((60, 4)), BLUE, 40)


def test_cmyk_jpeg(tmp_path: Path) -> None:
    halves().convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    part = image(tmp_path / "a.jpg")
    assert near(decoded(part).getpixel((4, 16)), RED, 20)
    assert part.note == "CMYK turned into RGB"


def test_sixteen_bits_keep_their_brightness(tmp_path: Path) -> None:
    values = np.full((10, 20), 0x8000, np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    part = image(tmp_path / "a.png")
    assert decoded(part).getpixel((3, 3)) == (0x80, 0x80, 0x80)
    assert part.note == "16-bit reduced to 8"


def test_one_bit_and_grey(tmp_path: Path) -> None:
    Image.new("1", (8, 8), 1).save(tmp_path / "one.png")
    assert decoded(image(tmp_path / "one.png")).getpixel((1, 1)) == WHITE
    Image.new("LA", (8, 8), (0, 0)).save(tmp_path / "la.png")
    assert decoded(image(tmp_path / "la.png")).getpixel((1, 1)) == WHITE


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_animations_give_their_first_frame_and_say_so(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, BLUE, WHITE)]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], duration=50)
    part = image(tmp_path / f"a.{suffix}")
    assert part.note == "first of 3 frames"
    assert near(decoded(part).getpixel((3, 3)), RED)


@pytest.mark.parametrize("size", [(4000, 3000), (929, 697), (300, 9000), (20000, 40)])
def test_large_pictures_fill_the_soft_tokens_and_no_more(tmp_path: Path, size: tuple[int, int]) -> None:
    halves(size).save(tmp_path / "a.jpg")
    part = image(tmp_path / "a.jpg")
    budget = 280 * 48 * 48
    assert budget <= part.width * part.height <= budget * 1.05
    assert abs(part.width / part.height / (size[0] / size[1]) - 1) < 0.05
    assert part.note == f"scaled from {size[0]}×{size[1]}"
    seen = decoded(part)
    assert near(seen.getpixel((part.width // 8, part.height // 2)), RED)
    assert near(seen.getpixel((part.width * 7 // 8, part.height // 2)), BLUE)


def test_small_pictures_are_never_enlarged_and_the_budget_counts() -> None:
    assert fitted(10, 20, 280) == (10, 20)
    assert fitted(928, 695, 280) == (928, 695)
    assert fitted(4800, 4800, 70) == (402, 402)  # sqrt(70 * 48 * 48) = 401.6


def test_photographs_in_png_are_sent_as_jpeg(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (700, 900, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png", compress_level=1)
    assert image(tmp_path / "a.png").mime == "image/jpeg"


def test_a_wrong_suffix_is_noted(tmp_path: Path) -> None:
    halves().save(tmp_path / "a.png", format="JPEG")
    assert image(tmp_path / "a.png").note == "JPEG in spite of its name"
    tone(tmp_path / "b.jpg", format="WAV")
    assert sound(tmp_path / "b.jpg").note == "WAV in spite of its name"
    halves().save(tmp_path / "noname", format="PNG")
    assert image(tmp_path / "noname").note == ""


def refused(path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        load(path)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert "\x1b" not in sentence
    return sentence


def test_decompression_bombs_are_refused_before_decoding(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 6, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    assert "3,600 megapixels" in refused(tmp_path / "bomb.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif"])
@pytest.mark.parametrize("keep", [0.02, 0.5, 0.9])
def test_truncated_pictures(tmp_path: Path, suffix: str, keep: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    whole = tmp_path / f"whole.{suffix}"
    Image.fromarray(noise).save(whole)
    data = whole.read_bytes()
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(data[: int(len(data) * keep)])
    assert refused(cut) == f"cut.{suffix} is damaged or cut off: open it in a viewer, or get it again."


def test_missing_folder_empty_unknown(tmp_path: Path) -> None:
    assert refused(tmp_path / "gone.png").startswith(f"There is no file {tmp_path}/gone.png")
    assert "is a folder" in refused(tmp_path)
    (tmp_path / "empty.png").touch()
    assert "is empty" in refused(tmp_path / "empty.png")
    (tmp_path / "a.txt").write_text("hello")
    assert "neither a picture" in refused(tmp_path / "a.txt")
    assert "cannot be opened" in refused(tmp_path / ("a" * 5000))


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"%PDF-1.7", "a PDF file"),
        (b"<?xml version='1.0'?><svg xmlns='x'>", "an SVG file"),
        (b"PK\x03\x04", "an archive file"),
    ],
)
def test_known_formats_that_cannot_be_read_say_what_to_do(tmp_path: Path, head: bytes, said: str) -> None:
    (tmp_path / "a.bin").write_bytes(head + bytes(64))
    sentence = refused(tmp_path / "a.bin")
    assert f"is {said}, which cannot be read here: " in sentence


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"\0\0\0\x1cftypM4A \0\0\0\0", "an M4A file"),
        (b"\0\0\0\x1cftypisom\0\0\0\0isomM4A ", "an M4A file"),
        (b"\0\0\0\x1cftypisom\0\0\0\0", "an MPEG-4 file"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0", "a QuickTime file"),
        (b"\xff\xf1\x50\x80", "an AAC file"),
        (b"\x1aE\xdf\xa3", "a WebM file"),
    ],
)
def test_clips_that_need_ffmpeg_say_so_where_there_is_none(
    tmp_path: Path, head: bytes, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    (tmp_path / "a.bin").write_bytes(head + bytes(64))
    assert refused(tmp_path / "a.bin") == (
        f"a.bin is {said}, which needs ffmpeg: install ffmpeg, or convert it to WAV, FLAC, OGG or MP3."
    )


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 1", "is damaged or cut off"),
        ("echo 'Output file #0 does not contain any stream' >&2; exit 1", "holds no sound: choose another file"),
        ("exec sleep 1000", "is damaged or cut off"),
    ],
)
def test_an_ffmpeg_that_fails_or_hangs_is_a_sentence(
    tmp_path: Path, script: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ffmpeg").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "ffmpeg").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("gemma_backend.media.ffmpeg.SECONDS", 0.3)
    (tmp_path / "a.webm").write_bytes(b"\x1aE\xdf\xa3" + bytes(64))
    assert said in refused(tmp_path / "a.webm")


def test_heic_through_its_library_and_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = Path(shutil.copy(FIXTURES / "halves.heic", tmp_path))
    part = image(file)
    assert (part.width, part.height, part.note) == (64, 32, "")
    assert near(decoded(part).getpixel((8, 16)), RED, 24)
    assert near(decoded(part).getpixel((56, 16)), BLUE, 24)
    for name in ("pi_heif", "pillow_heif"):
        monkeypatch.setitem(sys.modules, name, None)
    assert refused(file) == (
        "halves.heic is a HEIC file, which needs a library: pip install pi-heif, or save it as PNG or JPEG."
    )


def test_colours_of_sixteen_bits_are_said_too(tmp_path: Path) -> None:
    # Pillow writes no such PNG: two pixels of 16-bit RGB by hand.
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" + struct.pack(">3H", 65535, 0, 0) + struct.pack(">3H", 0, 0, 65535)
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    )  # fmt: skip
    part = image(tmp_path / "a.png")
    assert part.note == "16-bit reduced to 8"
    assert [decoded(part).getpixel((x, 0)) for x in (0, 1)] == [RED, BLUE]


@pytest.mark.parametrize(("values", "grey"), [([0.0, 0.5, 1.0], 128), ([0.0, 32768.0, 65535.0], 127)])
def test_pictures_of_real_numbers(tmp_path: Path, values: list[float], grey: int) -> None:
    Image.fromarray(np.array([values], np.float32)).save(tmp_path / "a.tiff")
    seen = decoded(image(tmp_path / "a.tiff"))
    assert [seen.getpixel((x, 0)) for x in range(3)] == [(0, 0, 0), (grey, grey, grey), WHITE] or [
        seen.getpixel((x, 0)) for x in range(3)
    ] == [(0, 0, 0), (grey - 1, grey - 1, grey - 1), WHITE]


@pytest.mark.parametrize("budget", BUDGETS)
def test_each_budget_of_soft_tokens(tmp_path: Path, budget: int) -> None:
    halves((3000, 2000)).save(tmp_path / "a.jpg")
    part = load(tmp_path / "a.jpg", soft_tokens=budget)
    assert isinstance(part, ImagePart)
    assert part.soft_tokens == budget
    assert budget * 48 * 48 <= part.width * part.height <= budget * 48 * 48 * 1.05


def test_a_picture_from_a_clipboard(tmp_path: Path) -> None:
    halves().save(tmp_path / "a.png")
    part = load_picture((tmp_path / "a.png").read_bytes(), "clipboard")
    assert (part.name, part.width) == ("clipboard", 64)
    for data, said in ((b"", "is empty"), (b"fLaC", "is no picture"), (b"hello", "neither a picture")):
        with pytest.raises(BadInput, match=said):
            load_picture(data, "clipboard")


def test_names_with_escape_sequences_are_shown_harmless(tmp_path: Path) -> None:
    name = "a\x1b[31m\nb.png"
    (tmp_path / name).write_bytes(b"nothing")
    assert "␛[31m␊b.png" in refused(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_pipes_and_devices_do_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert "device or pipe" in refused(tmp_path / "pipe.png")
    assert "device or pipe" in refused(Path("/dev/zero"))


@pytest.mark.skipif(os.name != "posix", reason="POSIX rights")
def test_unreadable_files() -> None:
    # Root reads everything, so the check runs as another user, in a folder that this user may enter.
    code = (
        "import os, sys; from pathlib import Path; from gemma_backend.media.load import load\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "try: load(Path(sys.argv[1]))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        halves().save(folder / "secret.png")
        (folder / "secret.png").chmod(0)
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder / "secret.png")], env=environment, capture_output=True, text=True
        )
    assert done.stdout.startswith("BadInput secret.png may not be read"), done.stderr


def test_too_large(tmp_path: Path) -> None:
    with (tmp_path / "big.png").open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        file.truncate(MAX_BYTES + 1)
    assert "67 MB can be taken" in refused(tmp_path / "big.png")


def tone(path: Path, *, seconds: float = 1.0, rate: int = 44100, channels: int = 1, format: str | None = None) -> Path:
    """A 440 Hz tone at half loudness; every further channel is silent."""
    samples = np.zeros((int(seconds * rate), channels), np.float32)
    samples[:, 0] = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(samples)) / rate)
    subtype = "OPUS" if path.suffix == ".opus" else None
    soundfile.write(path, samples, rate, format=format or ("OGG" if path.suffix == ".opus" else None), subtype=subtype)
    return path


def heard(part: AudioPart) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    with wave.open(io.BytesIO(part.data)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert len(samples) / 16000 == part.seconds
    return samples.astype(np.float64) / 32768


def loudest_frequency(samples: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * 16000 / len(samples))


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff", "opus", "caf"])
@pytest.mark.parametrize("channels", [1, 2])
def test_each_sound_format_keeps_pitch_length_and_loudness(tmp_path: Path, suffix: str, channels: int) -> None:
    rate = 48000 if suffix == "opus" else 44100
    part = sound(tone(tmp_path / f"a.{suffix}", seconds=2.0, rate=rate, channels=channels))
    assert part.format == "wav"
    assert abs(part.seconds - 2.0) < 0.1
    samples = heard(part)
    assert abs(loudest_frequency(samples) - 440) < 2
    assert abs(np.abs(samples[8000:24000]).max() - 0.5 / channels) < 0.05
    assert part.note == ""
    assert 0 < len(part.peaks) <= 160
    assert all(abs(peak - 0.5 / channels) < 0.1 for peak in part.peaks[10:-10])


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 96000, 192000])
def test_any_rate(tmp_path: Path, rate: int) -> None:
    samples = heard(sound(tone(tmp_path / "a.wav", rate=rate)))
    assert abs(len(samples) - 16000) <= 1
    assert abs(loudest_frequency(samples) - 440) < 2


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "opus"])
def test_reading_in_blocks_loses_nothing(tmp_path: Path, suffix: str) -> None:
    rate = 48000 if suffix == "opus" else 44100
    file = tone(tmp_path / f"a.{suffix}", seconds=12, rate=rate, channels=2)
    whole, _ = soundfile.read(file, dtype="float32", always_2d=True)
    mixed, _ = SoundFile(file, *clip_kind(file)).mono(0.0, 30.0)
    blocks = np.concatenate(list(SoundFile(file, *clip_kind(file)).blocks(0.7)))
    for read in (mixed, blocks):
        assert np.abs(read[: len(whole)] - whole.mean(axis=1)).max() < 0.001


def test_more_than_thirty_seconds_is_cut_and_said(tmp_path: Path) -> None:
    file = tone(tmp_path / "a.wav", seconds=80, rate=16000)
    part = sound(file)
    assert (part.seconds, part.note) == (30.0, "first 30 s of 1:20")
    part = sound(file, start=60)
    assert (part.seconds, part.note) == (20.0, "1:00 to 1:20 of 1:20")
    with pytest.raises(BadInput, match="no sound at that place"):
        load(file, start=90)


@pytest.mark.parametrize("suffix", ["wav", "flac", "aiff"])
def test_truncated_clips(tmp_path: Path, suffix: str) -> None:
    data = tone(tmp_path / f"whole.{suffix}", seconds=4).read_bytes()
    for keep in (0.01, 0.5, 0.9):
        cut = tmp_path / f"cut.{suffix}"
        cut.write_bytes(data[: int(len(data) * keep)])
        assert refused(cut) == f"cut.{suffix} is damaged or cut off: play it to check, or get it again."


@pytest.mark.parametrize("suffix", ["ogg", "opus", "mp3"])
@pytest.mark.parametrize("keep", [0.3, 0.5, 0.97])
def test_a_lossy_clip_that_ends_in_the_middle_is_said_to(tmp_path: Path, suffix: str, keep: float) -> None:
    rate = 48000 if suffix == "opus" else 44100
    whole = tone(tmp_path / f"whole.{suffix}", seconds=20, rate=rate)
    assert sound(whole).note == ""
    data = whole.read_bytes()
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(data[: int(len(data) * keep)])
    part = sound(cut)
    # What is in the last page of an Ogg file goes with it, some 4 s at this low bitrate.
    assert 20 * keep - 5 < part.seconds < 20 * keep + 1
    assert part.note == f"cut off at {clock(part.seconds)}"


def test_an_mp3_without_a_header_of_its_length_is_judged_by_its_last_frame(tmp_path: Path) -> None:
    data = tone(tmp_path / "a.mp3", seconds=10).read_bytes()
    at = data.index(b"Xing" if b"Xing" in data[:300] else b"LAME")
    # The first frame holds the header and no sound; without it the file is a bare row of frames.
    start = data.index(b"\xff\xfb", at)
    tag = b"TAG" + bytes(125)
    for end, cut in ((data[start:], False), (data[start:] + tag, False), (data[start:-100], True)):
        (tmp_path / "b.mp3").write_bytes(end)
        assert is_cut_off(tmp_path / "b.mp3", "MP3") is cut


def test_decoding_in_several_threads_gives_what_one_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).standard_normal((48000 * 12, 2)).astype(np.float32) * 0.1
    soundfile.write(tmp_path / "a.opus", noise, 48000, format="OGG", subtype="OPUS")
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    opened: list[int] = []
    stretch = SoundFile._stretch
    monkeypatch.setattr(SoundFile, "_stretch", lambda self, *ends: opened.append(ends[0]) or stretch(self, *ends))
    several = heard(sound(tmp_path / "a.opus", start=0.5))
    assert len(opened) == 4
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    one = heard(sound(tmp_path / "a.opus", start=0.5))
    assert len(opened) == 5
    assert len(one) == len(several)
    assert np.abs(one - several).max() < 0.01


def test_a_clip_says_what_it_costs() -> None:
    # 40 ms to a token, 30 s at most, and the two tokens around it.
    assert [soft_tokens(seconds) for seconds in (0.04, 1.0, 3.7, 30.0)] == [3, 27, 95, 752]


def test_a_wav_whose_writer_could_not_know_its_length(tmp_path: Path) -> None:
    data = bytearray(tone(tmp_path / "a.wav").read_bytes())
    data[4:8] = b"\xff\xff\xff\xff"
    at = data.index(b"data") + 4
    data[at : at + 4] = b"\xff\xff\xff\xff"
    (tmp_path / "a.wav").write_bytes(data)
    assert abs(sound(tmp_path / "a.wav").seconds - 1.0) < 0.01


def test_a_clip_without_samples(tmp_path: Path) -> None:
    tone(tmp_path / "a.wav", seconds=0)
    assert "holds no sound" in refused(tmp_path / "a.wav")


def test_values_that_are_no_numbers(tmp_path: Path) -> None:
    samples = np.array([np.nan, np.inf, -np.inf, 0.5] * 4000, np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 16000, subtype="FLOAT")
    assert np.abs(heard(sound(tmp_path / "a.wav"))).max() <= 1.0


def test_rubbish_with_a_good_signature(tmp_path: Path) -> None:
    rubbish = np.random.default_rng(1).bytes(5000)
    for head, suffix in [(b"fLaC", "flac"), (b"OggS", "ogg"), (b"ID3", "mp3"), (b"\xff\xd8\xff", "jpg")]:
        file = tmp_path / f"a.{suffix}"
        file.write_bytes(head + rubbish)
        assert "is damaged or cut off" in refused(file)


def test_damaged_mp3_frames_write_nothing_on_standard_error(tmp_path: Path) -> None:
    data = bytearray(tone(tmp_path / "a.mp3", seconds=10).read_bytes())
    rng = np.random.default_rng(0)
    for at in rng.integers(1000, len(data), 300):
        data[at] = rng.integers(0, 256)
    (tmp_path / "a.mp3").write_bytes(data)
    script = (
        "import sys; from pathlib import Path; from gemma_backend.media import native\n"
        "from gemma_backend.media.load import load\n"
        "if sys.argv[2] == 'screen': native.keep_native_writes_off_screen()\n"
        "sys.__stderr__.write('before ')\n"
        "try: load(Path(sys.argv[1]))\n"
        "except Exception as error: print(type(error).__name__)\n"
        "sys.__stderr__.write('after')"
    )
    for mode in ("plain", "screen"):
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "a.mp3"), mode],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.stderr == "before after"
        assert done.stdout in ("", "BadInput\n")


def test_pillow_warnings_stay_off_the_screen(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    halves().save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(20))
    assert image(tmp_path / "a.jpg").width == 64


def test_digests_and_base64_round_trip(tmp_path: Path) -> None:
    halves().save(tmp_path / "a.png")
    first, second = image(tmp_path / "a.png"), image(tmp_path / "a.png")
    assert first.digest == second.digest
    assert base64.b64decode(base64.b64encode(first.data)) == first.data
