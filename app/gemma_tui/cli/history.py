"""`gemma-tui history`: what was said, to be found, read, taken elsewhere, brought in and deleted."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gemma_backend.store.history import History
    from gemma_backend.store.search import Hit

_FILTERS = (
    "Filters may stand among the words: profile:NAME, after:DAY, before:DAY, has:image, has:audio, tag:NAME, "
    "kind:chat or completion, is:pinned. A day is 2026-11-25, 2026-11, today, yesterday or 7d."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommands of `history`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list conversations, the latest first", description=_FILTERS)
    listing.add_argument("words", nargs="*", metavar="FILTER", help="for example has:image after:7d")
    searching = actions.add_parser("search", help="find conversations by words", description=_FILTERS)
    searching.add_argument("words", nargs="+", metavar="WORD", help='a word, a "phrase", begin*, or a filter')
    for one in (listing, searching):
        one.add_argument("--limit", type=_positive, default=50, metavar="N", help="at most so many (default: 50)")
        one.add_argument("--json", action="store_true", help="print a JSON array")
    showing = actions.add_parser("show", help="print a conversation")
    showing.add_argument("number", type=int, metavar="NUMBER", help="as `history list` prints it")
    showing.add_argument("--json", action="store_true", help="print all its turns, of every branch, as a JSON object")
    exporting = actions.add_parser("export", help="write conversations as Markdown, HTML or JSON Lines")
    exporting.add_argument("numbers", nargs="*", type=int, metavar="NUMBER", help="conversations to write")
    exporting.add_argument("--all", action="store_true", help="write every conversation")
    exporting.add_argument("-o", "--output", metavar="FILE", help="file to write (default: standard output)")
    exporting.add_argument(
        "--format", choices=("markdown", "html", "jsonl"), help="else by the file's name, or markdown"
    )
    exporting.add_argument("--branches", action="store_true", help="write every branch, not only the one that is shown")
    exporting.add_argument("--force", action="store_true", help="overwrite the file if it is there")
    importing = actions.add_parser(
        "import", help="bring in conversations of ChatGPT, oterm or JSON Lines; what is there already is left alone"
    )
    importing.add_argument(
        "files", nargs="+", metavar="FILE", help="ChatGPT's ZIP file or conversations.json, oterm's store.db, a .jsonl"
    )
    deleting = actions.add_parser("delete", help="delete conversations with their media")
    deleting.add_argument("numbers", nargs="+", type=int, metavar="NUMBER", help="conversations to delete")
    deleting.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace) -> int:
    """Run the action."""
    from gemma_backend.store.history import History

    history = History()
    try:
        if args.action in ("list", "search"):
            return _list(history, args)
        if args.action == "show":
            return _show(history, args)
        if args.action == "delete":
            return _delete(history, args)
        if args.action == "import":
            from gemma_tui.cli.history_import import bring_in

            return bring_in(history, [Path(name) for name in args.files])
        from gemma_tui.cli.history_export import write_out

        return write_out(history, args)
    finally:
        history.close(60)


def _list(history: History, args: argparse.Namespace) -> int:
    from gemma_backend.store.query import parse_query

    # The shell has taken the quotes away: a word with a space in it was a phrase.
    query = parse_query(" ".join(f'"{word}"' if " " in word and ":" not in word else word for word in args.words))
    hits = history.search(query, args.limit)
    if args.json:
        print(json.dumps([_as_json(hit) for hit in hits], ensure_ascii=False, indent=2))
    elif hits:
        _print_table(hits)
    else:
        print("nothing was found" if args.words else "there is no history yet", file=sys.stderr)
    return 0


def _print_table(hits: Sequence[Hit]) -> None:
    import shutil

    from gemma_backend.store.exports.branches import clock
    from gemma_backend.store.search import MARK_END, MARK_START
    from gemma_backend.text.clean import clean

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    wide = max(len(str(hit.summary.id)) for hit in hits)
    for hit in hits:
        about = hit.summary
        marks = "".join(sign for sign, there in (("*", about.pinned), ("▣", about.images), ("♪", about.clips)) if there)
        tags = "".join(f" #{tag}" for tag in about.tags)
        line = f"{about.id:>{wide}}  {clock(about.updated)}  {about.turns:>3}  {marks:<3} {about.title}{tags}"
        print(_cut(clean(line, keep_newlines=False), width))
        if hit.snippet:
            text = hit.snippet.replace(MARK_START, "").replace(MARK_END, "")
            print(_cut(" " * (wide + 2) + clean(" ".join(text.split()), keep_newlines=False), width))


def _cut(line: str, width: int) -> str:
    return line if not width or len(line) <= width else line[: width - 1] + "…"


def _as_json(hit: Hit) -> dict[str, object]:
    from dataclasses import asdict

    from gemma_backend.store.search import MARK_END, MARK_START

    found: dict[str, object] = {**asdict(hit.summary), "tags": list(hit.summary.tags)}
    if hit.turn is not None:
        found |= {"turn": hit.turn, "snippet": hit.snippet.replace(MARK_START, "").replace(MARK_END, "")}
    return found


def _show(history: History, args: argparse.Namespace) -> int:
    from gemma_backend.store.exports.branches import shown_branch
    from gemma_backend.store.exports.markdown import to_markdown
    from gemma_backend.text.clean import clean

    stored = history.load(args.number)
    if args.json:
        from gemma_tui.cli.history_export import as_object

        print(json.dumps(as_object(stored), indent=2))
        return 0
    text = to_markdown(stored.summary, shown_branch(stored))
    sys.stdout.buffer.write((clean(text) if sys.stdout.isatty() else text).encode("utf-8", "replace"))
    return 0


def _delete(history: History, args: argparse.Namespace) -> int:
    from gemma_backend.text.clean import clean
    from gemma_backend.types import UsageError

    numbers = list(dict.fromkeys(args.numbers))
    titles = [history.summary(number).title or "Untitled" for number in numbers]
    if not args.yes:
        if not (sys.stdin and sys.stdin.isatty()):
            raise UsageError("Deleting is for good, and nobody can be asked here: say --yes.")
        for number, title in zip(numbers, titles, strict=True):
            print(f"{number}  {clean(title, keep_newlines=False)}", file=sys.stderr)
        print("Delete for good? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            return 0
    history.delete(numbers).result()
    print(f"deleted {len(numbers)} conversation{'s' if len(numbers) != 1 else ''}", file=sys.stderr)
    return 0


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError("must be a whole number, 1 or more")
    return number
