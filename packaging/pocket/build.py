"""Build the bundled pocket checkpoint: weights in BF16, then `gemma-tui quantize` into assets.

    python packaging/pocket/build.py [--source BF16_FOLDER] [--target FOLDER] [--python PATH]

Run with the Python of the program's own environment. Without --source the weights are random ones from seed 0, made by
the `quantize` runtime. The same source and the same versions give the same files, byte for byte.
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


def main() -> None:
    """Read the command line and build."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, help="a BF16 checkpoint that was trained (default: random weights)")
    parser.add_argument("--target", type=Path, default=asset("pocket"))
    parser.add_argument("--python", type=Path, help="Python with ModelOpt (default: the managed quantize runtime)")
    options = parser.parse_args()
    python = find_tools(options.python).python
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / NAME
        if options.source is None:
            random_weights(python, source)
        else:
            shutil.copytree(options.source, source)
        made = Path(scratch) / "made"
        quantise(source, made, python)
        shutil.rmtree(options.target, ignore_errors=True)
        shutil.copytree(made, options.target)


if __name__ == "__main__":
    main()
