"""The text under each key is what the reference, the JSON Schema and a new config.toml say of it."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from gemma_backend.config import described, settings
from gemma_backend.config.lines import line_of
from gemma_backend.config.profiles import Profile
from gemma_backend.config.settings import Settings
from gemma_tui.cli.main import main

REFERENCE = (Path(__file__).parents[3] / "docs" / "reference.md").read_text(encoding="utf-8")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GEMMA_TUI_CONFIG_DIR", str(tmp_path))
    return tmp_path / "config.toml"


def in_a_table(text: str) -> str:
    text = text.rstrip(".")
    return text if text.startswith("`") or text[1:2].isupper() else text[0].lower() + text[1:]


@pytest.mark.parametrize("model", [Settings, Profile])
def test_every_key_is_described_once_and_the_reference_says_the_same(model: type[Settings | Profile]) -> None:
    for key, text, _ in described.keys(model):
        assert text.endswith("."), key
        if key not in ("profiles", "name"):
            row = next(line for line in REFERENCE.splitlines() if line.startswith(f"| `{key}` |"))
            assert f"| {in_a_table(text)} |" in row


def test_the_schema_describes_what_the_models_allow(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["$schema"] == described.DIALECT
    assert made["additionalProperties"] is False
    assert made["properties"]["gpu"]["description"].startswith("GPU to run on")
    assert made["$defs"]["ChatSettings"]["properties"]["seed"]["description"] == "Seed of the sampler."
    assert made["properties"]["profiles"]["additionalProperties"] == {"$ref": "#/$defs/Profile"}
    profile = made["$defs"]["Profile"]
    assert set(profile["properties"]) == set(Profile.model_fields) - {"name"}
    assert profile["properties"]["media"]["enum"] == ["on", "off", "auto"]
    assert main(["config", "schema", "--profile-file"]) == 0
    assert json.loads(capsys.readouterr().out)["properties"] == profile["properties"]


TEXT = """# a comment
profile = "mine"

[chat]
seed = 3
"top_p" = 0.5

[profiles.mine]
checkpoint = "x"
environment = { A = "1" }
[profiles.mine.flags]
max-model-len = 5
"""


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("profile", 2),
        ("chat", 4),
        ("chat.seed", 5),
        ("chat.top_p", 6),
        ("profiles.mine.checkpoint", 9),
        ("profiles.mine.environment.A", 10),
        ("profiles.mine.flags.max-model-len", 12),
        ("profiles.mine.url", 8),
        ("ui.theme", None),
    ],
)
def test_a_key_is_found_by_its_line(key: str, line: int | None) -> None:
    assert line_of(TEXT, key) == line


def test_every_mistake_is_named_with_file_line_and_nearest_key(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text('profile = "auto"\n[chat]\nmax_tokns = 5\ntemperature = -1\n[profiles.mine]\ncheckpont = "x"\n')
    own = config.parent / "profiles" / "other.toml"
    own.parent.mkdir()
    own.write_text('title = "x"\n\nmedia = "loud"\n')
    assert main(["config", "validate"]) == 2
    said = capsys.readouterr().err
    assert f"{config}, line 3: there is no setting 'chat.max_tokns'; did you mean 'chat.max_tokens'?" in said
    assert f"{config}, line 4: the value of 'chat.temperature' does not fit" in said
    assert f"{config}, line 6: there is no setting 'checkpont'; did you mean 'checkpoint'?" in said
    assert f"{own}, line 3: the value of 'media' does not fit" in said
    assert len(said.splitlines()) == 4
    # The first of them is what any other command says.
    assert main(["config", "show"]) == 2
    assert ", line " in capsys.readouterr().err


def test_a_valid_configuration_and_single_files(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "validate"]) == 0
    assert "no configuration file" in capsys.readouterr().out
    config.write_text('profile = "workstatoin"\n')
    assert main(["config", "validate"]) == 2
    assert "did you mean 'workstation'" in capsys.readouterr().err
    config.write_text('profile = "mine"\n[profiles.mine]\ncheckpoint = "/models/mine"\n')
    assert main(["config", "validate"]) == 0
    elsewhere = config.parent / "some.toml"
    elsewhere.write_text('checkpoint = "x"\nflagz = 1\n')
    assert main(["config", "validate", str(elsewhere)]) == 2
    assert "line 2: there is no setting 'flagz'; did you mean 'flags'?" in capsys.readouterr().err
    assert main(["config", "validate", str(config.parent / "none.toml")]) == 2


def test_an_editor_gets_a_file_that_explains_itself(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("VISUAL", "true")
    assert main(["config", "edit"]) == 0
    text = config.read_text()
    sections = ("chat", "completion", "ui", "media", "history", "engine")
    assert tomllib.loads(text) == {"format_version": 1} | {section: {} for section in sections}
    for key in settings.known_keys():
        assert key == "format_version" or f"\n# {key.rpartition('.')[2]} = " in text
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nprintf "[chat]\\nsed = 1\\n" > "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))
    assert main(["config", "edit"]) == 2
    assert "line 2: there is no setting 'chat.sed'; did you mean 'chat.seed'?" in capsys.readouterr().err
    for broken, words in (("", "set VISUAL or EDITOR"), ("/none/there", "can't be started"), ("false", "ended with")):
        monkeypatch.setenv("VISUAL", broken)
        monkeypatch.delenv("EDITOR", raising=False)
        assert main(["config", "edit"]) == 2
        assert words in capsys.readouterr().err


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (Path.mkdir, "Is a directory"),
        (os.mkfifo, "a pipe or a device"),
        (_loop, "Too many levels of symbolic links"),
        (lambda path: path.write_text("a = " + "[" * 20_000), "nested too deeply"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "no valid TOML"),
        (lambda path: path.write_text('title = "\x00"'), "no valid TOML"),
    ],
)
@pytest.mark.parametrize("place", ["config.toml", "profiles/mine.toml"])
def test_what_is_no_file_of_ours_is_one_sentence(
    config: Path,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Path], object],
    words: str,
    place: str,
) -> None:
    path = config.parent / place
    path.parent.mkdir(exist_ok=True)
    make(path)
    for command in (["config", "validate"], ["config", "show"] if place == "config.toml" else ["model", "fit"]):
        assert main(command) == 2
        said = capsys.readouterr().err
        assert words in said
        assert str(path) in said
        assert said.count("\n") == 1


def test_a_link_that_leads_nowhere_is_named_by_validate(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.symlink_to("gone.toml")
    assert main(["config", "validate"]) == 2
    assert "cannot be read: No such file" in capsys.readouterr().err
