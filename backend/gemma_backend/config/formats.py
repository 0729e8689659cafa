"""Format versions of files that stay: an older one is brought to the newest form and kept, a newer one is refused."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gemma_backend.config.toml_text import parse
from gemma_backend.types.errors import EngineError, GemmaError, UsageError

KEY = "format_version"


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of file: `steps[n]` leads its text from version n to n + 1; a file without a number is of version 0.

    `error` is what a newer file is refused with, `otherwise` what a person can do besides updating the program.
    """

    parse: Callable[[str], Any]
    steps: tuple[Callable[[str], str], ...]
    error: type[GemmaError]
    otherwise: str

    @property
    def newest(self) -> int:
        """The version that this program writes."""
        return len(self.steps)


def numbered_toml(text: str) -> str:
    """A text of before the numbers with its first, ahead of all but comments: behind a table it were that table's."""
    lines = text.split("\n")
    place = next(
        (at for at, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")), len(lines)
    )
    return "\n".join([*lines[:place], f"{KEY} = 1", *lines[place:]])


def numbered_json(text: str) -> str:
    """The same of a JSON object."""
    return json.dumps({KEY: 1} | json.loads(text)) + "\n"


SETTINGS = Format(parse, (numbered_toml,), UsageError, "move the file away")
PROFILE = Format(parse, (numbered_toml,), UsageError, "move the file away")
RECORD = Format(
    json.loads,
    (numbered_json,),
    EngineError,
    "stop that engine with the gemma-tui that started it; if it has gone already, remove the file",
)
RUNTIME = Format(json.loads, (numbered_json,), EngineError, "name another folder with GEMMA_TUI_DATA_DIR")


def refuse_newer(form: Format, table: Mapping[str, Any], place: object) -> None:
    """Raise the format's error where `table` is of a version that this program does not know."""
    found = version_of(table)
    if found is not None and found > form.newest:
        raise form.error(
            f"{place} is of {KEY} {found}, and this gemma-tui knows {form.newest}: update gemma-tui, or "
            f"{form.otherwise}."
        )


def version_of(table: Mapping[str, Any]) -> int | None:
    """The version that `table` says, 0 where it says none; None for what is no version."""
    if KEY not in table:
        return 0
    found = table[KEY]
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 1 else None


def current(form: Format, path: Path, text: str) -> tuple[str, dict[str, Any]]:
    """The text of the file at `path` in the newest form, and what it holds; nothing is written.

    Raises the format's error for a newer file, and what its parser raises (a ValueError) for a text that is none.
    """
    table = form.parse(text)
    if not isinstance(table, dict):
        raise ValueError(f"{path} holds no table")
    refuse_newer(form, table, path)
    found = version_of(table)
    if found is None or not table:
        return text, table
    for step in form.steps[found:]:
        text = step(text)
    return text, form.parse(text) if found < form.newest else table


def bring_up(form: Format, path: Path) -> None:
    """Write the file at `path` in the newest form, with a copy of it as it was beside it, named after its version.

    Nothing is done where it is of the newest form, or where it may not be written: then it is brought up anew each time
    that it is read.
    """
    with contextlib.suppress(OSError, ValueError):
        # A link stays one: the file that it leads to is written.
        place = path.resolve(strict=True)
        before = place.read_bytes()
        found = version_of(form.parse(before.decode()))
        after = current(form, place, before.decode())[0].encode()
        if after == before:
            return
        shutil.copy2(place, place.with_name(f"{place.name}.v{found}.bak"))
        aside = place.with_name(f".{place.name}.{os.getpid()}.new")
        try:
            with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                shutil.copymode(place, aside)
                file.write(after)
                file.flush()
                os.fsync(file.fileno())
            # Whoever wrote it in the meantime knows better.
            if place.read_bytes() == before:
                aside.replace(place)
        finally:
            aside.unlink(missing_ok=True)
