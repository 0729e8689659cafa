"""Quantise a trained pocket checkpoint in both formats, verify it, and measure all three precisions through vLLM.

    python packaging/pocket/measure.py BF16_FOLDER DATA [--count 200] [--formats bf16 nvfp4a16 nvfp4] [--json FILE]

Run with the Python of the program's own environment; the runtimes `cpu` and `quantize` are needed. DATA holds the
rendered speech. One engine runs at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

# Run as a file, Python puts this folder on the path, not the one that holds the package.
sys.path.insert(0, str(Path(__file__).parents[1]))

from gemma_backend.checkpoint.header import read_checkpoint
from gemma_backend.checkpoint.verify import verify
from gemma_backend.config.profiles import Profile, load_profile
from gemma_backend.engine.engine import Engine
from gemma_backend.engine.spawn import Tcp, free_port
from gemma_backend.runtime.find import find
from gemma_tui.cli.main import main as gemma_tui
from pocket import evaluate

FORMATS = ("bf16", "nvfp4a16", "nvfp4")
KEY = "pocket"


def make(source: Path, form: str, folder: Path) -> Path:
    """The checkpoint in a format: the source itself, or quantised into `folder` and compared with its source."""
    if form == "bf16":
        return source
    target = folder / form
    if gemma_tui(["quantize", str(source), str(target), "--format", form]):
        raise SystemExit(f"quantising to {form} failed")
    report = verify(read_checkpoint(target), read_checkpoint(source))
    if not report.ok:
        raise SystemExit("\n".join(report.problems))
    return target


def profile(form: str) -> Profile:
    """The pocket profile, without its quantization flag where nothing is quantised."""
    made = load_profile("pocket")
    if form != "bf16":
        return made
    flags = {name: value for name, value in made.flags.items() if name != "quantization"}
    return made.model_copy(update={"flags": flags})


async def served(checkpoint: Path, form: str, data: Path, count: int, show: int) -> dict[str, Any]:
    """Every figure of one precision, over HTTP."""
    runtime = find("cpu")
    if runtime is None:
        raise SystemExit("the CPU runtime is missing: run `make runtimes`")
    port = free_port()
    engine = Engine(profile(form), runtime, checkpoint, address=Tcp(port=port, key=KEY))
    await engine.start()
    try:
        await engine.wait_ready()
        server = evaluate.Server(f"http://127.0.0.1:{port}", KEY)
        return await asyncio.to_thread(evaluate.measure, server, data, count, show)
    finally:
        await engine.stop()


def table(found: dict[str, dict[str, Any]]) -> str:
    """The figures of all precisions side by side, as Markdown."""
    forms = list(found)
    rows = [["", *forms]]
    for name in found[forms[0]]:
        if name in ("model", "continuation"):
            continue
        row = [name]
        for form in forms:
            value = found[form][name]
            if isinstance(value, dict):
                text = f"{value['share']:.1%}"
                if "interval" in value:
                    low, high = value["interval"]
                    text += f" ({low:.1%} to {high:.1%})"
            else:
                text = f"{value:.4f}"
            row.append(text)
        rows.append(row)
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "| --- " + "| ---: " * len(forms) + "|")
    return "\n".join(lines)


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--count", type=int, default=200, help="held-out samples of each kind")
    parser.add_argument("--show", type=int, default=3, help="wrong answers of each kind to print")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="pocket-") as scratch:
        for form in options.formats:
            checkpoint = make(options.source, form, Path(scratch))
            found[form] = asyncio.run(served(checkpoint, form, options.data, options.count, options.show))
            if options.json:
                options.json.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
