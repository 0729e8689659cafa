"""Build a pocket checkpoint: weights in BF16, then `gemma-tui quantize`.

    python packaging/pocket/build.py --source BF16_FOLDER [--target FOLDER] [--python PATH]
    python packaging/pocket/build.py --random --target FOLDER [--python PATH]

Run with the Python of the program's own environment. With --source the bundled checkpoint in assets is replaced, unless
--target names another folder; random weights, from seed 0, never go there. The same source and the same versions give
the same files, byte for byte.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from gemma_assets import path as asset
from gemma_backend.quantize.tools import find_tools

NAME = "pocket-bf16"
CARD = Path(__file__).with_name("card.md")


def random_weights(python: Path, folder: Path, seed: int = 0) -> None:
    """Have `python`, which has torch and transformers, write the BF16 checkpoint into `folder`."""
    command = [str(python), "-W", "ignore", "-m", "pocket.random_weights", str(folder), "--seed", str(seed)]
    packaging = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(packaging), "HF_HUB_OFFLINE": "1"}
    subprocess.run(command, check=True, env=environment, stderr=subprocess.DEVNULL)


def quantise(source: Path, target: Path, python: Path) -> None:
    """Run the program's own command, as anybody would."""
    command = [sys.executable, "-m", "gemma_tui", "quantize", str(source), str(target), "--python", str(python)]
    subprocess.run(command, check=True)


def introduce(folder: Path) -> None:
    """Put what the trained checkpoint is and how well it does before what `quantize` wrote about its making."""
    readme = folder / "README.md"
    front, making = readme.read_text("utf-8").split("# ", 1)
    readme.write_text(f"{front}{CARD.read_text('utf-8')}\n## How it was quantised: {making}", "utf-8")


def main() -> None:
    """Read the command line and build."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    origin = parser.add_mutually_exclusive_group(required=True)
    origin.add_argument("--source", type=Path, help="a BF16 checkpoint that was trained")
    origin.add_argument("--random", action="store_true", help="random weights, made by the quantize runtime")
    parser.add_argument("--target", type=Path, help="a folder that does not exist yet (default: the one in assets)")
    parser.add_argument("--python", type=Path, help="Python with ModelOpt (default: the managed quantize runtime)")
    options = parser.parse_args()
    if options.random and options.target is None:
        parser.error("random weights need a --target: they would replace the trained checkpoint in assets")
    if options.target is not None and options.target.exists():
        parser.error(f"{options.target} is there already: give a folder that does not exist yet")
    python = find_tools(options.python).python
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / NAME
        if options.source is None:
            random_weights(python, source)
        else:
            shutil.copytree(options.source, source)
        made = Path(scratch) / "made"
        quantise(source, made, python)
        if options.source is not None:
            introduce(made)
        target = options.target or asset("pocket")
        if options.target is None:
            shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(made, target)


if __name__ == "__main__":
    main()
