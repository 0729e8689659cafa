"""Every test of the screen has folders of its own and no key in its environment."""

import wave
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image

from stubs.openai_server import OpenAIServer


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATA", "STATE", "CACHE", "CONFIG", "LOG"):
        monkeypatch.setenv(f"GEMMA_TUI_{name}_DIR", str(tmp_path / name.lower()))
    for name in ("GEMMA_TUI_API_KEY", "OPENAI_API_KEY", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as running:
        yield running


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a red [square].png"
    Image.new("RGB", (64, 32), "red").save(path)
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "tone.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(b"".join(((i * 400) % 20000).to_bytes(2, "little", signed=True) for i in range(16000)))
    return path


@pytest.fixture
def long_clip(tmp_path: Path) -> Path:
    """80 seconds of sound with silences at 26 and 53 seconds."""
    path = tmp_path / "talk.wav"
    loud = b"".join(((i * 400) % 20000).to_bytes(2, "little", signed=True) for i in range(16000))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        for second in range(80):
            file.writeframes(bytes(32000) if second in (26, 53) else loud)
    return path
