"""Makes a runtime whose python runs the stand-in instead of vLLM."""

from __future__ import annotations

import sys
from pathlib import Path

from gemma_backend.runtime.found import Runtime


def stand_in_runtime(folder: Path, version: str = "0.32.0") -> Runtime:
    """A runtime below `folder`; everything but its python is as a managed one's."""
    python = folder / "python"
    program = Path(__file__).with_name("engine_stand_in.py")
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{program}" "$@"\n')
    python.chmod(0o755)
    return Runtime("stand-in", "managed", "cpu", python, version, folder)
