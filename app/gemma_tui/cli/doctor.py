"""`gemma-tui doctor`: what was found on this machine and what is missing."""

from __future__ import annotations

import argparse

_SIGNS = {"ok": "ok", "note": "note", "missing": "MISSING"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `doctor` takes."""
    parser.add_argument("--profile", metavar="P", help="look at what this profile needs (default: by the machine)")
    parser.add_argument("--gpu", type=int, metavar="N", help="GPU to run on, as nvidia-smi numbers them")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the findings; 3 if something that the profile needs is missing."""
    from gemma_backend.config.settings import load
    from gemma_backend.session.checkup import check_up
    from gemma_backend.text.clean import clean

    findings = check_up(load({"profile": args.profile}).settings)
    if args.json:
        import dataclasses
        import json

        print(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2))
    else:
        subject = max(len(finding.subject) for finding in findings)
        for finding in findings:
            text = clean(finding.text, keep_newlines=False)
            print(f"{_SIGNS[finding.verdict]:<8}{finding.subject:<{subject}}  {text}")
            if finding.advice:
                print(f"{'':<{8 + subject}}  {clean(finding.advice, keep_newlines=False)}")
    return 3 if any(finding.verdict == "missing" for finding in findings) else 0
