"""`gemma-tui engine start|status|stop`: engines that stay, and what runs now."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gemma_backend.config.profiles import Profile
    from gemma_backend.engine.record import Record
    from gemma_backend.runtime.found import Runtime


def add_start_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `engine start`."""
    parser.add_argument("--profile", metavar="P", help="profile to serve (default: by the machine)")
    parser.add_argument("--gpu", type=int, metavar="N", help="GPU to run on, as nvidia-smi numbers them")
    parser.add_argument("--detach", action="store_true", help="return once it is ready (the only way so far to stay)")


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
    from gemma_backend.types import EngineError

    runtime = find(profile.runtime)
    if runtime is None:
        from gemma_backend.session.session import missing_runtime

        raise EngineError(missing_runtime(profile))
    return runtime


def run_start(args: argparse.Namespace) -> int:
    """Start an engine that stays, and return when it answers."""
    import asyncio

    from gemma_backend.types import UsageError

    if not args.detach:
        raise UsageError("an engine that ends with the command is `gemma-tui serve`; one that stays needs --detach.")
    return asyncio.run(_start(chosen_profile(args.profile)))


async def _start(profile: Profile) -> int:
    import asyncio

    from gemma_backend.checkpoint.locate import locate
    from gemma_backend.engine.engine import Engine
    from gemma_backend.session.planning import planner
    from gemma_backend.text.clean import clean
    from gemma_backend.types import EngineError, EngineFailed, EngineReady, PhaseChanged

    runtime, checkpoint = found_runtime(profile), locate(profile.checkpoint or "")
    engine = Engine(profile, runtime, checkpoint, keep=True, fitted=planner(runtime, checkpoint))
    await engine.start()
    try:
        async for event in engine.events():
            if isinstance(event, PhaseChanged) and not engine.reused:
                print(clean(f"{event.phase.name} {event.phase.detail}", keep_newlines=False).rstrip(), file=sys.stderr)
            elif isinstance(event, EngineFailed):
                raise EngineError(event.failure.sentence(), event.failure)
            elif isinstance(event, EngineReady):
                took = "runs already" if event.seconds is None else f"is ready after {event.seconds:.0f} s"
                print(f"The engine of profile {profile.name} {took}; stop it with `gemma-tui engine stop`.")
                return 0
        raise EngineError("The engine was stopped before it was ready.")
    except asyncio.CancelledError:
        # Ctrl-C while it starts: nobody is told of an engine that stays, so none may.
        await engine.stop(keep=False)
        raise


def run_status(args: argparse.Namespace) -> int:
    """List the engines that run; what dead ones left is removed first."""
    import json

    from gemma_backend.engine.health import healthy
    from gemma_backend.engine.record import clean_stale, records

    for sentence in clean_stale():
        print(sentence, file=sys.stderr)
    running = [(record, healthy(record.endpoint)) for record in records() if record.running]
    if args.json:
        print(json.dumps([_plain(record, ready) for record, ready in running], indent=2))
    elif not running:
        print("No engine is running.")
    else:
        for record, ready in running:
            print(_line(record, ready))
    return 0


def _plain(record: Record, ready: bool) -> dict[str, object]:
    return {
        "id": record.id,
        "profile": record.profile,
        "model": record.model,
        "ready": ready,
        "stays": record.keep,
        "pid": record.engine[0] if record.engine else None,
        "address": _address(record),
        "vllm_version": record.version,
        "since": record.since,
        "log": str(record.log),
    }


def _line(record: Record, ready: bool) -> str:
    import time

    minutes = max(0, int(time.time() - record.since)) // 60
    return (
        f"{record.id}  {record.profile}  {'ready' if ready else 'starting'}  {minutes} min  "
        f"{'stays' if record.keep else 'ends with its program'}  vLLM {record.version}  "
        f"{_address(record)}  {record.log}"
    )


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
