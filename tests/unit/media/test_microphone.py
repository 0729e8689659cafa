"""Recording and playing where something goes wrong; with real devices they are tested by `make desktop`."""

from __future__ import annotations

from pathlib import Path

import pytest

from gemma_backend.media import record
from gemma_backend.media.play import Player
from gemma_backend.media.record import Recorder, recorders
from gemma_backend.types import AudioPart, BadInput
from unit.media.conftest import Program

LOUD = "while :; do printf '\\001\\100\\001\\100\\001\\100\\001\\100'; done"
CLIP = AudioPart(b"RIFF", "wav", "a.wav", 20.0, "d")


async def recorded(seconds: float) -> tuple[Recorder, list[float]]:
    """A recorder that was stopped after so many seconds of sound, and the levels that it told."""
    levels: list[float] = []

    def heard(level: float, so_far: float) -> None:
        levels.append(level)
        if so_far >= seconds:
            recorder.stop()

    recorder = Recorder(heard)
    await recorder.run()
    return recorder, levels


async def test_levels_come_while_it_records_and_the_clip_is_what_was_heard(program: Program) -> None:
    program("parecord", LOUD)
    recorder, levels = await recorded(0.5)
    assert len(levels) >= 10
    assert all(abs(level - 0.5) < 0.01 for level in levels)
    part = recorder.part("recording")
    assert part.seconds >= 0.5
    assert abs(max(part.peaks) - 0.5) < 0.01


async def test_the_next_recorder_is_tried_where_one_gives_nothing(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "_FIRST_BLOCK_SECONDS", 0.3)
    program("parecord", "exec sleep 100")
    program("arecord", LOUD)
    recorder, _ = await recorded(0.2)
    assert recorder.seconds >= 0.2


async def test_it_ends_by_itself_after_thirty_seconds(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "MAX_SECONDS", 0.5)
    program("arecord", LOUD)
    recorder = Recorder(lambda level, seconds: None)
    await recorder.run()
    assert recorder.seconds == 0.5


async def test_what_is_missing_is_said(program: Program) -> None:
    with pytest.raises(BadInput, match="no recorder here"):
        await Recorder(lambda level, seconds: None).run()
    program("arecord", "echo 'arecord: main:831: audio open error' >&2; exit 1")
    with pytest.raises(BadInput, match="No microphone was found"):
        await Recorder(lambda level, seconds: None).run()
    with pytest.raises(BadInput, match="called desk"):
        await Recorder(lambda level, seconds: None, "desk").run()
    with pytest.raises(BadInput, match="Nothing was recorded"):
        Recorder(lambda level, seconds: None).part("recording")


def test_a_device_is_asked_for_by_name(program: Program) -> None:
    program("parecord", "")
    program("arecord", "")
    assert [words[-1] for words in recorders("desk")] == ["--device=desk", "desk"]


async def test_a_player_that_finds_no_card_gives_way_to_the_next(program: Program, tmp_path: Path) -> None:
    player = Player()
    with pytest.raises(BadInput, match="no player here"):
        await player.play(CLIP)
    program("paplay", "exit 1")
    with pytest.raises(BadInput, match="finds a sound card"):
        await player.play(CLIP)
    program("aplay", f"cat $2 > {tmp_path}/played; exec sleep 100")
    await player.play(CLIP)
    assert (tmp_path / "played").read_bytes() == b"RIFF"
    assert player.playing is CLIP
    assert await player.stop()
    assert player.playing is None
    assert not await player.stop()


async def test_the_end_of_a_clip_is_told_and_no_file_is_left(program: Program, tmp_path: Path) -> None:
    program("aplay", f"printf $2 > {tmp_path}/name; sleep 1")
    player = Player()
    await player.play(CLIP)
    await player.ended()
    assert player.playing is None
    assert not Path((tmp_path / "name").read_text()).exists()
