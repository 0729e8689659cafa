"""Bad input to every command: one sentence, an exit code, no waiting, and no more memory than the input deserves."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ENDLESS = "/dev/zero"
NAME = "ev\x1b[31mil\nname"
MEMORY = 3 << 30
"""Address space of a command here; one that reads without a bound would need more."""

FILES = {
    "a schema": ["ask", "--url", "http://127.0.0.1:1", "--schema", "FILE", "hi"],
    "a picture": ["ask", "--url", "http://127.0.0.1:1", "--image", "FILE", "hi"],
    "a clip": ["ask", "--url", "http://127.0.0.1:1", "--audio", "FILE", "hi"],
    "a key": ["ask", "--url", "http://127.0.0.1:1", "--api-key-file", "FILE", "hi"],
    "an export": ["history", "import", "FILE"],
    "a result": ["bench", "--compare", "FILE", "FILE"],
    "a text": ["eval", "--url", "http://127.0.0.1:1", "--text", "FILE"],
    "questions": ["eval", "--url", "http://127.0.0.1:1", "--questions", "FILE"],
    "a checkpoint": ["model", "verify", "FILE"],
    "a source": ["quantize", "FILE", "made"],
}


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ)
    for kind in ("DATA", "STATE", "CACHE", "CONFIG", "LOG"):
        environment[f"GEMMA_TUI_{kind}_DIR"] = str(folder / kind)
    return subprocess.run(
        [sys.executable, "-m", "gemma_tui", *words], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, errors="replace", timeout=120, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
    )  # fmt: skip


def one_sentence(done: subprocess.CompletedProcess[str]) -> None:
    assert done.stderr.startswith("gemma-tui") and done.stderr.count("\n") == 1, done.stderr
    assert "\x1b" not in done.stderr and "bug of ours" not in done.stderr


@pytest.mark.parametrize("kind", FILES)
def test_a_file_without_an_end_is_refused(kind: str, tmp_path: Path) -> None:
    done = run([ENDLESS if word == "FILE" else word for word in FILES[kind]], tmp_path)
    assert done.returncode == 5
    one_sentence(done)


@pytest.mark.parametrize("kind", FILES)
def test_a_file_of_a_hostile_name_that_holds_nonsense_is_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"\xff\x00nonsense")
    done = run([NAME if word == "FILE" else word for word in FILES[kind]], tmp_path)
    assert done.returncode == 5
    one_sentence(done)


def test_json_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text("[" * 200_000)
    for words in (["history", "import", "deep.json"], ["bench", "--compare", "deep.json", "deep.json"]):
        done = run(words, tmp_path)
        assert done.returncode == 5
        one_sentence(done)


def test_a_line_nested_without_end_is_passed_over(tmp_path: Path) -> None:
    good = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}'
    (tmp_path / "a.jsonl").write_text('{"messages": ' + "[" * 200_000 + "\n" + good + "\n")
    done = run(["history", "import", "a.jsonl"], tmp_path)
    assert (done.returncode, done.stdout) == (5, "1 conversation imported, 1 could not be read\n")
    one_sentence(done)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["aks"], "invalid choice: 'aks'"),
        (["ask", "--seed", "x", "hi"], "'x' is no whole number"),
        (["top", "--interval", "nan"], "'nan' is no number"),
        (["ask", "--gpu", "-1", "hi"], "--gpu: GPUs are numbered from 0"),
        (["history", "list", "--lim", "3"], "unrecognized arguments: --lim"),
        (["ask", "--no\x1b[31m\n"], "unrecognized arguments: --no␛[31m␊"),
    ],
)
def test_a_mistake_in_the_command_line_is_one_sentence(words: list[str], said: str, tmp_path: Path) -> None:
    done = run(words, tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    one_sentence(done)
    assert said in done.stderr and "--help" in done.stderr


def test_where_no_records_can_be_no_engine_runs(tmp_path: Path) -> None:
    (tmp_path / "STATE").write_text("a file where a folder should be")
    for words in (["engine", "status"], ["engine", "stop"]):
        done = run(words, tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "No engine is running.\n", "")


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["engine", "install", "--runtime", "cpu", "--yes"], "DATA"),
        (["engine", "command", "--profile", "pocket"], "STATE"),
    ],
)
def test_a_folder_that_cannot_be_made_is_named_with_the_reason(words: list[str], kind: str, tmp_path: Path) -> None:
    (tmp_path / kind).write_text("a file where a folder should be")
    done = run(words, tmp_path)
    assert done.returncode == 3
    one_sentence(done)
    assert "Not a directory" in done.stderr and f"GEMMA_TUI_{kind}_DIR" in done.stderr


@pytest.mark.parametrize("other", ["x y", "http://", "nothere"])
def test_what_is_compared_with_is_checked_before_anything_is_measured(other: str, tmp_path: Path) -> None:
    # The first of the two would be told by another code: nothing listens there.
    done = run(["eval", "--url", "http://127.0.0.1:1", "--against", other], tmp_path)
    assert done.returncode == 2
    one_sentence(done)
