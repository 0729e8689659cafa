"""`gemma-tui top`: the figures of running servers, on a screen of their own or once for a script."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from gemma_backend.metrics.facts import Facts
    from gemma_backend.types import Endpoint, Quantiles, Sample

Target = tuple[str, "Endpoint", "int | None"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `top` takes."""
    parser.add_argument("urls", nargs="*", metavar="URL", help="servers to watch (default: those that run here)")
    parser.add_argument("--once", action="store_true", help="look twice, print the figures and end")
    parser.add_argument("--json", action="store_true", help="with --once: print JSON")
    parser.add_argument("--interval", type=float, default=1.0, metavar="S", help="seconds between looks (default: 1)")
    parser.add_argument("--api-key-file", metavar="F", help="file with the servers' key")
    parser.add_argument("--ca-file", metavar="FILE", help="certificates to trust for https")
    parser.add_argument("--insecure", action="store_true", help="do not check the servers' certificates")


def run(args: argparse.Namespace) -> int:
    """Open the screen, or print once; 4 if none of the servers answers."""
    from gemma_backend.types import UsageError

    if not 0.1 <= args.interval <= 3600:
        raise UsageError("--interval must be between 0.1 and 3600 seconds.")
    if args.json and not args.once:
        raise UsageError("--json goes with --once.")
    targets = _targets(args)
    if args.once:
        return _print_once(targets, args)
    if not all(stream and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.__stderr__)):
        raise UsageError("the screen needs a terminal; for figures without it add --once.")
    import importlib
    import os

    # What a shell exported is the size of another time; Textual would believe it.
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)
    # Imported by name because only this command's screen needs Textual.
    importlib.import_module("gemma_tui.tui.top").TopApp(targets, args.interval, learn=_learner(args, targets)).run()
    return 0


def _learner(args: argparse.Namespace, targets: list[Target]) -> Callable[[int], Facts | None] | None:
    """What is known of each engine of ours besides its samples; nothing is of servers elsewhere."""
    if args.urls:
        return None
    from gemma_backend.engine.record import records

    running = {record.engine[0]: record for record in records() if record.running and record.engine}

    def learn(index: int) -> Facts | None:
        from gemma_backend.session.known import facts_of_record

        record = running.get(targets[index][2] or 0)
        return facts_of_record(record) if record is not None else None

    return learn


def _targets(args: argparse.Namespace) -> list[Target]:
    """Return name, endpoint and process of each server to watch."""
    from gemma_backend.endpoint.address import find_key, parse_url
    from gemma_backend.engine.record import records
    from gemma_backend.types import UsageError

    if args.urls:
        key = find_key(args.api_key_file)
        return [
            (url, parse_url(url, api_key=key, ca_file=args.ca_file, insecure=args.insecure), None) for url in args.urls
        ]
    targets: list[Target] = [
        (record.profile, record.endpoint, record.engine[0] if record.engine else None)
        for record in records()
        if record.running
    ]
    if not targets:
        raise UsageError("no engine runs here; give the URL of a server, for example http://host:8000.")
    return targets


def _print_once(targets: list[Target], args: argparse.Namespace) -> int:
    import asyncio

    from gemma_backend.metrics.poll import UNREACHABLE
    from gemma_backend.metrics.together import together

    async def look() -> list[Sample]:
        return await asyncio.gather(*(_look_once(endpoint, pid, args.interval) for _, endpoint, pid in targets))

    samples = asyncio.run(look())
    if args.json:
        _print_json(targets, samples, together(samples))
    else:
        for (name, _, _), sample in zip(targets, samples, strict=True):
            _print_plain(name, sample)
        if len(samples) > 1:
            _print_plain("together", together(samples))
    return 4 if all(sample.note.startswith(UNREACHABLE) for sample in samples) else 0


async def _look_once(endpoint: Endpoint, pid: int | None, interval: float) -> Sample:
    from contextlib import AsyncExitStack

    from gemma_backend.metrics.poll import Poller
    from gemma_backend.session.far import FarServer

    async with AsyncExitStack() as stack:
        far = None
        if endpoint.tunnel is not None:
            far = FarServer(endpoint)
            stack.push_async_callback(far.close)
            endpoint = await far.open()
        return await Poller(endpoint, pid, far=far).once(interval)


def _print_json(targets: list[Target], samples: list[Sample], total: Sample) -> None:
    import dataclasses
    import json

    def plain(sample: Sample) -> dict[str, Any]:
        fields = dataclasses.asdict(sample)
        del fields["at"]  # a monotonic clock's, of no use elsewhere
        return fields

    servers = [{"server": name, **plain(sample)} for (name, _, _), sample in zip(targets, samples, strict=True)]
    print(json.dumps({"servers": servers, "together": plain(total)}, indent=2))


def _print_plain(name: str, sample: Sample) -> None:
    from gemma_backend.text.clean import clean

    print(clean(name, keep_newlines=False))
    if sample.note:
        print(f"  {clean(sample.note, keep_newlines=False)}")
    host = sample.host
    lines = {
        "generation": _said(sample.generation_rate, "{:,.1f} tok/s"),
        "prompt": _said(sample.prompt_rate, "{:,.1f} tok/s"),
        "running": _said(sample.running, "{:,}"),
        "waiting": _said(sample.waiting, "{:,}"),
        "KV cache": _said(sample.kv_cache, "{:.1%}"),
        "KV capacity": _said(sample.kv_tokens, "{:,} tokens"),
        "first token": _latency(sample.ttft),
        "each token": _latency(sample.itl),
        "engine memory": _said(host.engine if host else None, "{:,} bytes"),
        "this machine": f"{host.total - host.available:,} of {host.total:,} bytes" if host else _said(None, ""),
    }
    for gpu in sample.gpus:
        label = f"unified memory {gpu.index}" if gpu.unified else f"GPU {gpu.index}"
        lines[label] = _said(gpu.used, "{:,}") + _said(gpu.total, " of {:,} bytes")
    for label, value in lines.items():
        print(f"  {label:<16}{value}")


def _said(value: float | None, form: str) -> str:
    return "not available" if value is None else form.format(value)


def _latency(times: Quantiles) -> str:
    if times.p50 is None:
        return _said(None, "")
    return " · ".join(
        f"{name} {value * 1000:,.1f} ms"
        for name, value in (("p50", times.p50), ("p95", times.p95), ("p99", times.p99))
        if value is not None
    )
