"""`gemma-tui doctor`: what was found on this machine and what is missing."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gemma_backend.config.settings import Settings
    from gemma_backend.session.checkup import Finding
    from gemma_backend.session.machine import Facts

_SIGNS = {"ok": "ok", "note": "note", "missing": "MISSING"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `doctor` takes."""
    parser.add_argument("--profile", metavar="P", help="look at what this profile needs (default: by the machine)")
    parser.add_argument("--gpu", type=int, metavar="N", help="GPU to run on, as nvidia-smi numbers them")
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="port that `serve` is to take (8000)")
    parser.add_argument(
        "--self-test",
        action="store_true",
        help="start the pocket checkpoint on the profile's runtime, ask about text, a picture and a clip, and stop it",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--bundle",
        metavar="FILE",
        type=Path,
        help="write a zip file for a bug report: versions, findings, settings without secrets, phases, the last logs",
    )


def run(args: argparse.Namespace) -> int:
    """Print the findings; 3 if something that the profile needs is missing. With --bundle, write a report instead."""
    from gemma_backend.config.settings import load
    from gemma_backend.session.checkup import findings
    from gemma_backend.session.machine import look
    from gemma_backend.types import UsageError

    if not 0 < args.port < 65536:
        raise UsageError(f"{args.port} is no port: give a number from 1 to 65535.")
    settings = load({"profile": args.profile}).settings
    facts = look(settings, args.port)
    if args.bundle is not None:
        return _bundle(args.bundle, facts)
    found = findings(facts)
    if args.self_test:
        found += _self_test(settings)
    if args.json:
        import dataclasses
        import json

        print(json.dumps([dataclasses.asdict(finding) for finding in found], indent=2))
    else:
        _show(found)
    return 3 if any(finding.verdict == "missing" for finding in found) else 0


def _show(found: list[Finding]) -> None:
    from gemma_backend.text.clean import clean

    subject = max(len(finding.subject) for finding in found)
    for finding in found:
        text = clean(finding.text, keep_newlines=False)
        print(f"{_SIGNS[finding.verdict]:<8}{finding.subject:<{subject}}  {text}")
        if finding.advice:
            print(f"{'':<{8 + subject}}  {clean(finding.advice, keep_newlines=False)}")


def _bundle(target: Path, facts: Facts) -> int:
    from gemma_backend.session.bundle import items, write
    from gemma_backend.text.clean import clean

    found = items(facts)
    write(target, found)
    width = max(len(item.name) for item in found)
    print(f"{target} holds:")
    for item in found:
        size = len(item.text.encode())
        print(clean(f"  {item.name:<{width}}  {size:>9,} bytes  {item.about}", keep_newlines=False))
    print("Keys, passwords and the name of your home folder were left out. Look into it before you send it.")
    return 0


def _self_test(settings: Settings) -> list[Finding]:
    """What a real engine answered; a wrong answer counts as something missing."""
    import asyncio
    import sys

    from gemma_backend.evaluate.quality.selftest import prove
    from gemma_backend.session.checkup import Finding
    from gemma_backend.session.choose import chosen_profile

    profile, _ = chosen_profile(settings.profile)

    def tell(text: str) -> None:
        print(f"self-test: {text}", file=sys.stderr, flush=True)

    advice = "Install the runtime again (`gemma-tui engine install`), and read its log with `gemma-tui engine explain`."
    return [
        Finding(f"self-test, {one.subject}", "ok" if one.ok else "missing", one.text, "" if one.ok else advice)
        for one in asyncio.run(prove(profile, settings, tell))
    ]
