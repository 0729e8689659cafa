"""`gemma-tui config`: every setting, its value and source; its file, edited, checked and described."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions of `config`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    show = actions.add_parser("show", help="print every setting with its source")
    show.add_argument("--json", action="store_true", help="print JSON")
    actions.add_parser("path", help="print the path of config.toml")
    actions.add_parser("edit", help="open config.toml in $VISUAL or $EDITOR, then check it")
    schema = actions.add_parser("schema", help="print the JSON Schema of config.toml for editors")
    schema.add_argument("--profile-file", action="store_true", help="of a file in the folder profiles instead")
    validate = actions.add_parser("validate", help="name every mistake in config.toml and profiles")
    validate.add_argument("file", metavar="FILE", nargs="?", help="check this file instead, a profile or a config.toml")


def run(args: argparse.Namespace) -> int:
    """Do what was asked for; `edit` and `validate` end with 2 if something is wrong."""
    if args.action == "edit":
        return _edit()
    if args.action == "schema":
        import json

        from gemma_backend.config.described import profile_schema, schema

        print(json.dumps(profile_schema() if args.profile_file else schema(), indent=2))
        return 0
    if args.action == "validate":
        return _validate(Path(args.file).expanduser() if args.file is not None else None)
    return _show(args)


def _validate(file: Path | None) -> int:
    from gemma_backend.config.validate import problems
    from gemma_backend.text.clean import clean

    files, found = problems(file)
    for problem in found:
        print(clean(problem, keep_newlines=False), file=sys.stderr)
    if found:
        return 2
    print("\n".join(f"{path} is valid." for path in files) or "There is no configuration file, which is fine.")
    return 0


def _edit() -> int:
    import os
    import shlex
    import subprocess

    from gemma_backend.config import paths, settings
    from gemma_backend.types import UsageError

    words = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "")
    if not words:
        raise UsageError(f"no editor is named: set VISUAL or EDITOR, or edit {settings.config_file()}.")
    path = settings.config_file()
    if not path.exists():
        paths.ensure(path.parent)
        path.write_text(_template(), encoding="utf-8")
    try:
        code = subprocess.run([*words, str(path)], check=False).returncode
    except OSError as error:
        raise UsageError(f"the editor {words[0]!r} can't be started: {error.strerror}.") from None
    if code:
        raise UsageError(f"the editor {words[0]!r} ended with code {code}; {path} is as it left it.")
    return _validate(None)


def _template() -> str:
    """A first config.toml: every key with what it means, commented out at its default."""
    from gemma_backend.config.described import keys
    from gemma_backend.config.formats import KEY, SETTINGS
    from gemma_backend.config.settings import Settings

    lines = ["# Settings of gemma-tui. A line counts once its # is gone; `gemma-tui config validate` checks it.", ""]
    lines += [f"{KEY} = {SETTINGS.newest}", ""]
    section = ""
    for key, text, default in keys(Settings):
        table, _, name = key.rpartition(".")
        if key in (KEY, "profiles"):
            continue
        if table != section:
            section = table
            lines += [f"[{table}]", ""]
        lines += [f"# {text}", f"# {name} = {_toml(default)}", ""]
    return "\n".join(lines)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else "..." if value is None else str(value)


def _show(args: argparse.Namespace) -> int:
    from gemma_backend.config import settings
    from gemma_backend.text.clean import clean

    if args.action == "path":
        print(settings.config_file())
        return 0
    found = settings.load()
    values = {key: _value(found.settings, key) for key in settings.known_keys()}
    if args.json:
        import json

        rows = {key: {"value": value, "source": found.sources[key]} for key, value in values.items()}
        print(json.dumps(rows, indent=2))
        return 0
    width = max(map(len, values))
    shown = {key: "-" if value is None else clean(str(value), keep_newlines=False) for key, value in values.items()}
    column = max(map(len, shown.values()))
    for key, text in shown.items():
        print(f"{key:<{width}}  {text:<{column}}  {clean(found.sources[key], keep_newlines=False)}")
    return 0


def _value(settings: object, key: str) -> object:
    for part in key.split("."):
        settings = getattr(settings, part)
    return settings
