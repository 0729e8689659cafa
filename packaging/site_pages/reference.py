"""Parts of the documentation that are made from the parsers and models: commands, settings, profiles, exit codes."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import fill

from dist.parsers import commands, whole
from gemma_assets import path as asset
from gemma_backend.config import described
from gemma_backend.config.profiles import Profile, _from_file
from gemma_backend.config.settings import Settings
from gemma_tui.commands import COMMANDS
from gemma_tui.exit_codes import EXIT_CODES
from gemma_tui.tui.screens.help import KEYS

PAGE = Path(__file__).parents[2] / "docs" / "reference.md"
ABOUT = """Every command with its options, as the program's own help has them; the same is in the manual pages
(`man gemma-tui-ask`). Options stand behind the name of their command. Settings, profiles and keys are in the
[Reference](reference.md)."""


def command_page() -> str:
    """The page of all commands, their options, and the exit codes."""
    rows = ["# Commands and options", "", *_filled(ABOUT), ""]
    rows += _command("gemma-tui", whole(), 2)
    rows += ["## Exit codes", "", *exit_codes(), ""]
    return "\n".join(rows)


def _command(name: str, parser: argparse.ArgumentParser, level: int, line: str = "") -> Iterator[str]:
    """A command's heading, what it does (`line` is what the list it stands in says), its options, those below it."""
    yield from (f"{'#' * level} {name}", "")
    about = parser.description or ""
    said = [] if about.startswith(line) else [line]
    said += [about, *([parser.epilog or ""] if level > 2 else [])]
    yield from (*_filled(" ".join(filter(None, said))), "")
    rows = [row for action in parser._actions if (row := _row(parser, action)) is not None]
    if rows:
        yield from ("| option | |", "| --- | --- |", *rows, "")
    lines = {
        choice.dest: _sentence(choice.help or "") for group in _groups(parser) for choice in group._choices_actions
    }
    for child, inner in commands(parser).items():
        yield from _command(f"{name} {child}", inner, level + 1, lines.get(child, ""))


def _filled(text: str) -> list[str]:
    return fill(" ".join(text.split()), 120, break_on_hyphens=False).splitlines()


def _groups(parser: argparse.ArgumentParser) -> Iterator[argparse._SubParsersAction[argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield action


def _row(parser: argparse.ArgumentParser, action: argparse.Action) -> str | None:
    if isinstance(action, argparse._HelpAction | argparse._SubParsersAction) or action.help == argparse.SUPPRESS:
        return None
    formatter = parser._get_formatter()
    takes = ""
    if action.nargs != 0:
        takes = formatter._format_args(action, formatter._get_default_metavar_for_optional(action))
    names = [f"{name} {takes}".strip() for name in action.option_strings] or [
        formatter._format_args(action, formatter._get_default_metavar_for_positional(action))
    ]
    shown = ", ".join(f"`{name}`" for name in names)
    return f"| {_cell(shown)} | {_cell(formatter._expand_help(action) if action.help else '')} |"


def _cell(text: str) -> str:
    """Text as a table's cell holds it: angle brackets are no HTML, bars no new cell."""
    return (
        " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;") if "`" not in text else text.replace("|", "\\|")
    )


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}." if text else ""


def exit_codes() -> list[str]:
    """A table of the exit codes."""
    return ["| code | |", "| --- | --- |", *(f"| {code} | {text} |" for code, text in EXIT_CODES.items())]


def settings() -> list[str]:
    """A table of every setting with its default."""
    rows = [(key, _default(value), text) for key, text, value in described.keys(Settings) if key != "profiles"]
    # The number comes last: nobody sets it.
    rows.sort(key=lambda row: row[0] == "format_version")
    return [
        "| key | default | |",
        "| --- | --- | --- |",
        *(f"| `{key}` | {value} | {in_a_table(text)} |" for key, value, text in rows),
    ]


def profile_keys() -> list[str]:
    """A table of every key of a profile."""
    return [
        "| key | |",
        "| --- | --- |",
        *(f"| `{key}` | {in_a_table(text)} |" for key, text, _ in described.keys(Profile) if key != "name"),
    ]


def profiles() -> list[str]:
    """A table of the profiles that ship."""
    shipped = [_from_file(path) for path in sorted(asset("profiles").glob("*.toml"))]
    return [
        "| profile | what for | checkpoint | runtime |",
        "| --- | --- | --- | --- |",
        *(f"| `{one.name}` | {one.description} | {_place(one)} | `{one.runtime}` |" for one in shipped),
    ]


def keys() -> list[str]:
    """A table of the keys of the screen."""
    return ["| key | |", "| --- | --- |", *(f"| {key} | {text} |" for key, text in KEYS)]


def slash_commands() -> list[str]:
    """A table of the commands of the screen."""
    rows = []
    for one in COMMANDS:
        also = f"; also {', '.join(f'`/{alias}`' for alias in one.aliases)}" if one.aliases else ""
        rows.append(f"| `{one.shown}` | {one.summary}{also} |")
    return ["| command | |", "| --- | --- |", *rows]


def in_a_table(text: str) -> str:
    """A sentence as a cell: without its full stop, small unless a name or a proper word begins it."""
    text = text.rstrip(".")
    return text if text.startswith("`") or text[1:2].isupper() else text[0].lower() + text[1:]


def _place(profile: Profile) -> str:
    return f"`{profile.checkpoint or profile.url}`"


def _default(value: object) -> str:
    if value is None:
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


PARTS = {
    "settings": settings,
    "profiles": profiles,
    "profile keys": profile_keys,
    "keys": keys,
    "commands": slash_commands,
    "exit codes": exit_codes,
}


def reference_page() -> str:
    """The reference with the tables between its marks made anew; KeyError for a mark that nothing is made for."""

    def made(found: re.Match[str]) -> str:
        return "\n".join([found[1], "", *PARTS[found[2]](), "", found[3]])

    text = PAGE.read_text("utf-8")
    return re.sub(r"(?ms)^(<!-- made: ([a-z ]+) -->)$.*?^(<!-- end -->)$", made, text)
