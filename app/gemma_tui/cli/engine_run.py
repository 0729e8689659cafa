"""`gemma-tui engine start|status|stop`: engines that stay, and what runs now."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gemma_backend.config.profiles import Profile
    from gemma_backend.engine.record import Record
    from gemma_backend.engine.standing import Standing
    from gemma_backend.runtime.found import Runtime


def add_start_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `engine start`."""
    parser.add_argument("--profile", metavar="P", help="profile to serve (default: by the machine)")
    parser.add_argument("--gpu", type=int, metavar="N", help="GPU to run on, as nvidia-smi numbers them")
    parser.add_argument("--detach", action="store_true", help="return once it is ready (the only way so far to stay)")
    parser.add_argument(
        "--idle-minutes", type=float, metavar="N", help="stop it after so long without use, 0 for never (default: 30)"
    )


def add_status_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `engine status`."""
    parser.add_argument("--json", action="store_true", help="print a JSON list instead of text")


def add_stop_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `engine stop`."""
    parser.add_argument("id", nargs="*", metavar="ID", help="engines to stop, by id or profile (default: all)")


def chosen_profile(name: str | None) -> Profile:
    """The profile of that name, else that of the settings, else by the machine; UsageError if it runs no engine."""
    from gemma_backend.config.settings import load
    from gemma_backend.session.choose import chosen_profile as choose
    from gemma_backend.types import UsageError

    profile, why = choose(load({"profile": name}).settings.profile)
    if profile.url is not None:
        raise UsageError(
            f"The profile {profile.name} is a server elsewhere ({profile.url}), which needs no engine here: give "
            "another with --profile."
        )
    if why:
        print(f"Profile {profile.name}: {why}", file=sys.stderr)
    return profile


def found_runtime(profile: Profile) -> Runtime:
    """The runtime that `profile` runs on; EngineError with the command where it is not installed."""
    from gemma_backend.runtime.find import find
    from gemma_backend.runtime.outdated import outdated
    from gemma_backend.types import EngineError

    runtime = find(profile.runtime)
    if runtime is None:
        from gemma_backend.session.session import missing_runtime

        raise EngineError(missing_runtime(profile))
    if (old := outdated(runtime)) is not None:
        print(f"gemma-tui: {old}", file=sys.stderr)
    return runtime


def run_start(args: argparse.Namespace) -> int:
    """Start an engine that stays, and return when it answers."""
    import asyncio

    from gemma_backend.types import UsageError

    if not args.detach:
        raise UsageError("an engine that ends with the command is `gemma-tui serve`; one that stays needs --detach.")
    if args.idle_minutes is not None and not 0 <= args.idle_minutes < float("inf"):
        raise UsageError("--idle-minutes needs a number, 0 or more.")
    return asyncio.run(_start(chosen_profile(args.profile), args.idle_minutes))


async def _start(profile: Profile, idle_minutes: float | None) -> int:
    import asyncio

    from gemma_backend.checkpoint.locate import locate
    from gemma_backend.config.settings import load
    from gemma_backend.engine.engine import Engine
    from gemma_backend.session.planning import planner
    from gemma_backend.session.remarks import remarks
    from gemma_backend.session.warm import keep_warm
    from gemma_backend.types import EngineError, EngineFailed, EngineReady
    from gemma_tui.cli.start_lines import told

    runtime, checkpoint = found_runtime(profile), locate(profile.checkpoint or "")
    warm = keep_warm(load().settings.engine, stays=True, idle_minutes=idle_minutes)
    engine = Engine(
        profile,
        runtime,
        checkpoint,
        keep=True,
        warm=warm,
        fitted=planner(runtime, checkpoint),
        remarks=remarks(runtime, checkpoint),
    )
    await engine.start()
    try:
        async for event in told(engine.events(), quiet=engine.reused):
            if isinstance(event, EngineFailed):
                raise EngineError(event.failure.sentence(), event.failure)
            if isinstance(event, EngineReady):
                took = "runs already" if event.seconds is None else f"is ready after {event.seconds:.0f} s"
                ends = f"It stops by itself after {warm.stop_after / 60:g} min without use. " if warm.stop_after else ""
                said = f"The engine of profile {profile.name} {took}. {ends if event.seconds is not None else ''}"
                print(f"{said}`gemma-tui engine stop` stops it.")
                return 0
        raise EngineError("The engine was stopped before it was ready.")
    except asyncio.CancelledError:
        # Ctrl-C while it starts: nobody is told of an engine that stays, so none may.
        await engine.stop(keep=False)
        raise


def run_status(args: argparse.Namespace) -> int:
    """List the engines that run; what dead ones left is removed first."""
    import json

    from gemma_backend.engine.record import clean_stale, records
    from gemma_backend.engine.standing import standing

    for sentence in clean_stale():
        print(sentence, file=sys.stderr)
    running = [(record, standing(record)) for record in records() if record.running]
    if args.json:
        print(json.dumps([_plain(record, now) for record, now in running], indent=2))
    elif not running:
        print("No engine is running.")
    else:
        for record, now in running:
            print(_line(record, now))
    return 0


def _plain(record: Record, now: Standing) -> dict[str, object]:
    return {
        "id": record.id,
        "profile": record.profile,
        "model": record.model,
        "state": now.state,
        "detail": now.detail,
        "ready": now.state == "ready",
        "stays": record.keep,
        "programs": now.leases,
        "stops_in_s": now.stops_in,
        "pid": record.engine[0] if record.engine else None,
        "address": _address(record),
        "vllm_version": record.version,
        "since": record.since,
        "log": str(record.log),
    }


def _line(record: Record, now: Standing) -> str:
    import time

    from gemma_backend.text.clean import clean

    minutes = max(0, int(time.time() - record.since)) // 60
    state = f"{now.state} ({now.detail})" if now.detail else now.state
    ends = "ends with its program" if not record.keep else "stays"
    if record.keep and now.leases:
        ends = f"stays, used by {now.leases}"
    elif record.keep and now.stops_in is not None:
        ends = f"stays, stops in {max(1, round(now.stops_in / 60))} min"
    text = (
        f"{record.id}  {record.profile}  {state}  {minutes} min  {ends}  vLLM {record.version}  "
        f"{_address(record)}  {record.log}"
    )
    return clean(text, keep_newlines=False)


def _address(record: Record) -> str:
    return f"unix:{record.socket}" if record.socket else record.base_url


def run_stop(args: argparse.Namespace) -> int:
    """Stop engines, and say what was stopped."""
    from gemma_backend.engine.record import clean_stale, records, stop
    from gemma_backend.types import EngineError, UsageError

    for sentence in clean_stale():
        print(sentence, file=sys.stderr)
    running = [record for record in records() if record.running]
    chosen = [record for record in running if not args.id or record.id in args.id or record.profile in args.id]
    unknown = [one for one in args.id if not any(one in (record.id, record.profile) for record in running)]
    if unknown:
        raise UsageError(f"no engine {unknown[0]!r} is running; `gemma-tui engine status` lists those that are.")
    if not chosen:
        print("No engine is running.")
    for record in chosen:
        left = stop(record)
        if left:
            raise EngineError(f"The engine {record.id} was stopped, but this could not be removed: {', '.join(left)}.")
        print(f"Stopped the engine of profile {record.profile} ({record.id}).")
    return 0
