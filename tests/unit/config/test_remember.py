"""An answer is written into the person's own file, which otherwise stays as it is."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_backend.config.remember import edited, remember
from gemma_backend.config.settings import load
from gemma_backend.types import UsageError


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# mine\nprofile = 'pocket'\n",
        "profile = 'pocket'",
        "[engine]\n",
        "[engine]  # warm\nidle_minutes = 5\n\n[ui]\ntheme = 'gemma-light' # dark hurts\n",
        "[engine]\non_quit = 'ask' # for now\nidle_minutes = 5\n[ui]\nmouse = false\n",
        "[ui]\nmouse = false\n[ engine ]\nidle_minutes = 1",
        "[profiles.on_quit]\ntitle = 'x'\n",
    ],
)
def test_only_the_key_changes(text: str) -> None:
    changed = edited(text, "engine", "on_quit", "keep")
    assert changed is not None
    wanted = tomllib.loads(text)
    wanted.setdefault("engine", {})["on_quit"] = "keep"
    assert tomllib.loads(changed) == wanted
    for comment in ("# mine", "# warm", "# dark hurts"):
        assert (comment in text) == (comment in changed)


@pytest.mark.parametrize(
    "text", ["engine.on_quit = 'ask'\n", "engine = { idle_minutes = 3 }\n", "x = [", "engine = 3\n"]
)
def test_what_cannot_be_changed_safely_is_not(text: str) -> None:
    assert edited(text, "engine", "on_quit", "keep") is None


@given(
    st.text(max_size=80)
    | st.lists(st.sampled_from(["[engine]", "on_quit = 'x'", "'''", "a = 1", "#", "[ui]"])).map("\n".join)
)
def test_nothing_else_is_ever_lost(text: str) -> None:
    changed = edited(text, "engine", "on_quit", "stop")
    if changed is not None:
        after = tomllib.loads(changed)
        assert after["engine"]["on_quit"] == "stop"
        before = tomllib.loads(text)
        before.setdefault("engine", {})["on_quit"] = "stop"
        assert after == before


def test_it_is_a_setting_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMMA_TUI_CONFIG_DIR", str(tmp_path / "config"))
    assert load().settings.engine.on_quit == "ask"
    remember("engine", "on_quit", "keep")
    assert load().settings.engine.on_quit == "keep"
    remember("engine", "on_quit", "stop")
    assert load().settings.engine.on_quit == "stop"
    (tmp_path / "config" / "config.toml").write_text("engine.on_quit = 'ask'\n")
    with pytest.raises(UsageError, match=r"by hand|write on_quit"):
        remember("engine", "on_quit", "keep")
