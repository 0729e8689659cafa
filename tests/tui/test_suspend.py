"""Ctrl+Z in a real shell with job control: the terminal is the shell's again, and the reply goes on meanwhile."""

import re
import shlex
from collections.abc import Iterator

import pytest

from tui.ptys import PtyProgram, program_on, terminal_env, token_server

COMPOSER = "Write a message"


@pytest.fixture
def shell() -> Iterator[PtyProgram]:
    program = PtyProgram(["bash", "--norc", "--noprofile", "-i"], terminal_env(PS1="shell> ", LC_ALL="C.UTF-8"))
    program.until(lambda text: "shell>" in text)
    yield program
    program.child.close(force=True)


def modes(shell: PtyProgram, number: int) -> set[str]:
    """The terminal's modes as stty has them, asked by the shell."""
    shell.type(f"clear; stty -a; echo asked$(({number}))\r")
    shell.until(lambda text: f"asked{number}" in text)
    return set(re.findall(r"-?\b(?:icanon|echo|isig|iexten|icrnl|opost)\b", shell.text.rpartition("speed")[2]))


def prompted(shell: PtyProgram) -> bool:
    """Whether the shell asked for a command after the program had left its screen."""
    left = shell.written.rfind(b"\x1b[?1049l")
    return left > shell.written.rfind(b"\x1b[?1049h") and b"shell> " in shell.written[left:]


def test_suspended_resumed_and_left(shell: PtyProgram) -> None:
    before = modes(shell, 1)
    assert before == {"icanon", "echo", "isig", "iexten", "icrnl", "opost"}
    with token_server("--tokens", "400", "--rate", "50") as url:
        shell.type("clear; " + shlex.join(program_on(url)) + "\r")
        shell.until(lambda text: COMPOSER in text)
        shell.type("hello\r")
        shell.until(lambda text: "answering" in text)
        left = shell.written.count(b"\x1b[?1049l")
        shell.type("\x1a")
        shell.until(lambda text: "Stopped" in text and prompted(shell))
        # The other screen, the mouse, pastes and keys are given back before the shell has the terminal.
        assert shell.written.count(b"\x1b[?1049l") == left + 1
        for mode in (b"\x1b[?1000l", b"\x1b[?2004l", b"\x1b[?25h"):
            assert mode in shell.written[shell.written.rindex(b"\x1b[?1049h") :]
        assert modes(shell, 2) == before
        shell.type("fg\r")
        # The reply went on at the server, and what came meanwhile is taken in.
        shell.until(lambda text: COMPOSER in text and "● ready" in text)
        shell.type("after it")
        shell.until(lambda text: "│ after it" in text)
        shell.type("\x11")
        shell.until(lambda text: prompted(shell))
        assert modes(shell, 3) == before
