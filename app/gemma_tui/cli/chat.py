"""`gemma-tui` without a subcommand: opens the screen."""

from __future__ import annotations

import argparse
import os
import sys

# As in `typing`, whose import would take a tenth of the time to the first frame.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from gemma_backend.config.settings import UiSettings
    from gemma_tui.tui.app import GemmaApp


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that stand before any subcommand."""
    parser.add_argument(
        "--url", metavar="URL", help="talk to a server elsewhere, for example http://host:8000/v1 or ssh://host"
    )
    parser.add_argument("--api-key-file", metavar="FILE", help="file with that server's key")
    parser.add_argument("--ca-file", metavar="FILE", help="certificates to trust for https")
    parser.add_argument("--insecure", action="store_true", help="do not check the server's certificate")
    parser.add_argument("--model", metavar="ID", help="model to use where the server has several")
    parser.add_argument("--profile", metavar="NAME", help="what to run on this machine: workstation, pocket, ...")
    parser.add_argument("--gpu", type=int, metavar="N", help="GPU to run on, as nvidia-smi numbers them")
    parser.add_argument("--yes", action="store_true", help="install and fetch what is missing without asking")
    parser.add_argument("--plain", action="store_true", help="talk in lines, without a screen")
    parser.add_argument("--no-history", action="store_true", help="write nothing of what is said to the history")


def run(args: argparse.Namespace) -> int:
    """Open the screen, or talk in lines; returns the exit code, 70 after a bug of ours."""
    if args.plain or os.environ.get("TERM") == "dumb":
        from gemma_tui.cli import plain

        return plain.run(args)
    # Textual draws on standard error.
    if not all(stream and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.__stderr__)):
        from gemma_backend.types import UsageError

        _check_options(args)
        if args.url is None:
            _check_runtime(args.profile)
        raise UsageError(
            'the screen needs a terminal; without one: gemma-tui --plain, or for one answer gemma-tui ask "Hello"'
        )
    _check_terminal()

    from gemma_tui.tui import start

    apps: list[GemmaApp] = []

    # All that takes time to import comes after the first frame.
    def make() -> start.Runnable:
        from gemma_backend.media.native import keep_native_writes_off_screen

        _check_options(args)
        # What libsndfile's decoders report about damaged frames would be drawn across the screen.
        keep_native_writes_off_screen()

        from gemma_tui.tui.app import GemmaApp

        ui = _ui_settings()
        app = GemmaApp.asked_for(
            url=args.url,
            api_key_file=args.api_key_file,
            ca_file=args.ca_file,
            insecure=args.insecure,
            model=args.model,
            profile=args.profile,
            yes=args.yes,
            no_history=args.no_history,
            theme=ui.theme if ui else None,
            board=ui.dashboard if ui else True,
            mouse=ui.mouse if ui else True,
            pictures=ui.pictures if ui else "auto",
        )
        apps.append(app)
        return app

    start.run(make, hint="text, pictures and sound on your own machine")
    app = apps[0]
    if app.bug_log is not None:
        print(f"gemma-tui: this is a bug of ours; what happened is in {app.bug_log}", file=sys.stderr)
        return 70
    return app.return_code or 0


def _check_terminal() -> None:
    """UsageError where the screen would come out broken."""
    # What a shell exported is the size of another time; Textual would believe it.
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)
    columns, rows = os.get_terminal_size(sys.__stderr__.fileno() if sys.__stderr__ else 2)
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    if 0 < columns < 80 or 0 < rows < 24:
        wrong = (
            f"the screen needs 80 columns and 24 rows, and this terminal has {columns} and {rows}: enlarge it, or "
            "start with --plain"
        )
    elif encoding != "utf8":
        wrong = (
            f"the screen is drawn in UTF-8, and this terminal's locale is {sys.stdout.encoding}: set LC_ALL=C.UTF-8, "
            "or start with --plain"
        )
    else:
        return
    # Importing it takes a third of the time to the first frame.
    from gemma_backend.types import UsageError

    raise UsageError(wrong)


def _check_options(args: argparse.Namespace) -> None:
    """UsageError or BadInput where an address, a key's file or a profile is not usable."""
    from gemma_backend.endpoint.address import find_key, parse_url
    from gemma_backend.types import UsageError

    if args.url is not None:
        parse_url(args.url, api_key=find_key(args.api_key_file), ca_file=args.ca_file)
    if args.profile is not None:
        if args.url is not None:
            raise UsageError("--url and --profile are two different places; give one of them.")
        from gemma_backend.config.profiles import load_profile

        load_profile(args.profile)


def _ui_settings() -> UiSettings | None:
    """The person's settings of the screen; None where they have none, which is known without importing pydantic."""
    from gemma_backend.config.paths import config_dir

    if not (config_dir() / "config.toml").exists() and not any(name.startswith("GEMMA_TUI_UI_") for name in os.environ):
        return None
    from gemma_backend.config.settings import load

    return load().settings.ui


def _check_runtime(profile_name: str | None) -> None:
    """Raise EngineError with the command that installs what is missing; nothing is fetched here."""
    from gemma_backend.config.settings import load
    from gemma_backend.runtime.find import find
    from gemma_backend.session.choose import chosen_profile
    from gemma_backend.types import EngineError

    profile, _ = chosen_profile(load({"profile": profile_name}).settings.profile)
    if profile.url is None and find(profile.runtime) is None:
        from gemma_backend.session.session import missing_runtime

        raise EngineError(missing_runtime(profile))
