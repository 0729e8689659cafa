"""`python -m benchmarks`: every figure of the terminal UI that docs/measurements.md records, for this machine."""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import version

from benchmarks import (
    history_bench,
    idle_bench,
    load_bench,
    media_bench,
    read_bench,
    start_bench,
    stream_bench,
    studio_bench,
)


def main() -> None:
    """Say what is measured on, then measure; other load on the machine shows in every figure, so it is printed too."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("textual", "openai", "markdown-it-py", "pygments"))
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{datetime.date.today()}, Python {platform.python_version()}, {packages}")
    print(f"{os.cpu_count()} processors, load before: {load}\n\nStreaming, in a pty of 120x40:\n")
    stream_bench.main([])
    print("\nNothing to do:\n")
    idle_bench.main()
    print("\nReading, the transcript alone:\n")
    read_bench.main([])
    print("\nFiles that are dropped:\n")
    media_bench.main()
    print("\nThe history:\n")
    history_bench.main([])
    print("\nThe completion studio, a document of one line:\n")
    studio_bench.main()
    print("\nThe load generator:\n")
    load_bench.main()
    print("\nThe engine's start:\n")
    start_bench.main()


if __name__ == "__main__":
    main()
