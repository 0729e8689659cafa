"""`gemma-tui eval`: does a served model still speak, alone or beside the one that it was made from."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gemma_backend.config.profiles import Profile
    from gemma_backend.evaluate.quality.asking import Asked
    from gemma_backend.evaluate.quality.harness import Score
    from gemma_backend.evaluate.quality.questions import Question
    from gemma_backend.evaluate.quality.report import Report
    from gemma_backend.session.session import Session
    from gemma_backend.types import Endpoint

SETS = ("questions", "pictures", "clips")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `eval` takes."""
    parser.add_argument("--profile", metavar="P", help="profile to measure; its engine is started where none runs")
    parser.add_argument("--url", help="OpenAI-compatible server to measure, with or without /v1; or unix:/path")
    parser.add_argument("--model", metavar="ID", help="model to measure, where the server has several")
    parser.add_argument(
        "--against", metavar="B", help="compare with this profile or URL, usually the unquantised model"
    )
    parser.add_argument("--against-model", metavar="ID", help="model to compare with, where that server has several")
    asked = parser.add_argument_group("what is asked (by default a small set that ships)")
    asked.add_argument("--text", type=Path, metavar="FILE", help="text to read, for perplexity and agreement")
    for name in SETS:
        asked.add_argument(
            f"--{name}", type=Path, metavar="FILE", help=f"JSON lines: `question`, `answer`{_beside(name)}"
        )
    asked.add_argument("--only", choices=("text", *SETS), action="append", help="measure this alone; may be repeated")
    asked.add_argument("--limit", type=_count, metavar="N", help="at most this many texts and questions of each kind")
    asked.add_argument("--tasks", metavar="NAMES", help="tasks for lm-evaluation-harness too, with commas between them")
    asked.add_argument(
        "--tokenizer", metavar="T", help="tokenizer for --tasks: a folder or repository (default: MODEL)"
    )
    told = parser.add_argument_group("results")
    told.add_argument("--json", action="store_true", help="print a JSON object")
    told.add_argument("--card", type=Path, metavar="FOLDER", help="write the table into this checkpoint's model card")
    access = parser.add_argument_group("access")
    access.add_argument("--api-key-file", metavar="F", help="file with the key of --url and of a URL in --against")
    access.add_argument("--ca-file", metavar="F", help="certificate of the CA to trust, in PEM form")
    access.add_argument("--insecure", action="store_true", help="do not check the server's certificate")


def run(args: argparse.Namespace) -> int:
    """Measure, print a table or JSON; 4 where a server is not reached, 3 where an engine fails."""
    import asyncio

    from gemma_backend.evaluate.quality.report import as_json, report
    from gemma_backend.types import UsageError

    if (args.url is None) == (args.profile is None):
        raise UsageError("Say what to measure: --profile NAME or --url URL, one of the two.")
    texts, questions = _asked(args)
    card = _card(args.card)
    place = args.url or args.profile
    there = bool(args.against) and ("://" in args.against or args.against.startswith("unix:"))
    if args.against:
        # Before an engine is started for the first of the two.
        _target(args, args.against, there)
    ours, scores = asyncio.run(_measure(args, place, args.model, bool(args.url), texts, questions, args.tasks))
    theirs = None
    if args.against:
        theirs, _ = asyncio.run(_measure(args, args.against, args.against_model, there, texts, questions, None))
    made = report(ours, theirs, questions)
    if card is not None:
        _write_card(card, made)
    if args.json:
        import dataclasses
        import json

        print(json.dumps(as_json(made) | {"tasks": [dataclasses.asdict(one) for one in scores]}, indent=2))
    else:
        _print(made, scores)
    return 0


def _beside(name: str) -> str:
    return {"pictures": ", and `image`, a file beside it", "clips": ", and `audio`, a file beside it"}.get(name, "")


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _asked(args: argparse.Namespace) -> tuple[list[str], dict[str, Sequence[Question]]]:
    """Texts and questions: those of the files named, else those that ship."""
    from gemma_backend.evaluate.quality.questions import bundled, read_questions, read_texts

    wanted = args.only or ("text", *SETS)
    texts = read_texts(args.text or bundled("stories.txt"))[: args.limit] if "text" in wanted else []
    questions: dict[str, Sequence[Question]] = {}
    for name in SETS:
        if name in wanted:
            questions[name] = read_questions(getattr(args, name) or bundled(f"{name}.jsonl"))[: args.limit]
    return texts, questions


def _session(args: argparse.Namespace, place: str, model: str | None, is_url: bool) -> Session:
    from gemma_backend.config.settings import load
    from gemma_backend.endpoint.address import key_warning
    from gemma_backend.session.session import Session
    from gemma_backend.types import Endpoint

    settings = load({}).settings
    target = _target(args, place, is_url)
    if isinstance(target, Endpoint):
        if warning := key_warning(target):
            print(f"gemma-tui: {warning}", file=sys.stderr)
        return Session.for_endpoint(target, model, settings)
    return Session.for_profile(target, settings, model)


def _target(args: argparse.Namespace, place: str, is_url: bool) -> Endpoint | Profile:
    """What `place` names; UsageError, BadInput or EngineError where it is of no use."""
    from gemma_backend.endpoint.address import find_key, parse_url
    from gemma_tui.cli.engine_run import chosen_profile, found_runtime

    if is_url:
        return parse_url(place, api_key=find_key(args.api_key_file), ca_file=args.ca_file, insecure=args.insecure)
    profile = chosen_profile(place)
    if profile.url is None:
        found_runtime(profile)
    return profile


async def _measure(
    args: argparse.Namespace,
    place: str,
    model: str | None,
    is_url: bool,
    texts: list[str],
    questions: dict[str, Sequence[Question]],
    tasks: str | None,
) -> tuple[Asked, list[Score]]:
    """Bring up one of the two, ask it, and stop what was started."""
    import asyncio

    from gemma_backend.evaluate.quality import harness
    from gemma_backend.evaluate.quality.asking import ask
    from gemma_backend.text.clean import clean

    session = _session(args, place, model, is_url)
    shown = sys.stderr.isatty()

    def tell(kind: str, done: int, total: int) -> None:
        if shown:
            print(f"\r\x1b[K{clean(place)}: {kind}, {done} of {total}", end="", file=sys.stderr, flush=True)

    try:
        await session.start()
        if shown:
            print(f"\r\x1b[K{clean(place)}: waiting until it answers", end="", file=sys.stderr, flush=True)
        await session.wait_ready()
        assert session.endpoint is not None
        asked = await ask(session.endpoint, session.model, texts, questions, tell)
        scores: list[Score] = []
        if tasks:
            tokenizer = args.tokenizer or session.model
            scores = await asyncio.to_thread(harness.run, session.endpoint, session.model, tokenizer, tasks, args.limit)
        return asked, scores
    finally:
        if shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        await session.close()


def _card(folder: Path | None) -> Path | None:
    from gemma_backend.types import BadInput

    if folder is None:
        return None
    if not (folder / "README.md").is_file():
        raise BadInput(f"{folder} holds no model card (README.md): give the folder of the checkpoint.")
    return folder / "README.md"


def _write_card(card: Path, made: Report) -> None:
    from datetime import UTC, datetime

    from gemma_backend.evaluate.quality.report import markdown
    from gemma_backend.quantize.card import with_evaluation
    from gemma_tui import __version__

    when = datetime.now(UTC).strftime("%Y-%m-%d")
    text = f"By `gemma-tui eval` {__version__} on {when}, greedy, 95% intervals in brackets.\n\n{markdown(made)}"
    card.write_text(with_evaluation(card.read_text("utf-8"), text), "utf-8")


def _print(made: Report, scores: list[Score]) -> None:
    from gemma_backend.evaluate.quality.report import table
    from gemma_backend.text.clean import clean

    rows = [[clean(cell, keep_newlines=False) for cell in row] for row in table(made)]
    widths = [max(len(row[column]) for row in rows if column < len(row)) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    for one in scores:
        error = f" +/- {one.error:.4f}" if one.error is not None else ""
        print(
            f"{clean(one.task, keep_newlines=False)}, {clean(one.metric, keep_newlines=False)}: {one.value:.4f}{error}"
        )
