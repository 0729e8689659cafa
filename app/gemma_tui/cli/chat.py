"""`gemma-tui` without a subcommand: opens the screen."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gemma_tui.tui.app import GemmaApp


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that stand before any subcommand."""
    parser.add_argument("--url", metavar="URL", help="talk to a server elsewhere, for example http://host:8000/v1")
    parser.add_argument("--api-key-file", metavar="FILE", help="file with that server's key")
    parser.add_argument("--ca-file", metavar="FILE", help="certificates to trust for https")
    parser.add_argument("--insecure", action="store_true", help="do not check the server's certificate")
    parser.add_argument("--model", metavar="ID", help="model to use where the server has several")
    parser.add_argument("--profile", metavar="NAME", help="what to run on this machine: workstation, pocket, ...")
    parser.add_argument("--yes", action="store_true", help="install and fetch what is missing without asking")


def run(args: argparse.Namespace) -> int:
    """Open the screen; returns its exit code, 70 after a bug of ours."""
    from gemma_backend.endpoint.address import find_key, parse_url
    from gemma_backend.types import UsageError

    if args.url is not None:
        parse_url(args.url, api_key=find_key(args.api_key_file), ca_file=args.ca_file)
    if args.profile is not None:
        if args.url is not None:
            raise UsageError("--url and --profile are two different places; give one of them.")
        from gemma_backend.config.profiles import load_profile

        load_profile(args.profile)
    # Textual draws on standard error.
    if not all(stream and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.__stderr__)):
        raise UsageError('the screen needs a terminal; for one answer without it: gemma-tui ask "Hello"')

    from gemma_backend.media.native import keep_native_writes_off_screen
    from gemma_tui.tui import start

    # What libsndfile's decoders report about damaged frames would be drawn across it.
    keep_native_writes_off_screen()
    app: list[GemmaApp] = []

    def make() -> GemmaApp:
        from gemma_tui.tui.app import GemmaApp

        app.append(
            GemmaApp.asked_for(
                url=args.url,
                api_key_file=args.api_key_file,
                ca_file=args.ca_file,
                insecure=args.insecure,
                model=args.model,
                profile=args.profile,
                yes=args.yes,
            )
        )
        return app[0]

    start.run(make, hint="text, pictures and sound on your own machine")
    if app[0].bug_log is not None:
        print(f"gemma-tui: this is a bug of ours; what happened is in {app[0].bug_log}", file=sys.stderr)
        return 70
    return app[0].return_code or 0
