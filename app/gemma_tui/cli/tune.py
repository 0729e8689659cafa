"""`gemma-tui tune`: searches for settings that suit this machine better, and writes them as a profile."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gemma_backend.evaluate.tune.journal import Journal
    from gemma_backend.evaluate.tune.knobs import Knob
    from gemma_backend.evaluate.tune.outcome import Outcome
    from gemma_backend.evaluate.tune.run import Plan, Told


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `tune`."""
    parser.epilog = (
        "It starts and stops engines of the profile for as long as the budget lasts. What was tried is in a journal, "
        "from which the next call goes on. No engine is left running."
    )
    parser.add_argument("--profile", metavar="P", help="profile to begin from (default: by the machine)")
    parser.add_argument(
        "--for", dest="goal", choices=("latency", "throughput", "memory", "context"), default="latency",
        help="tokens/s of one stream (default), of many together, memory, or room for tokens",
    )  # fmt: skip
    parser.add_argument("--budget", default="30m", metavar="TIME", help="such as 90s, 30m or 2h (default 30m)")
    parser.add_argument("--name", metavar="NAME", help="name of the profile that is written (default: P-GOAL)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be tried first, and start nothing")
    search = parser.add_argument_group("what is searched")
    search.add_argument(
        "--knob", action="append", default=[], metavar="NAME=V[;V]",
        help="search only these flags (or env:VARIABLE); repeatable; true, false and default are values too",
    )  # fmt: skip
    search.add_argument("--drafter", action="append", default=[], metavar="M", help="MTP drafter to try; repeatable")
    search.add_argument(
        "--tolerance", type=float, default=0.1, metavar="NATS",
        help="how far log probabilities may move from the profile's as it is, on average (default 0.1)",
    )  # fmt: skip
    load = parser.add_argument_group("what it is measured with")
    load.add_argument("--streams", type=int, metavar="N", help="streams of the throughput (default: 64, on a CPU 8)")
    load.add_argument("--output-tokens", type=int, metavar="N", help="length of replies (default: 256, on a CPU 64)")
    load.add_argument("--repeats", type=int, default=3, metavar="N", help="measurements of a trial (default 3)")
    load.add_argument("--no-confirm", action="store_true", help="do not measure the best and the profile once more")
    out = parser.add_argument_group("records")
    out.add_argument("--journal", type=Path, metavar="FILE", help="where trials are kept (default: the state folder)")
    out.add_argument("--fresh", action="store_true", help="begin a new journal")
    out.add_argument("--markdown", type=Path, metavar="FILE", help="write the table of trials as Markdown, too")
    out.add_argument("--trace", type=Path, metavar="DIR", help="record a torch profile of the profile as it is, there")


def run(args: argparse.Namespace) -> int:
    """Search and write the winner; 3 where the profile does not run as it is, 130 after Ctrl-C."""
    import asyncio

    from gemma_backend.evaluate.tune.result import refuse_taken
    from gemma_backend.evaluate.tune.run import opened

    plan = _plan(args)
    name = args.name or f"{plan.profile.name}-{plan.goal}"
    _check_name(name)
    refuse_taken(name)
    if args.dry_run:
        return _preview(plan)
    _refuse_neighbours()
    journal = opened(plan)
    try:
        winner, code = asyncio.run(_tune(plan, journal))
    except KeyboardInterrupt:
        winner, code = None, 130
    _tell_results(args, plan, journal, winner, name, code)
    return code


def _plan(args: argparse.Namespace) -> Plan:
    from gemma_backend.checkpoint.locate import locate
    from gemma_backend.evaluate.tune.journal import default_path
    from gemma_backend.evaluate.tune.run import Plan
    from gemma_backend.evaluate.tune.trial import Load
    from gemma_backend.types import UsageError
    from gemma_tui.cli.engine_run import chosen_profile, found_runtime

    budget = _seconds(args.budget)
    profile = chosen_profile(args.profile)
    runtime = found_runtime(profile)
    cpu = runtime.device == "cpu"
    load = Load(
        output_tokens=args.output_tokens or (64 if cpu else 256),
        streams=args.streams or (8 if cpu else 64),
        repeats=args.repeats,
    )
    if min(load.output_tokens, load.streams, load.repeats) < 1:
        raise UsageError("--streams, --output-tokens and --repeats must be 1 or more.")
    if not 0 < args.tolerance < float("inf"):
        raise UsageError("--tolerance must be more than 0.")
    return Plan(
        profile=profile,
        runtime=runtime,
        checkpoint=locate(profile.checkpoint or ""),
        goal=args.goal,
        knobs=_knobs(args, "cpu" if cpu else "cuda", runtime.version),
        load=load,
        budget=budget,
        tolerance=args.tolerance,
        journal=args.journal or default_path(profile.name),
        fresh=args.fresh,
        trace=args.trace,
        confirm=not args.no_confirm,
    )


def _knobs(args: argparse.Namespace, device: str, version: str) -> tuple[Knob, ...]:
    from gemma_backend.engine.command import version_tuple
    from gemma_backend.evaluate.tune.knobs import given, knobs_for
    from gemma_backend.types import UsageError

    if args.knob:
        try:
            return tuple(given(text) for text in args.knob)
        except ValueError as error:
            raise UsageError(f"{error}: write for example --knob max-num-seqs=8;64.") from None
    return knobs_for(args.goal, "cpu" if device == "cpu" else "cuda", version_tuple(version), drafters=args.drafter)


def _seconds(text: str) -> float:
    from gemma_backend.types import UsageError

    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|h|)", text.strip())
    seconds = float(match[1]) * {"s": 1, "m": 60, "h": 3600, "": 60}[match[2]] if match else 0.0
    if not 0 < seconds <= 7 * 86400:
        raise UsageError(f"--budget takes a time such as 90s, 30m or 2h; {text!r} is none.")
    return seconds


def _check_name(name: str) -> None:
    from gemma_backend.types import UsageError

    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
        raise UsageError(f"{name!r} cannot be a profile's name: use lower-case letters, digits, dots and dashes.")


def _refuse_neighbours() -> None:
    """An engine beside those that are measured takes memory and time from them."""
    from gemma_backend.engine.record import records
    from gemma_backend.types import UsageError

    running = [record.profile for record in records() if record.running]
    if running:
        raise UsageError(
            f"an engine of profile {running[0]} runs here, which would falsify every figure: stop it first with "
            "`gemma-tui engine stop`."
        )


def _preview(plan: Plan) -> int:
    """What would be tried first after the baseline, as far as it is known before anything was measured."""
    from gemma_backend.evaluate.tune.knobs import worded
    from gemma_backend.evaluate.tune.outcome import Figures, Outcome

    search = plan.search()
    first = search.next([], plan.budget)
    print(
        f"{search.size:,} configurations of {plan.profile.name} for {plan.goal}, within {plan.budget / 60:.0f} minutes:"
    )
    seconds = first.seconds if first is not None else 0.0
    print(f"  {seconds:5.0f} s  as it is")
    # Each is taken to bring nothing, so that the next best follows.
    same = Figures(1.0, 1.0, 1, memory=1, kv_tokens=1)
    seen = [Outcome({}, same, start=seconds, seconds=seconds)]
    for _ in range(12):
        step = search.next(seen, plan.budget)
        if step is None:
            break
        print(f"  {step.seconds:5.0f} s  {worded(step.made)}")
        seen.append(Outcome(dict(step.made), same, start=step.seconds, seconds=step.seconds))
    return 0


async def _tune(plan: Plan, journal: Journal) -> tuple[Outcome | None, int]:
    """Search until it ends or a signal ends it; the engine of the moment is stopped in either case."""
    import asyncio
    import signal

    from gemma_backend.evaluate.tune.run import tune

    task = asyncio.create_task(tune(plan, journal, _Teller()))
    codes: list[int] = []

    def end(code: int) -> None:
        # A second signal must not cut the clean-up short: it takes a few seconds at most.
        if not codes:
            codes.append(code)
            task.cancel()

    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
        asyncio.get_running_loop().add_signal_handler(number, end, code)
    try:
        return await task, 0
    except asyncio.CancelledError:
        return None, codes[0] if codes else 130


class _Teller:
    """Lines on standard error, and on a terminal one more for what happens now."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()

    def __call__(self, told: Told) -> None:
        from gemma_backend.text.clean import clean

        text = clean(told.text, keep_newlines=False)
        if told.line:
            print(f"\r\x1b[K{text}" if self._terminal else text, file=sys.stderr, flush=True)
        elif self._terminal:
            import shutil

            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[K{text[:width]}", end="", file=sys.stderr, flush=True)


def _tell_results(
    args: argparse.Namespace, plan: Plan, journal: Journal, winner: Outcome | None, name: str, code: int
) -> None:
    from gemma_backend.checkpoint.header import read_checkpoint
    from gemma_backend.evaluate.bench.records import now, write_text
    from gemma_backend.evaluate.tune import result
    from gemma_backend.text.clean import clean

    if journal.outcomes:
        print(clean(result.text(journal.outcomes, plan.goal, plan.tolerance)))
        if args.markdown:
            write_text(args.markdown, clean(result.markdown(journal.outcomes, plan.goal, plan.tolerance)))
    if code:
        print(f"Interrupted; the same command goes on from {journal.path}.", file=sys.stderr)
    elif winner is None:
        print(f"Nothing that was tried is better for {plan.goal} than {plan.profile.name} as it is.")
    else:
        config = read_checkpoint(plan.checkpoint).config
        text = config.get("text_config", config)
        longest = text.get("max_position_embeddings") if isinstance(text, dict) else None
        path = result.write_profile(
            plan.profile, name, winner, journal.outcomes, plan.goal, plan.tolerance, now(),
            longest if isinstance(longest, int) else None,
        )  # fmt: skip
        print(f"The best is written to {path}: use it with --profile {name}.")
