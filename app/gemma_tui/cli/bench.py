"""`gemma-tui bench`: load against an endpoint or a profile's engine, and what it did to speed and latency."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gemma_tui.cli.bench_options import add_arguments, settings

if TYPE_CHECKING:
    from gemma_backend.engine.record import Record
    from gemma_backend.evaluate.bench.drive import Driver
    from gemma_backend.evaluate.bench.records import Report, Round, Target
    from gemma_backend.evaluate.bench.watch import Watch
    from gemma_backend.evaluate.bench.workload import Pace, Workload
    from gemma_backend.session.session import Session


__all__ = ["add_arguments", "run"]


def run(args: argparse.Namespace) -> int:
    """Run the rounds and write the results; 4 where nothing answers, 130 after Ctrl-C."""
    import asyncio

    from gemma_backend.types import UsageError

    if args.compare:
        return _compare(args)
    if args.bandwidth:
        return _bandwidth(args)
    if args.url is not None and args.profile:
        raise UsageError("--url and --profile exclude each other: one server is measured at a time.")
    workload, paces, level = settings(args)
    _check_files(args)
    session, record = _session(args)
    report = asyncio.run(_bench(args, session, record, workload, paces, level))
    if report is None:
        return 130
    _write(args, report)
    return 130 if any(one.interrupted for one in report.rounds) else 0


def _check_files(args: argparse.Namespace) -> None:
    """Refuse before the measuring what cannot be written after it."""
    from gemma_backend.types import BadInput, UsageError

    if args.plot and not args.plot.lower().endswith((".svg", ".png")):
        raise UsageError(f"--plot writes SVG or PNG: give a name that ends with .svg or .png instead of {args.plot}.")
    for name in (args.json, args.markdown, args.plot):
        if name and name != "-":
            folder = Path(name).expanduser().absolute().parent
            if not folder.is_dir() or Path(name).is_dir():
                raise BadInput(f"{name} cannot be written: there is no folder {folder}, or it is a folder itself.")


def _session(args: argparse.Namespace) -> tuple[Session, Record | None]:
    from gemma_backend.config.settings import load
    from gemma_backend.endpoint.address import find_key, key_warning, parse_url
    from gemma_backend.engine.record import records
    from gemma_backend.session.session import Session
    from gemma_backend.types import UsageError

    settings = load({"profile": args.profile}).settings
    if args.url is not None:
        key = find_key(args.api_key_file)
        endpoint = parse_url(args.url, api_key=key, ca_file=args.ca_file, insecure=args.insecure)
        if warning := key_warning(endpoint):
            print(f"gemma-tui: {warning}", file=sys.stderr)
        return Session.for_endpoint(endpoint, args.model, settings), None
    if args.profile is None:
        running = [record for record in records() if record.running]
        if len(running) != 1:
            what = "no engine runs here" if not running else "several engines run here"
            raise UsageError(f"{what}: say what to measure with --profile NAME or --url URL.")
        return Session.for_endpoint(running[0].endpoint, args.model, settings), running[0]
    from gemma_tui.cli.engine_run import chosen_profile, found_runtime

    profile = chosen_profile(args.profile)
    found_runtime(profile)
    return Session.for_profile(profile, settings, args.model), None


async def _bench(
    args: argparse.Namespace,
    session: Session,
    record: Record | None,
    workload: Workload,
    paces: list[Pace],
    level: dict[str, float],
) -> Report | None:
    """Bring up what is measured, run the rounds, and stop what was started; None where nothing was finished."""
    import asyncio

    from gemma_backend.endpoint.address import is_local
    from gemma_backend.evaluate.bench.drive import Driver
    from gemma_backend.evaluate.bench.records import Report, now
    from gemma_backend.evaluate.bench.watch import Watch
    from gemma_backend.evaluate.bench.wire import Wires
    from gemma_tui import __version__

    try:
        await session.start()
        await _until_ready(session)
        assert session.endpoint is not None
        record = record or _record_of(session)
        pid = record.engine[0] if record is not None and record.engine else None
        target = await asyncio.to_thread(_target, session, record)
        watch = Watch(session.endpoint, pid) if session.offer is None or session.offer.has_metrics or is_local(
            session.endpoint
        ) else None  # fmt: skip
        driver = Driver(Wires(session.endpoint), session.model, workload)
        made = now()
        try:
            await driver.prepare()
            rounds = await _rounds(driver, paces, args.repeat, watch)
        finally:
            driver.close()
    except asyncio.CancelledError:
        return None
    finally:
        await session.close()
    return Report(target, workload.described(), tuple(rounds), level, made, __version__)


async def _rounds(driver: Driver, paces: list[Pace], repeat: int, watch: Watch | None) -> list[Round]:
    from gemma_tui.cli.bench_live import live

    rounds: list[Round] = []
    with live() as show:
        for number in range(1, repeat + 1):
            for pace in paces:
                one = await driver.round(pace, show, watch, number)
                rounds.append(one)
                show.finish(one)
                if one.interrupted:
                    return rounds
    return rounds


async def _until_ready(session: Session) -> None:
    if not sys.stderr.isatty():
        await session.wait_ready()
        return
    from gemma_tui.cli.ask_output import show_phases

    await show_phases(session)


def _record_of(session: Session) -> Record | None:
    from gemma_backend.engine.record import records

    return next((one for one in records() if one.engine is not None and one.engine[0] == session.pid), None)


def _target(session: Session, record: Record | None) -> Target:
    from gemma_backend.config.profiles import load_profile
    from gemma_backend.evaluate.bench.target import target_of
    from gemma_backend.types import UsageError

    profile = session.profile
    if profile is None and record is not None:
        try:
            profile = load_profile(record.profile)
        except UsageError:
            profile = None
    version = session.offer.version if session.offer is not None else None
    assert session.endpoint is not None
    return target_of(session.endpoint, session.model, version or (record.version if record else None), profile, record)


def _write(args: argparse.Namespace, report: Report) -> None:
    from gemma_backend.evaluate.bench import card, plot, records, tables
    from gemma_backend.text.clean import clean

    table = tables.markdown(report) + ("\n" + card.markdown(report) if args.preset == "card" else "")
    if args.json == "-":
        sys.stdout.write(records.encoded(report).decode() + "\n")
    elif args.markdown == "-":
        sys.stdout.write(clean(table))
    else:
        print(clean(tables.text(report)))
        if args.preset == "card":
            print("\n" + clean(card.text(report)))
    if args.json and args.json != "-":
        records.write(report, Path(args.json))
    if args.markdown and args.markdown != "-":
        records.write_text(Path(args.markdown), clean(table))
    if args.plot and args.plot.lower().endswith(".png"):
        records.write_bytes(Path(args.plot), plot.png(report))
    elif args.plot:
        records.write_text(Path(args.plot), plot.svg(report))


def _bandwidth(args: argparse.Namespace) -> int:
    from gemma_backend.evaluate.bench.bandwidth import measure
    from gemma_backend.metrics.bandwidth import bandwidth_of
    from gemma_backend.metrics.facts import remember_bandwidth
    from gemma_backend.text.clean import clean
    from gemma_tui.cli.engine_run import chosen_profile, found_runtime

    name, found = measure(found_runtime(chosen_profile(args.profile)))
    remember_bandwidth(name, found)
    stated = bandwidth_of(name)
    beside = f"; its maker states {stated / 1e9:,.0f} GB/s" if stated is not None else ""
    print(f"{clean(name, keep_newlines=False)}: {found / 1e9:,.1f} GB/s measured{beside}.")
    return 0


def _compare(args: argparse.Namespace) -> int:
    import json
    from dataclasses import asdict

    from gemma_backend.evaluate.bench import compare, records

    first, second = (records.read(path) for path in args.compare)
    changes = compare.compare(first, second)
    if args.json:
        text = json.dumps([{**asdict(change), "verdict": change.verdict} for change in changes], indent=1) + "\n"
        _put(args.json, text)
    if args.markdown:
        _put(args.markdown, compare.markdown(changes))
    if "-" not in (args.json, args.markdown):
        print(f"A: {args.compare[0]}, {first.made}\nB: {args.compare[1]}, {second.made}")
        print(compare.text(changes))
        if all(max(one.repeat for one in report.rounds) < 3 for report in (first, second)):
            print("\nOne run says nothing of what changes from run to run: with --repeat 3 or more the intervals do.")
    return 0


def _put(name: str, text: str) -> None:
    from gemma_backend.evaluate.bench import records

    if name == "-":
        sys.stdout.write(text)
    else:
        records.write_text(Path(name), text)
