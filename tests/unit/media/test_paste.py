"""Paths that terminals type on a drop or paste."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_backend.media.paste import MAX_CHARACTERS, paths_in

HOME = Path("/home/me")

# What was typed -> what was dropped. The files of the right-hand side exist, no others.
CAPTURES = {
    "gnome-terminal": ("'/home/me/cat.png' ", ["/home/me/cat.png"]),
    "gnome-terminal, space": ("'/home/me/my cat.png' ", ["/home/me/my cat.png"]),
    "gnome-terminal, apostrophe": (r"'/home/me/it'\''s.png' ", ["/home/me/it's.png"]),
    "gnome-terminal, two": ("'/home/me/a b.png' '/home/me/c.wav' ", ["/home/me/a b.png", "/home/me/c.wav"]),
    "konsole, plain": ("/home/me/cat.png ", ["/home/me/cat.png"]),
    "konsole, space": ("'/home/me/my cat.png' /home/me/b.png ", ["/home/me/my cat.png", "/home/me/b.png"]),
    "kitty at a prompt": ("'/home/me/it'\"'\"'s a cat.png'", ["/home/me/it's a cat.png"]),
    "kitty in a program": ("/home/me/my cat.png\n/home/me/dog.png", ["/home/me/my cat.png", "/home/me/dog.png"]),
    "kitty, carriage returns": ("/home/me/my cat.png\r/home/me/dog.png\r", ["/home/me/my cat.png", "/home/me/dog.png"]),
    "wezterm": (r"/home/me/my\ cat.png ", ["/home/me/my cat.png"]),
    "wezterm, apostrophe": (r"/home/me/it's\ mine.png /home/me/b.png ", ["/home/me/it's mine.png", "/home/me/b.png"]),
    "wezterm, posix": ("'/home/me/my cat.png' /home/me/b.png ", ["/home/me/my cat.png", "/home/me/b.png"]),
    "ghostty": ("/home/me/my\\ cat\\ \\(1\\).png", ["/home/me/my cat (1).png"]),
    "ghostty, two": ("/home/me/a\\ b.png\n/home/me/c.png\n", ["/home/me/a b.png", "/home/me/c.png"]),
    "iterm2": (r"/Users/me/Cat\'s\ \&\ dog.png ", ["/Users/me/Cat's & dog.png"]),
    "alacritty": ("/home/me/my cat.png ", ["/home/me/my cat.png"]),
    "alacritty, two at once": (
        "/home/me/my cat.png /home/me/my dog.png ",
        ["/home/me/my cat.png", "/home/me/my dog.png"],
    ),
    "vs code": ("'/home/me/my cat.png'", ["/home/me/my cat.png"]),
    "vs code, apostrophe": (r"'/home/me/it\'s.png'", ["/home/me/it's.png"]),
    "vs code, both quotes": (r"""$'/home/me/it\'s "it".png'""", ["""/home/me/it's "it".png"""]),
    "double quotes": ('"/home/me/my cat.png" "/home/me/a.png"', ["/home/me/my cat.png", "/home/me/a.png"]),
    "double quotes, escapes": (r'"/home/me/a \"b\" \$c.png"', ['/home/me/a "b" $c.png']),
    "uri": ("file:///home/me/my%20cat.png", ["/home/me/my cat.png"]),
    "uri, crlf list": ("file:///home/me/a.png\r\nfile:///home/me/b.png\r\n", ["/home/me/a.png", "/home/me/b.png"]),
    "uri, host": ("file://desk/home/me/a.png", ["/home/me/a.png"]),
    "uri, localhost": ("file://localhost/home/me/a.png", ["/home/me/a.png"]),
    "uri, one slash": ("file:/home/me/a.png", ["/home/me/a.png"]),
    "uri, upper case": ("FILE:///home/me/a.png", ["/home/me/a.png"]),
    "uri, non-ascii": ("file:///home/me/caf%C3%A9.png", ["/home/me/café.png"]),
    "uri, hash and question mark as sent": ("file:///home/me/a#1?.png", ["/home/me/a#1?.png"]),
    "uri, space not encoded": ("file:///home/me/my cat.png", ["/home/me/my cat.png"]),
    "uri in quotes": ("'file:///home/me/my%20cat.png'", ["/home/me/my cat.png"]),
    "nautilus copy": ("x-special/nautilus-clipboard\ncopy\nfile:///home/me/a.png\n", ["/home/me/a.png"]),
    "home": ("~/cat.png", ["/home/me/cat.png"]),
    "non-ascii": ("'/home/me/Überraschung 猫.png'", ["/home/me/Überraschung 猫.png"]),
    "percent in a plain path": ("/home/me/100%20.png", ["/home/me/100%20.png"]),
    "wsl from an older windows terminal": (r"C:\Users\me\cat.png", ["/mnt/c/Users/me/cat.png"]),
    "a folder with a space": ("'/home/me/my pictures'", ["/home/me/my pictures"]),
    "leading newline": ("\n/home/me/cat.png\n", ["/home/me/cat.png"]),
}


@pytest.mark.parametrize("name", CAPTURES)
def test_reads_what_terminals_send(name: str) -> None:
    typed, dropped = CAPTURES[name]
    wanted = [Path(path) for path in dropped]
    assert paths_in(typed, exists=set(wanted).__contains__, home=HOME, windows=False) == wanted


WINDOWS = {
    "bare": (r"C:\Users\me\cat.png", [r"C:\Users\me\cat.png"]),
    "quoted": (r'"C:\Users\me\my cat.png"', [r"C:\Users\me\my cat.png"]),
    "two": (r'"C:\Users\me\my cat.png" C:\b.png', [r"C:\Users\me\my cat.png", r"C:\b.png"]),
    "single quotes": (r"'C:\Users\me\my cat.png'", [r"C:\Users\me\my cat.png"]),
    "uri": ("file:///C:/Users/me/my%20cat.png", ["C:/Users/me/my cat.png"]),
    "share": (r'"\\server\share\a b.png"', [r"\\server\share\a b.png"]),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_reads_what_windows_sends(name: str) -> None:
    typed, dropped = WINDOWS[name]
    wanted = [Path(path) for path in dropped]
    assert paths_in(typed, exists=set(wanted).__contains__, home=HOME, windows=True) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n",
        "hello",
        "and/or",
        "/help",
        "/",
        "//",
        "~",
        "look at /home/me/cat.png please",
        "/home/me/cat.png is what I mean",
        "/home/me/gone.txt",
        "cat.png",
        "./cat.png",
        "it's 5 o'clock",
        "'quoted' \"text\"",
        "file: see below",
        "file:///home/me/gone.png is broken",
        "https://example.org/cat.png",
        "def f(x):\n    return '/home/me/cat.png'\n",
        "/home/me/cat.png\0",
        "/" + "a" * MAX_CHARACTERS,
    ],
)
def test_leaves_ordinary_text_alone(text: str) -> None:
    assert paths_in(text, exists={Path("/home/me/cat.png")}.__contains__, home=HOME, windows=False) is None


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("'/home/me/gone cat.png' ", ["/home/me/gone cat.png"]),
        ("/home/me/gone.WAV", ["/home/me/gone.WAV"]),
        ("file:///home/me/gone", ["/home/me/gone"]),
        ("/home/me/cat.png /home/me/gone.mp3", ["/home/me/cat.png", "/home/me/gone.mp3"]),
    ],
)
def test_returns_missing_files_that_can_be_nothing_else(text: str, named: list[str]) -> None:
    there = {Path("/home/me/cat.png")}.__contains__
    assert paths_in(text, exists=there, home=HOME, windows=False) == [Path(name) for name in named]


def test_asks_the_disk_by_default(tmp_path: Path) -> None:
    file = tmp_path / "two words.txt"
    file.write_text("x")
    assert paths_in(str(file)) == [file]
    assert paths_in(str(tmp_path / "no words.txt")) is None


def test_bytes_that_are_no_utf8_survive_a_uri(tmp_path: Path) -> None:
    found = paths_in("file:///home/me/caf%E9.png", exists=lambda _: True, windows=False)
    assert found is not None
    assert bytes(found[0]) == b"/home/me/caf\xe9.png"


NAME = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=24).filter(
    lambda name: name not in (".", "..")
)
PATHS = st.lists(NAME.map(lambda name: f"/home/me/{name}"), min_size=1, max_size=4)
SHELL_SPECIAL = set("\\ '\"$`*?!#&|;<>()[]{}~\t\r\n")


def glib_quote(path: str) -> str:
    return "'" + path.replace("'", "'\\''") + "'"


def backslashes(path: str) -> str:
    return "".join("\\" + char if char in SHELL_SPECIAL else char for char in path)


def ansi_quote(path: str) -> str:
    escaped = path.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"$'{escaped}'"


def double_quote(path: str) -> str:
    for char in '\\"$`':
        path = path.replace(char, "\\" + char)
    return f'"{path}"'


QUOTING: list[Callable[[str], str]] = [
    glib_quote,
    shlex.quote,
    backslashes,
    ansi_quote,
    double_quote,
    lambda path: "file://" + quote(path),
]


@pytest.mark.parametrize("rule", QUOTING, ids=["glib", "kitty", "backslash", "ansi", "double", "uri"])
@given(paths=PATHS, separator=st.sampled_from([" ", "\n", "\r\n"]), end=st.sampled_from(["", " ", "\n"]))
def test_every_quoting_rule_comes_back(rule: Callable[[str], str], paths: list[str], separator: str, end: str) -> None:
    wanted = [Path(path) for path in paths]
    typed = separator.join(rule(path) for path in paths) + end
    assert paths_in(typed, exists=set(wanted).__contains__, home=HOME, windows=False) == wanted


BARE = NAME.filter(lambda name: name == name.strip() and not set(name) & set("\r\n"))


@given(names=st.lists(BARE, min_size=1, max_size=4))
def test_bare_paths_one_a_line_come_back(names: list[str]) -> None:
    paths = [f"/home/me/{name}" for name in names]
    wanted = [Path(path) for path in paths]
    assert paths_in("\n".join(paths), exists=set(wanted).__contains__, home=HOME, windows=False) == wanted


@given(text=st.text(max_size=300))
def test_nothing_is_found_where_nothing_exists_and_nothing_is_named(text: str) -> None:
    found = paths_in("/" + text, exists=lambda _: False, home=HOME, windows=False)
    assert found is None or all(path.suffix for path in found)


@given(text=st.text(max_size=300))
def test_any_text_gets_an_answer(text: str) -> None:
    found = paths_in(text, exists=lambda _: True, home=HOME, windows=False)
    assert found is None or all(path.is_absolute() for path in found)
