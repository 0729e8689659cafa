"""`make pictures`: makes docs/images from the real program on the pocket checkpoint, or on any endpoint.

    PYTHONPATH=packaging python -m pictures [screens] [commands] [record] [--url URL] [--out docs/images]

It has a home folder of its own, so nothing of the person who runs it is in a picture, and one engine for all of them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from gemma_backend.config.paths import data_dir
from gemma_tui.tui.opening import Wanted
from pictures import commands, record, screens

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
PARTS = ("screens", "commands", "record")


def main() -> int:
    """Make what is asked for, or everything."""
    parser = argparse.ArgumentParser(prog="python -m pictures", description="Make the pictures of the documentation.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--url", help="an endpoint to use instead of the pocket checkpoint")
    parser.add_argument("--out", type=Path, default=IMAGES)
    parser.add_argument("--last", type=Path, help="write the recording's last frame alone to this file too")
    args = parser.parse_args()
    parts = args.parts or PARTS
    if unknown := set(parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    args.out.mkdir(parents=True, exist_ok=True)
    where = ["--url", args.url] if args.url else ["--profile", "pocket"]
    data = data_dir()
    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = home
        for kind in ("STATE", "CACHE", "CONFIG", "LOG"):
            os.environ[f"GEMMA_TUI_{kind}_DIR"] = f"{home}/{kind.lower()}"
        os.environ |= {"GEMMA_TUI_DATA_DIR": str(data), "GEMMA_TUI_ENGINE_ON_QUIT": "keep"}
        try:
            if "screens" in parts:
                screens.take(Wanted(url=args.url) if args.url else Wanted(profile="pocket"), args.out)
            if "commands" in parts and not args.url:
                commands.take(args.out)
            if "record" in parts:
                record.take(where, args.out / "recording.svg", args.last)
        finally:
            subprocess.run([sys.executable, "-m", "gemma_tui", "engine", "stop"], check=False, stdout=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
