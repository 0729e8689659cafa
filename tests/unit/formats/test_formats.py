"""Files of every version are opened and kept beside their newest form; those of a newer program are left alone."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from gemma_backend.config import formats
from gemma_backend.config.profiles import load_profile
from gemma_backend.config.settings import load
from gemma_backend.engine import record as records
from gemma_backend.engine.proc import boot_id, look
from gemma_backend.runtime import find
from gemma_tui import __version__
from gemma_tui.cli.main import main

FIXTURES = Path(__file__).parents[2] / "fixtures" / "formats"
VERSIONS = sorted(path.name for path in FIXTURES.iterdir() if path.is_dir())
RECORD, MARK = "state/engines/5f3a9c01.json", "data/runtimes/cpu/runtime.json"
OWN, CONFIG, DATABASE = "config/profiles/mine.toml", "config/config.toml", "state/history/history.db"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All folders of the program below one."""
    for kind in ("STATE", "CACHE", "LOG", "DATA", "CONFIG"):
        monkeypatch.setenv(f"GEMMA_TUI_{kind}_DIR", str(tmp_path / kind.lower()))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def used(home: Path, version: str) -> Path:
    """The folders as `version` left them, with an engine that runs and a runtime whose Python is there."""
    shutil.copytree(FIXTURES / version, home, dirs_exist_ok=True)
    me = look(os.getpid())
    assert me is not None
    text = (home / RECORD).read_text()
    changed = json.loads(text) | {"boot": boot_id(), "keeper": [me.pid, me.start], "folder": str(home / "folder")}
    (home / RECORD).write_text(json.dumps(changed))
    (home / "folder").mkdir()
    (home / "data/runtimes/cpu/bin").mkdir()
    (home / "data/runtimes/cpu/bin/python").symlink_to(sys.executable)
    return home


def everything(home: Path) -> dict[str, bytes]:
    """Every file below `home` and what is in it."""
    return {str(path.relative_to(home)): path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file()}


def test_there_are_fixtures_of_this_version_and_before() -> None:
    assert {"before", __version__} <= set(VERSIONS)


@pytest.mark.parametrize("version", VERSIONS)
def test_files_of_every_version_are_opened(version: str, home: Path) -> None:
    before = everything(used(home, version))
    settings = load(environ={}).settings
    assert (settings.profile, settings.chat.max_tokens, settings.ui.theme) == ("mine", 300, "gemma-light")
    assert load_profile("mine").flags["max-model-len"] == 32768
    assert load_profile("far").url == "http://gpu.example:8000/v1"
    (one,) = records.records()
    assert (one.id, one.profile, one.version, one.running) == ("5f3a9c01", "pocket", "0.32.0", True)
    runtime = find.find("cpu")
    assert runtime is not None
    assert (runtime.kind, runtime.version) == ("managed", "0.32.0")

    after = everything(home)
    for name in (CONFIG, OWN, RECORD, MARK):
        parse = tomllib.loads if name.endswith(".toml") else json.loads
        assert parse(after[name].decode()) == {"format_version": 1} | parse(before[name].decode())
        found = parse(before[name].decode()).get("format_version", 0)
        # What was brought up is beside its newest form as it was; what is of that form is not touched.
        assert after[name] == before[name] if found == 1 else after[f"{name}.v{found}.bak"] == before[name]
    assert set(after) - set(before) == {f"{name}.v0.bak" for name in (CONFIG, OWN, RECORD, MARK) if version == "before"}
    # Comments stay where they were, and whoever opens it next changes nothing.
    for comment in ("# My settings.\n\n", "# the fine-tune", "\n# Dark hurts.\n"):
        assert comment in after[CONFIG].decode()
    assert after[OWN].startswith(b"# Written by gemma-tui tune")
    load(environ={}), load_profile("mine"), records.records(), find.find("cpu")
    assert everything(home) == after


@pytest.mark.parametrize("version", [one for one in VERSIONS if (FIXTURES / one / DATABASE).exists()])
def test_histories_of_every_version_are_opened(version: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(FIXTURES / version, home, dirs_exist_ok=True)
    assert main(["history", "list"]) == 0
    assert "Once upon a time" in capsys.readouterr().out


def number(name: str) -> Callable[[Path], None]:
    """Something that makes the file called `name` one of a version to come."""

    def change(home: Path) -> None:
        path = home / name
        text = path.read_text().replace("format_version = 1", "format_version = 99")
        path.write_text(text.replace('"format_version": 1', '"format_version": 99'))
        assert "99" in path.read_text()

    return change


def database(home: Path) -> None:
    """Make the history one of a version to come."""
    with sqlite3.connect(home / DATABASE) as connection:
        connection.execute("UPDATE schema_version SET version = 99")
    connection.close()


@pytest.mark.parametrize(
    ("change", "words", "code"),
    [
        (number(CONFIG), ["config", "show"], 2),
        (number(CONFIG), ["config", "validate"], 2),
        (number(CONFIG), ["ask", "--url", "http://127.0.0.1:9", "Hello"], 2),
        (number(OWN), ["ask", "Hello"], 2),
        (number(OWN), ["config", "validate"], 2),
        (number(RECORD), ["engine", "status"], 3),
        (number(RECORD), ["engine", "stop"], 3),
        (number(RECORD), ["ask", "--profile", "pocket", "Hello"], 3),
        (number(RECORD), ["uninstall", "--yes", "--purge"], 3),
        (number(MARK), ["engine", "list"], 3),
        (number(MARK), ["engine", "install", "--runtime", "cpu", "--yes"], 3),
        (number(MARK), ["engine", "remove", "cpu", "--yes"], 3),
        (number(MARK), ["ask", "--profile", "pocket", "Hello"], 3),
        (database, ["history", "list"], 5),
    ],
)
def test_what_a_newer_program_wrote_is_refused_and_not_touched(
    change: Callable[[Path], None],
    words: list[str],
    code: int,
    home: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    used(home, __version__)
    change(home)
    before = everything(home)
    assert main(words) == code
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1, said
    assert "99, and this gemma-tui knows 1: update gemma-tui, or " in said
    after = everything(home)
    # Locks and the place of the engines' folders are no part of it.
    assert {name: data for name, data in after.items() if name in before} == before
    assert not [name for name in after if name.endswith(".bak")]


def test_an_older_engine_that_died_leaves_no_copy(home: Path) -> None:
    shutil.copytree(FIXTURES / "before" / "state", home / "state")
    assert len(records.records()) == 1
    assert (home / f"{RECORD}.v0.bak").exists()
    assert records.clean_stale() == ["Removed what an engine of profile pocket had left after a crash: its files."]
    # Nor does one whose keeper knew nothing of copies.
    (home / f"{RECORD}.v0.bak").touch()
    records.clean_stale()
    assert not list((home / "state/engines").glob("*.json*"))


def test_what_may_not_be_written_is_read_all_the_same(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = everything(used(home, "before"))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    # Even root is refused so; permissions would not refuse it.
    monkeypatch.setattr(formats.shutil, "copy2", refuse)
    assert load(environ={}).settings.chat.max_tokens == 300
    assert load_profile("mine").checkpoint == "/models/mine"
    assert find.find("cpu") is not None
    assert len(records.records()) == 1
    assert everything(home) == before


def test_a_file_with_a_mistake_stays_as_the_person_wrote_it(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "config").mkdir()
    (home / CONFIG).write_text("# mine\n[chat]\nseeds = 1\n")
    assert main(["config", "show"]) == 2
    assert ", line 3: there is no setting 'chat.seeds'" in capsys.readouterr().err
    assert everything(home) == {CONFIG: b"# mine\n[chat]\nseeds = 1\n"}


def test_a_link_stays_one(home: Path) -> None:
    (home / "config").mkdir()
    (home / "dotfiles").mkdir()
    (home / "dotfiles/gemma.toml").write_text("[chat]\r\nseed = 1\r\n", newline="")
    (home / CONFIG).symlink_to(home / "dotfiles/gemma.toml")
    assert load(environ={}).settings.chat.seed == 1
    assert (home / CONFIG).is_symlink()
    assert (home / "dotfiles/gemma.toml").read_bytes() == b"format_version = 1\n[chat]\r\nseed = 1\r\n"
    assert (home / "dotfiles/gemma.toml.v0.bak").read_bytes() == b"[chat]\r\nseed = 1\r\n"


@pytest.mark.parametrize("number", ["-1", "0", "'one'", "1.5"])
def test_what_is_no_version_is_a_mistake(number: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "config").mkdir()
    (home / CONFIG).write_text(f"format_version = {number}\n")
    assert main(["config", "show"]) == 2
    assert "the value of 'format_version' does not fit" in capsys.readouterr().err


def test_each_step_of_several_is_taken(tmp_path: Path) -> None:
    def renamed(text: str) -> str:
        return text.replace("old", "new").replace("format_version = 1", "format_version = 2")

    to_come = formats.Format(tomllib.loads, (formats.numbered_toml, renamed), formats.UsageError, "move it away")
    for text, version in (("old = 3\n", 0), ("format_version = 1\nold = 3\n", 1)):
        path = tmp_path / f"{version}.toml"
        path.write_text(text)
        formats.bring_up(to_come, path)
        assert tomllib.loads(path.read_text()) == {"format_version": 2, "new": 3}
        assert (tmp_path / f"{version}.toml.v{version}.bak").read_text() == text
    with pytest.raises(formats.UsageError, match="is of format_version 2, and this gemma-tui knows 1"):
        formats.current(formats.SETTINGS, path, path.read_text())
