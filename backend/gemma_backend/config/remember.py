"""Write one answer of a person into their `config.toml`, and change nothing else in it."""

from __future__ import annotations

import copy
import os
import re
import tomllib
from typing import Any

from gemma_backend.config.formats import KEY, SETTINGS
from gemma_backend.config.paths import ensure
from gemma_backend.config.settings import config_file
from gemma_backend.config.toml_text import parse
from gemma_backend.types.errors import UsageError


def remember(section: str, key: str, value: str) -> None:
    """Set `key` of the table `section` to `value`; comments and everything else stay as they are.

    Raises UsageError with what to write by hand where the file's form does not allow that, OSError where it cannot be
    written.
    """
    path = config_file()
    # A link stays one: the file that it leads to is written.
    path = path.resolve()
    text = path.read_text(encoding="utf-8") if path.exists() else f"{KEY} = {SETTINGS.newest}\n"
    changed = edited(text, section, key, value)
    if changed is None:
        raise UsageError(f'{path} could not be changed: write {key} = "{value}" below [{section}] there.')
    ensure(path.parent)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(changed, encoding="utf-8")
    aside.replace(path)


def edited(text: str, section: str, key: str, value: str) -> str | None:
    """`text` with the key set; None unless it then differs from before in just that."""
    try:
        before = parse(text)
    except tomllib.TOMLDecodeError:
        return None
    line = f'{key} = "{value}"'
    header = re.search(rf"^[ \t]*\[[ \t]*{section}[ \t]*\][^\n]*$", text, re.MULTILINE)
    if header is None:
        gap = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
        changed = f"{text}{gap}[{section}]\n{line}\n"
    else:
        start = header.end()
        following = re.compile(r"^[ \t]*\[", re.MULTILINE).search(text, start)
        end = following.start() if following else len(text)
        body, count = re.subn(
            rf"^[ \t]*{key}[ \t]*=[^\n]*$", lambda _: line, text[start:end], count=1, flags=re.MULTILINE
        )
        changed = text[:start] + (body if count else f"\n{line}" + text[start:end]) + text[end:]
    wanted: dict[str, Any] = copy.deepcopy(before)
    table = wanted.setdefault(section, {})
    if not isinstance(table, dict):
        return None
    table[key] = value
    try:
        return changed if parse(changed) == wanted else None
    except tomllib.TOMLDecodeError:
        return None
