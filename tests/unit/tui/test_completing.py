"""What can be completed where the cursor is, and what a line calls."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_backend.media.listing import entries, typed_folder
from gemma_tui.commanding import Commander
from gemma_tui.commands import COMMANDS, called, command_named
from gemma_tui.tui.attaching import attached_words
from gemma_tui.tui.completing import (
    Want,
    at_words,
    escaped,
    suggest_choices,
    suggest_commands,
    suggest_paths,
    unescaped,
    wanted,
)


@pytest.mark.parametrize(
    ("line", "kind", "start", "typed"),
    [
        ("/", "command", 1, ""),
        ("/he", "command", 1, "he"),
        ("/copy ", "choice", 6, ""),
        ("/copy co", "choice", 6, "co"),
        ("/image ~/Pic", "path", 7, "~/Pic"),
        ("/image my\\ pi", "path", 7, "my\\ pi"),
        ("/prompt sum", "prompt", 8, "sum"),
        ("look at @", "at", 8, ""),
        ("look at @~/my\\ pict", "at", 8, "~/my\\ pict"),
        ("@cat", "at", 0, "cat"),
    ],
)
def test_what_is_being_typed(line: str, kind: str, start: int, typed: str) -> None:
    want = wanted(line, len(line), COMMANDS, first=True)
    assert want is not None
    assert (want.kind, want.start, want.typed) == (kind, start, typed)


@pytest.mark.parametrize(
    "line",
    ["", "hello", " /help", "/help ", "/new x", "/home/me", "me@example.org", "@cat dog", "/system @", "/gone x"],
)
def test_ordinary_text_is_left_alone(line: str) -> None:
    want = wanted(line, len(line), COMMANDS, first=True)
    assert want is None or (line == "/system @" and want.kind == "at")


def test_commands_are_completed_on_the_first_line_only_and_before_the_cursor() -> None:
    assert wanted("/he", 3, COMMANDS, first=False) is None
    assert wanted("/help me", 3, COMMANDS, first=True) == Want("command", 1, "he")


def test_suggestions_for_commands_and_choices() -> None:
    names = [suggestion.insert for suggestion in suggest_commands(Want("command", 1, "c"), COMMANDS)]
    # Those with the name come before those with an alias.
    assert names == ["copy ", "completion", "help", "new"]
    copy = command_named("copy")
    assert [item.insert for item in suggest_choices(Want("choice", 6, "c", copy))] == ["code"]


def test_paths_are_listed_with_folders_first_and_typed_as_they_must_be(tmp_path: Path) -> None:
    (tmp_path / "my pictures").mkdir()
    (tmp_path / "My cat's.PNG").write_bytes(bytes(2_000))
    (tmp_path / "my notes.txt").touch()
    (tmp_path / ".hidden.png").touch()
    (tmp_path / "broken.png").symlink_to(tmp_path / "gone.png")
    listed = entries(*typed_folder(f"{tmp_path}/my"))
    assert [entry.name for entry in listed] == ["my pictures", "My cat's.PNG"]
    folder, file = suggest_paths(Want("at", 0, f"{tmp_path}/my"), listed)
    assert (folder.insert, folder.more, folder.path) == (f"@{tmp_path}/my\\ pictures/", True, None)
    assert (file.insert, file.more) == (f"@{tmp_path}/My\\ cat\\'s.PNG", False)
    assert (file.path, file.detail) == (tmp_path / "My cat's.PNG", "2.0 kB")
    # Capitals are meant.
    assert [entry.name for entry in entries(*typed_folder(f"{tmp_path}/My"))] == ["My cat's.PNG"]
    assert [entry.name for entry in entries(*typed_folder(f"{tmp_path}/.h"))] == [".hidden.png"]
    assert entries(tmp_path / "no such folder") == []


def test_relative_paths_and_those_at_home() -> None:
    here, home = Path("/here"), Path("/home/me")
    for typed, folder, name in [
        ("ca", Path("/here"), "ca"),
        ("", Path("/here"), ""),
        ("a/b", Path("/here/a"), "b"),
        ("../b", Path("/here/.."), "b"),
        ("~/p", Path("/home/me"), "p"),
        ("~/a/", Path("/home/me/a"), ""),
        ("/", Path("/"), ""),
        ("/etc/x", Path("/etc"), "x"),
    ]:
        assert typed_folder(typed, here=here, home=home) == (folder, name)


@given(st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_a_name_behind_an_at_comes_back(name: str) -> None:
    assert unescaped(escaped(name)) == name
    assert at_words(f"see @{escaped(name)} there") == [(f"@{escaped(name)}", name)]


def test_files_behind_an_at_are_attached_and_everything_else_stays(tmp_path: Path) -> None:
    (tmp_path / "a cat.png").touch()
    (tmp_path / "notes.txt").touch()
    text = f"What is @{tmp_path}/a\\ cat.png and @{tmp_path}/notes.txt, says me@example.org to @you?"
    paths, rest = attached_words(text)
    assert paths == [tmp_path / "a cat.png"]
    assert rest == f"What is and @{tmp_path}/notes.txt, says me@example.org to @you?"


@pytest.mark.parametrize(
    ("text", "name", "argument"),
    [
        ("/help", "help", ""),
        ("/help \n", "help", ""),
        ("/system Be brief.\nAnd kind.", "system", "Be brief.\nAnd kind."),
        ("/image  ~/a b.png ", "image", "~/a b.png"),
    ],
)
def test_lines_that_call(text: str, name: str, argument: str) -> None:
    call = called(text)
    assert call is not None
    assert (call.name, call.argument) == (name, argument)


@pytest.mark.parametrize("text", ["", "/", " /help", "/home/me/cat.png", "//", "/2", "say /help", "/Help"])
def test_lines_that_are_messages(text: str) -> None:
    assert called(text) is None


def test_names_and_aliases_are_each_used_once() -> None:
    names = [name for command in COMMANDS for name in (command.name, *command.aliases)]
    assert len(names) == len(set(names))


async def test_only_what_was_registered_is_offered_and_run() -> None:
    refused: list[str] = []
    ran: list[str] = []

    async def later(argument: str) -> None:
        ran.append(f"later {argument}")

    commander = Commander(refused.append)
    commander.register("help", ran.append)
    commander.register("copy", later)
    assert [command.name for command in commander.offered] == ["help", "copy"]
    assert await commander.run("hello") is None
    assert await commander.run("/help") is True
    assert await commander.run("/commands") is True
    assert await commander.run("/copy code") is True
    assert ran == ["", "", "later code"]
    for line, word in [
        ("/hlep", "did you mean /help?"),
        ("/xyz", "/help shows them all"),
        ("/help me", "takes nothing behind it"),
        ("/copy that", "takes reply, code or all"),
        ("/export x", "There is no command /export"),
    ]:
        assert await commander.run(line) is False
        assert word in refused[-1]
