"""Every step of making the pocket checkpoint, as a rehearsal that a machine without a GPU finishes in minutes.

    PYTHONPATH=packaging PYTHON -m pocket --smoke [--folder FOLDER]

PYTHON is that of the `quantize` runtime, with soundfile beside it. The rehearsal trains a few steps on a few words, so
what it makes has the right shape and says nothing sensible. README.md beside this has the commands of the real thing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pocket import samples
from pocket.data import speech

# What pocket.course ends with where it wants another call.
AGAIN = 3
STANDALONE = Path(__file__).parents[2] / "backend" / "gemma_backend" / "quantize" / "standalone" / "quantize.py"


def _step(title: str, *command: str, again: bool = False) -> None:
    """Run a step, with `again` as often as it asks for another call."""
    started = time.monotonic()
    calls, code = 1, _run(*command)
    while again and code == AGAIN:
        calls, code = calls + 1, _run(*command)
    if code:
        raise SystemExit(f"{title} ended with code {code}: what it said stands above")
    print(f"{title}: {time.monotonic() - started:.0f} s" + (f", {calls} calls" if again else ""), flush=True)


def _run(*command: str) -> int:
    return subprocess.run([sys.executable, "-W", "ignore", *command], check=False, stdout=subprocess.DEVNULL).returncode


def rehearse(folder: Path) -> None:
    """Speech, tokenizer, training in both ways, export, quantisation, samples: all into `folder`."""
    data, run = folder / "data", folder / "run"
    seconds = speech.render(data, 0, 1, samples.WORDS)
    print(f"{seconds:.0f} s of speech", flush=True)
    _step("tokenizer", "-m", "pocket.vocabulary", str(data))
    _step("training", "-m", "pocket.course", str(data), str(run), "--smoke", again=True)
    _step("export", "-m", "pocket.export", str(run), str(data), str(folder / "bf16"))
    _step(
        "quantisation", str(STANDALONE), str(folder / "bf16"), str(folder / "nvfp4a16"), "--source-name", "pocket-bf16"
    )
    _step("samples", "-m", "pocket.samples", str(data), str(folder))
    size = sum(path.stat().st_size for path in (folder / "nvfp4a16").iterdir())
    algorithm = json.loads((folder / "nvfp4a16" / "hf_quant_config.json").read_text("utf-8"))["quantization"][
        "quant_algo"
    ]
    print(f"{size / 1e6:.2f} MB of {algorithm} in {folder / 'nvfp4a16'}")
    if size > 12_000_000:
        raise SystemExit("the checkpoint is larger than the 12 MB that may ship")


def main() -> None:
    """Read the command line and rehearse."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", required=True, help="the only way this module runs")
    parser.add_argument("--folder", type=Path, help="where everything is kept (default: a folder that is removed)")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="pocket-"))
    try:
        rehearse(folder)
    finally:
        if options.folder is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
