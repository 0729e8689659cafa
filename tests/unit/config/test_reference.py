"""The reference names every setting with its default, every shipped profile and every key."""

from pathlib import Path

import pytest

from gemma_assets import path as asset
from gemma_backend.config.settings import Settings, known_keys
from gemma_tui.tui.screens.help import KEYS
from gemma_tui.tui.screens.main import MainScreen

TEXT = (Path(__file__).parents[3] / "docs" / "reference.md").read_text(encoding="utf-8")


def default(key: str) -> str:
    value: object = Settings()
    for part in key.split("."):
        value = getattr(value, part)
    if value is None:
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


@pytest.mark.parametrize("key", known_keys())
def test_every_setting_is_there_with_its_default(key: str) -> None:
    assert f"| `{key}` | {default(key)} |" in TEXT


def test_no_setting_is_made_up() -> None:
    rows = [line.split("`")[1] for line in TEXT.partition("## Profiles")[0].splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted(known_keys())


def test_every_profile_and_every_key_is_there() -> None:
    assert all(f"`{file.stem}`" in TEXT for file in asset("profiles").glob("*.toml"))
    assert [f"| {key} | {text} |" for key, text in KEYS if f"| {key} | {text} |" not in TEXT] == []


def test_every_command_is_there() -> None:
    rows = {line.split("`")[1] for line in TEXT.partition("## Commands")[2].splitlines() if line.startswith("| `/")}
    assert rows == {command.shown for command in MainScreen(board=False, now=lambda: 0.0).commander.offered}
