"""`gemma-tui history import`: exports of other programs into the history, each conversation once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gemma_backend.store.history import History


def bring_in(history: History, paths: Sequence[Path]) -> int:
    """Take every conversation of `paths`; returns 5 where some could not be read. Raises BadInput, StoreError."""
    from gemma_backend.store.imports.sources import conversations
    from gemma_backend.text.clean import clean

    taken, known, skipped, lacking = 0, 0, 0, 0
    shown = sys.stderr.isatty()
    for path in paths:
        for found in conversations(path):
            if isinstance(found, str):
                skipped += 1
                print(f"gemma-tui: {clean(path.name, keep_newlines=False)}: {clean(found)}", file=sys.stderr)
                continue
            lacking += len(found.notes)
            if history.take(found).result():
                taken += 1
            else:
                known += 1
            if shown:
                print(f"\r\x1b[K{taken + known}", end="", file=sys.stderr, flush=True)
    if shown:
        print("\r\x1b[K", end="", file=sys.stderr)
    words = [f"{taken} conversation{'s' if taken != 1 else ''} imported"]
    words += [f"{known} already there"] if known else []
    words += [f"{lacking} picture{'s' if lacking != 1 else ''} or clips not in the export"] if lacking else []
    words += [f"{skipped} could not be read"] if skipped else []
    print(", ".join(words))
    return 5 if skipped else 0
