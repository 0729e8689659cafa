"""Remove a managed runtime: out of the way in one step, then off the disk."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from gemma_backend.runtime.found import Runtime
from gemma_backend.runtime.install import alone
from gemma_backend.types import EngineError


def remove(runtime: Runtime) -> None:
    """Remove the folder of a managed runtime; nobody finds half of it. EngineError where that is not allowed."""
    folder = runtime.path
    with alone(runtime.name, lambda _: None, lambda: False):
        try:
            # Leftovers of this name are taken away by the next installation, should this one be killed.
            aside = Path(tempfile.mkdtemp(prefix=f".old-{runtime.name}-", dir=folder.parent))
            folder.rename(aside / "runtime")
            shutil.rmtree(aside)
        except OSError as error:
            raise EngineError(
                f"{folder} could not be removed ({error.strerror}): make it writable, or remove it by hand."
            ) from None
