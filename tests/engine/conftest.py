"""One real engine for the whole run, on the bundled checkpoint."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gemma_backend.types import Endpoint
from stubs.real_engine import BackgroundEngine


@pytest.fixture(scope="session")
def engine_homes() -> Iterator[Path]:
    """State and log folders of their own, so that engines of the person who runs the tests are not touched."""
    with tempfile.TemporaryDirectory(prefix="gemma-") as name:
        kept = {kind: os.environ.get(f"GEMMA_TUI_{kind}_DIR") for kind in ("STATE", "LOG")}
        for kind in kept:
            os.environ[f"GEMMA_TUI_{kind}_DIR"] = f"{name}/{kind.lower()}"
        yield Path(name)
        for kind, value in kept.items():
            os.environ.pop(f"GEMMA_TUI_{kind}_DIR")
            if value is not None:
                os.environ[f"GEMMA_TUI_{kind}_DIR"] = value


@pytest.fixture(scope="session")
def real_engine(engine_homes: Path) -> Iterator[BackgroundEngine]:
    """A ready engine; its process serves every test of the run."""
    engine = BackgroundEngine()
    try:
        engine.wait_ready()
        yield engine
    finally:
        engine.stop()


@pytest.fixture(scope="session")
def real_endpoint(real_engine: BackgroundEngine) -> Endpoint:
    """Where the run's engine answers."""
    assert real_engine.engine.endpoint is not None
    return real_engine.engine.endpoint
