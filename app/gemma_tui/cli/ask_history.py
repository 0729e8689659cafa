"""`ask` and the history: what is asked is kept there, and `-c` goes on with the last conversation."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gemma_backend.session.session import Session
    from gemma_backend.store.history import History


def add_history_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says whether and where a prompt is kept."""
    parser.add_argument(
        "-c", "--continue", dest="go_on", action="store_true", help="go on with the conversation that was used last"
    )
    parser.add_argument("--no-history", action="store_true", help="write nothing of it to the history")


def check_history_arguments(args: argparse.Namespace) -> None:
    """Raise UsageError for options that exclude each other."""
    from gemma_backend.types import UsageError

    if args.go_on and args.raw:
        raise UsageError("--raw sends a text as it is, and a conversation is none: leave out -c.")
    if args.go_on and args.system:
        raise UsageError("--system begins a conversation, and -c goes on with one: leave one of them out.")


def converse(session: Session, args: argparse.Namespace) -> History:
    """Begin the conversation, or find the last one; the caller closes what is returned. Raises GemmaError."""
    from gemma_backend.session.talk import Talk
    from gemma_backend.store.history import History
    from gemma_backend.types import BadInput

    history = History(keep=session.settings.history.keep)
    session.keep_in(history)
    if args.go_on:
        latest = history.latest()
        if latest is None:
            raise BadInput("There is no conversation to go on with yet: leave out -c.")
        session.converse(Talk(history, history.load(latest.id)))
    if args.system:
        session.talk.instruct(args.system)
    session.talk.trouble = _tell
    return history


def _tell(sentence: str) -> None:
    import sys

    from gemma_backend.text.clean import clean

    print(f"gemma-tui: {clean(sentence, keep_newlines=False)}", file=sys.stderr)
