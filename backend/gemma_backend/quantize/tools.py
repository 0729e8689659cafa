"""The Python that has ModelOpt: a managed runtime, one that a person names, or the program's own environment."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

from gemma_backend.runtime.find import find
from gemma_backend.runtime.found import Runtime, versions
from gemma_backend.types import EngineError

NEEDED = ("nvidia-modelopt", "torch", "transformers")


def find_tools(python: Path | None = None) -> Runtime:
    """The runtime to quantise with: `python` if given, else the managed one, else this program's own environment.

    EngineError, in a sentence that says what to run, if there is none or packages are missing.
    """
    if python is not None:
        return _given(python)
    managed = find("quantize")
    if managed is not None:
        return managed
    try:
        version = importlib.metadata.version("nvidia-modelopt")
    except importlib.metadata.PackageNotFoundError:
        raise EngineError(
            "The quantize runtime (ModelOpt) is not installed: run `gemma-tui engine install --runtime quantize`."
        ) from None
    return Runtime("own", "path", "quantize", Path(sys.executable), version, Path(sys.prefix))


def _given(python: Path) -> Runtime:
    python = python.expanduser().absolute()
    if python.is_dir():
        python = python / "bin" / "python"
    found = versions(python)
    if not found:
        raise EngineError(f"{python} does not run: give the Python of an environment that has nvidia-modelopt.")
    missing = [name for name in NEEDED if name not in found]
    if missing:
        raise EngineError(f"The environment of {python} lacks {', '.join(missing)}: install them there.")
    return Runtime("given", "path", "quantize", python, found["nvidia-modelopt"], python.parent.parent)
