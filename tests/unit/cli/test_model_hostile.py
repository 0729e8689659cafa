"""Checkpoints that are damaged, made up or laid as traps: every command on them ends with one sentence."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from gemma_tui.cli.main import main
from stubs import checkpoints

WORDS = (
    ["model", "inspect", "{}"],
    ["model", "inspect", "{}", "--json"],
    ["model", "fit", "{}", "--gpu-memory", "12GiB"],
    ["model", "fit", "{}", "--profile", "cpu"],
    ["model", "verify", "{}"],
    ["model", "verify", "{}", "--against", "{}"],
)


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("DATA", "STATE", "CONFIG", "CACHE", "LOG"):
        monkeypatch.setenv(f"GEMMA_TUI_{kind}_DIR", str(tmp_path / "own" / kind.lower()))


def header(text: bytes, length: int | None = None) -> bytes:
    """A safetensors file with this header, said to be `length` bytes long."""
    return struct.pack("<Q", len(text) if length is None else length) + text


def one(entry: object, name: str = "a") -> bytes:
    """A file with one tensor and 8 bytes of data."""
    return header(json.dumps({name: entry}).encode()) + bytes(8)


def written(data: bytes) -> Callable[[Path], None]:
    """Replace the weights by these bytes."""
    return lambda folder: (folder / "model.safetensors").write_bytes(data) and None


def config(data: bytes) -> Callable[[Path], None]:
    """Replace config.json by these bytes."""
    return lambda folder: (folder / "config.json").write_bytes(data) and None


def index(data: object) -> Callable[[Path], None]:
    """Add an index that says this."""
    return lambda folder: (folder / "model.safetensors.index.json").write_text(json.dumps(data)) and None


def cut(folder: Path) -> None:
    """The end of the weights is missing."""
    path = folder / "model.safetensors"
    os.truncate(path, path.stat().st_size - 7)


def loop(folder: Path) -> None:
    """The weights are a link to themselves."""
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to("model.safetensors")


def nowhere(folder: Path) -> None:
    """The weights are a link that leads nowhere."""
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(folder / "gone")


def pipe(folder: Path) -> None:
    """The weights are a pipe that nobody writes to."""
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors")


def config_pipe(folder: Path) -> None:
    """The same for config.json."""
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")


def directory(folder: Path) -> None:
    """A folder stands where a file is expected."""
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()


CASES: dict[str, Callable[[Path], None]] = {
    "cut off": cut,
    "empty": written(b""),
    "seven bytes": written(b"1234567"),
    "header longer than the file": written(header(b"{}", 1 << 40)),
    "header of four gigabytes": written(header(b"{}", (1 << 32) - 1)),
    "header cut in the middle": written(header(b'{"a": {"dtype": "F32", "sha')),
    "header that is no text": written(header(b"\xff\xfe\xfd\xfc")),
    "header that is a list": written(header(b"[1, 2]")),
    "header nested a thousand times": written(header(b"[" * 100_000)),
    "negative offsets": written(one({"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]})),
    "offsets beyond the end": written(one({"dtype": "F32", "shape": [200], "data_offsets": [0, 800]})),
    "shape of words": written(one({"dtype": "F32", "shape": ["x"], "data_offsets": [0, 8]})),
    "a shape that overflows": written(one({"dtype": "F32", "shape": [1 << 62, 1 << 62], "data_offsets": [0, 8]})),
    "no type": written(one({"shape": [2], "data_offsets": [0, 8]})),
    "a tensor that is a number": written(one(3)),
    "config that is no JSON": config(b"{"),
    "config that is a list": config(b"[]"),
    "config that is no text": config(b"\xff\xff"),
    "config that is empty": config(b""),
    "config nested a thousand times": config(b"[" * 100_000),
    "index that is a list": index([]),
    "index without a map": index({}),
    "index with a list for a map": index({"weight_map": [1]}),
    "index with numbers for files": index({"weight_map": {"a": 3}}),
    "index that names what is not there": index({"weight_map": {"a": "gone.safetensors"}}),
    "index that leads out of the folder": index({"weight_map": {"a": "../../../etc/passwd"}}),
    "a link to itself": loop,
    "a link that leads nowhere": nowhere,
    "a pipe": pipe,
    "config that is a pipe": config_pipe,
    "a folder": directory,
}


@pytest.mark.parametrize("case", CASES)
def test_a_damaged_checkpoint_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    folder = checkpoints.checkpoint(tmp_path / "made", checkpoints.source_tensors())
    CASES[case](folder)
    for words in WORDS:
        code = main([word.format(folder) for word in words])
        told = capsys.readouterr()
        if words[1] == "verify" and code == 5 and "wrong: " in told.out:
            continue
        assert code == 5, (words, told)
        assert told.err.startswith("gemma-tui: ") or told.out, words
        assert told.err.count("\n") == 1, (words, told.err)
        assert told.err.rstrip().endswith((".", "it.")), told.err


def test_names_are_shown_without_what_a_terminal_would_obey(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tensors = checkpoints.source_tensors() | {"evil\x1b[2J\r.weight": checkpoints.source_tensors().popitem()[1]}
    folder = checkpoints.checkpoint(
        tmp_path / "made", tensors, checkpoints.CONFIG | {"architectures": ["\x1b]0;x\x07"]}
    )
    for words in WORDS[:5]:
        main([word.format(folder) for word in words])
        told = capsys.readouterr()
        assert not {"\x1b", "\x07", "\r"} & set(told.out + told.err), words
