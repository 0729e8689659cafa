"""What terminals answer, as it comes: learned from in time, and never taken for keys."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import constants, events
from textual._xterm_parser import XTermParser
from textual.message import Message

from gemma_tui.tui import terminal_input
from gemma_tui.tui.start import questions, through_tmux
from gemma_tui.tui.terminal import Terminal
from gemma_tui.tui.terminal_input import AnswerParser, TerminalAnswer

# Seen on 2026-11-25 from the terminals in docs/terminals.md, in the order of the questions.
XTERM = "\x1bP>|XTerm(379)\x1b\\\x1b[6;13;6t\x1b[?63;1;2;4;6;9;15;16;22;28c"
KITTY = "\x1b_Gi=4207;OK\x1b\\\x1bP>|kitty(0.41.1)\x1b\\\x1b[6;20;9t\x1b[?62;c"
OLD_KITTY = "\x1b_Gi=4207;OK\x1b\\\x1bP>|kitty(0.26.5)\x1b\\\x1b[6;20;9t\x1b[?62;c"
PLAIN = "\x1b[?1;2c"


def answers(text: str) -> list[str]:
    return [message.text for message in AnswerParser().feed(text) if isinstance(message, TerminalAnswer)]


def learned(text: str) -> Terminal:
    terminal = Terminal()
    for answer in answers(text):
        terminal = terminal.told(answer)
    return terminal


def keys(messages: Iterable[Message]) -> str:
    return "".join(
        message.character or f"<{message.key}>" if isinstance(message, events.Key) else f"[{message.text}]"
        for message in messages
        if isinstance(message, events.Key | events.Paste)
    )


@pytest.mark.parametrize(
    ("said", "pictures", "cell"),
    [
        (XTERM, "sixel", (6, 13)),
        (KITTY, "kitty", (9, 20)),
        (OLD_KITTY, "blocks", (9, 20)),
        (PLAIN, "blocks", None),
        ("\x1bP>|ghostty 1.1.3\x1b\\\x1b_Gi=4207;OK\x1b\\\x1b[?62;22c", "kitty", None),
        ("\x1b_Gi=4207;OK\x1b\\\x1bP>|WezTerm 20240203-110809\x1b\\\x1b[6;18;8t\x1b[?65;4;6;18;22c", "sixel", (8, 18)),
        # Sixel without the size of a cell would cover what stands beside it.
        ("\x1b[?63;4c", "blocks", None),
        # 24 and 41 hold a 4, and 64 as the first number is a level of conformance.
        ("\x1b[6;13;6t\x1b[?64;24;41c", "blocks", (6, 13)),
        ("\x1b_Gi=4207;ENOTSUPPORTED:no\x1b\\\x1bP>|kitty(0.41.1)\x1b\\\x1b[?62;c", "blocks", None),
        ("\x1bP>|tmux 3.3a\x1b\\\x1b_Gi=4207;OK\x1b\\\x1bP>|kitty(0.41.1)\x1b\\\x1b[?1;2c", "kitty", None),
        ("\x1b[6;0;0t\x1b[?63;4c", "blocks", None),
    ],
)
def test_the_way_of_drawing_follows_from_the_answers(said: str, pictures: str, cell: tuple[int, int] | None) -> None:
    terminal = learned(said)
    assert (terminal.pictures, terminal.cell, terminal.answered) == (pictures, cell, True)


def test_a_multiplexer_is_told_from_the_terminal_outside() -> None:
    terminal = learned("\x1bP>|kitty(0.41.1)\x1b\\\x1bP>|tmux 3.3a\x1b\\")
    assert (terminal.name, terminal.inside) == ("kitty(0.41.1)", "tmux 3.3a")


def test_terminals_that_would_print_the_questions_are_not_asked() -> None:
    for environ in ({}, {"TERM": "dumb"}, {"TERM": "linux"}, {"TERM": "xterm", "TERM_PROGRAM": "Apple_Terminal"}):
        assert questions(environ) == ""
    plain, inside = questions({"TERM": "xterm-256color"}), questions({"TERM": "tmux-256color", "TMUX": "/tmp/x,1,0"})
    # DA1 comes last: when it was answered, nothing else will come.
    assert plain.endswith("\x1b[c")
    assert inside.endswith("\x1b[c")
    assert through_tmux("\x1b[>0q").replace("\x1b\x1b", "\x1b") == "\x1bPtmux;\x1b[>0q\x1b\\"


@given(
    typed=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8),
    pasted=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8),
    said=st.sampled_from([XTERM, KITTY, PLAIN, "\x1b]11;rgb:1010/1414/1b1b\x07", "\x1b[?2026;2$y"]),
    cuts=st.lists(st.integers(1, 60), max_size=8),
)
def test_answers_in_any_pieces_leave_the_keys_as_they_were(typed: str, pasted: str, said: str, cuts: list[int]) -> None:
    whole = f"{typed}{said}{typed}\x1b[200~{pasted}\x1b[201~{said}{typed}"
    parser, messages = AnswerParser(), list[Message]()
    for size in cuts:
        if whole:
            messages += parser.feed(whole[:size])
            messages += parser.tick()
            whole = whole[size:]
    if whole:
        messages += parser.feed(whole)
    assert keys(messages) == f"{typed}{typed}[{pasted}]{typed}"
    assert sum(isinstance(message, TerminalAnswer) for message in messages) % 2 == 0


def test_what_looks_like_an_answer_in_a_paste_stays_text() -> None:
    assert keys(AnswerParser().feed("\x1b[200~a\x1b[?62;4cb\x1b[201~x")) == "[a\x1b[?62;4cb]x"
    assert keys(AnswerParser().feed("\x1b[200~\x1b[201~")) == "[]"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    for module in ("textual._parser", "gemma_tui.tui.terminal_input"):
        monkeypatch.setattr(f"{module}.get_time", lambda: now[0])
    return now


@pytest.mark.parametrize("typed", ["\x1b", "\x1b_", "\x1bP", "\x1b]", "\x1b["])
def test_keys_that_begin_like_an_answer_come_after_the_usual_delay(clock: list[float], typed: str) -> None:
    plain, parser = XTermParser(), AnswerParser()
    assert [*plain.feed(typed), *parser.feed(typed), *parser.tick()] == []
    clock[0] += 2 * constants.ESCAPE_DELAY
    seen = keys(parser.tick())
    assert seen
    assert seen == keys(plain.tick())
    assert keys(parser.feed("a")) == "a"


def test_an_answer_that_never_ends_is_dropped_and_typing_goes_on(clock: list[float]) -> None:
    parser = AnswerParser()
    assert keys([*parser.feed("a\x1b_Gi=4207;O"), *parser.tick()]) == "a"
    clock[0] += 1.0
    assert list(parser.tick()) == []
    assert keys(parser.feed("b")) == "b"


def test_function_keys_and_the_mouse_still_work() -> None:
    parser = AnswerParser()
    messages = list(parser.feed("\x1bOP\x1b[6~\x1b[1;5A\x1b[<0;3;4M\x1b[<0;3;4m\x1b[97;5u"))
    assert [message.key for message in messages if isinstance(message, events.Key)] == [
        "f1", "pagedown", "ctrl+up", "ctrl+a",
    ]  # fmt: skip
    assert sum(isinstance(message, events.MouseEvent) for message in messages) == 2


def test_textual_reads_through_the_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    from textual.drivers import linux_driver

    monkeypatch.setattr(linux_driver, "XTermParser", linux_driver.XTermParser)
    terminal_input.keep_answers_from_keys()
    assert linux_driver.LinuxDriver.run_input_thread.__globals__["XTermParser"] is AnswerParser
