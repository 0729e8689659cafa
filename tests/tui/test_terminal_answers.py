"""What a terminal is asked when the program starts, in real ptys: answered at once, late, never, and through tmux."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tui.ptys import PtyProgram, close, program_on, terminal_env, token_server

DA1 = "\x1b[?63;1;2;4;6;9;15;16;22;28c"
ANSWERS = "\x1b_Gi=4207;OK\x1b\\\x1bP>|kitty(0.41.1)\x1b\\\x1b[6;20;9t" + DA1
COMPOSER = "Write a message"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with token_server("--tokens", "20") as address:
        yield address


@pytest.fixture
def started(url: str) -> Iterator[PtyProgram]:
    program = PtyProgram(program_on(url), terminal_env())
    yield program
    close(program.child)


def quit_cleanly(program: PtyProgram) -> None:
    program.type("\x11")
    assert program.end() == 0


def test_questions_go_out_once_and_with_the_splash(started: PtyProgram) -> None:
    started.until(lambda text: COMPOSER in text)
    # In one piece with the splash, which is the first paint, and before Textual has drawn anything.
    asked, splash = started.written.index(b"\x1b[c"), started.written.index(b"\x1b[?1049h")
    assert started.written.index(b"\x1b_Gi=4207") < asked
    assert splash == asked + len(b"\x1b[c")
    assert started.written.index(b"gemma-tui") < started.written.index(b"\x1b[?2004h")
    started.type("hello")
    started.until(lambda text: "hello" in text)
    quit_cleanly(started)
    for question in (b"\x1b_Gi=4207", b"\x1b[>0q", b"\x1b[16t", b"\x1b[c"):
        assert started.written.count(question) == 1


def test_a_terminal_that_never_answers_keeps_nobody_waiting(started: PtyProgram) -> None:
    # Typed on the splash, before there is anything to type into.
    started.until_written(b"\x1b[c")
    started.type("early ")
    started.until(lambda text: "│ early" in text)
    started.type("words")
    started.until(lambda text: "early words" in text)
    quit_cleanly(started)


def test_a_key_on_the_splash_is_the_key_that_it_is(started: PtyProgram) -> None:
    started.until_written(b"\x1b[c")
    started.type("a line\r\x11")
    assert started.end() == 0


def test_answers_among_the_first_keys_are_no_keys(started: PtyProgram) -> None:
    started.until_written(b"\x1b[c")
    started.type("be" + ANSWERS + "fore")
    started.until(lambda text: "before" in text)
    started.draw_for(0.5)
    assert "4207" not in started.text
    quit_cleanly(started)


def test_answers_after_two_seconds_and_in_pieces_do_not_land_in_the_message(started: PtyProgram) -> None:
    started.until(lambda text: COMPOSER in text)
    started.draw_for(2.0)
    started.type("one ")
    for piece in (ANSWERS[:9], ANSWERS[9:31], ANSWERS[31:]):
        started.type(piece)
        started.draw_for(0.15)
    started.type("two")
    started.until(lambda text: "one two" in text)
    started.draw_for(0.5)
    composer = started.text[started.text.index("one two") :]
    assert not any(rest in composer for rest in ("4207", "kitty", ";4;", "OK"))
    quit_cleanly(started)


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[list[str]]:
    assert shutil.which("tmux"), "tmux is not installed; on Debian: apt-get install tmux"
    words = ["tmux", "-S", str(tmp_path / "socket"), "-f", "/dev/null"]
    yield words
    subprocess.run([*words, "kill-server"], check=False, capture_output=True)


@pytest.mark.parametrize("passthrough", ["on", "off"])
def test_through_tmux(url: str, tmux: list[str], tmp_path: Path, passthrough: str) -> None:
    (tmp_path / "tmux.conf").write_text(f"set -g allow-passthrough {passthrough}\nset -sg escape-time 10\n")
    tmux[-1] = str(tmp_path / "tmux.conf")
    program = PtyProgram([*tmux, "new-session", "-x", "100", "-y", "30", *program_on(url)], terminal_env())
    try:
        program.until(lambda text: COMPOSER in text)
        # What tmux let through was asked of the terminal outside, which answers late.
        assert (b"\x1b_Gi=4207" in program.written) == (passthrough == "on")
        program.draw_for(2.0)
        program.type("one ")
        program.type("\x1b_Gi=4207;OK\x1b\\\x1bP>|kitty(0.41.1)\x1b\\")
        program.draw_for(0.5)
        program.type("two")
        program.until(lambda text: "one two" in text)
        program.draw_for(0.5)
        composer = program.text[program.text.index("one two") :]
        assert not any(rest in composer for rest in ("4207", "kitty", "OK"))
        program.type("\x11")
        assert program.end() == 0
    finally:
        close(program.child)


def test_a_size_that_the_shell_exported_is_not_believed(url: str) -> None:
    program = PtyProgram(program_on(url), terminal_env() | {"COLUMNS": "20", "LINES": "5"})
    try:
        program.until(lambda text: COMPOSER in text and "Enter sends" in text)
        quit_cleanly(program)
    finally:
        close(program.child)
