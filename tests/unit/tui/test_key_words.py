"""The help has what is really bound: every key of every class."""

from __future__ import annotations

from importlib import import_module
from pkgutil import walk_packages

import pytest
from textual.dom import DOMNode

import gemma_tui.tui
from gemma_tui.tui.key_words import PLACES, bound_keys, key_name, key_names


def binding_classes() -> set[str]:
    found = set()
    for module in walk_packages(gemma_tui.tui.__path__, "gemma_tui.tui."):
        for value in vars(import_module(module.name)).values():
            own = isinstance(value, type) and value.__module__.startswith("gemma_tui.tui.")
            if own and issubclass(value, DOMNode) and vars(value).get("BINDINGS"):
                found.add(f"{value.__module__.removeprefix('gemma_tui.tui.')}:{value.__name__}")
    return found


def test_every_class_with_keys_is_in_the_help() -> None:
    # `gemma-tui top` is a program of its own, whose keys stand in its last row.
    assert binding_classes() - {"top:TopApp"} == {where for _, where in PLACES}


def test_every_key_says_what_it_does() -> None:
    entries = bound_keys()
    assert len(entries) > 150
    assert all(entry.keys and entry.text[:1].isupper() for entry in entries)


@pytest.mark.parametrize(
    ("key", "name"),
    [("ctrl+underscore", "Ctrl+_"), ("f7", "F7"), ("pageup", "PgUp"), ("alt+h", "Alt+H"), ("x", "x"), ("N", "N"),
     ("shift+f3", "Shift+F3"), ("escape", "Esc"), ("slash", "/"), ("ctrl+shift+home", "Ctrl+Shift+Home")],
)  # fmt: skip
def test_keys_have_the_names_on_a_keyboard(key: str, name: str) -> None:
    assert key_name(key) == name


def test_keys_that_do_the_same_stand_together() -> None:
    assert key_names("ctrl+y,super+y,ctrl+shift+z") == "Ctrl+Y, Ctrl+Shift+Z"
