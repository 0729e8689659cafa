"""`gemma-tui config`: every setting, its value, and where the value came from."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `config show` and `config path`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    show = actions.add_parser("show", help="print every setting with its source", allow_abbrev=False)
    show.add_argument("--json", action="store_true", help="print JSON")
    actions.add_parser("path", help="print the path of config.toml", allow_abbrev=False)


def run(args: argparse.Namespace) -> int:
    """Print what was asked for."""
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
