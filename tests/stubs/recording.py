"""An hour of `/metrics` pages in a small file: the first page whole, then only the lines that changed.

`python -m stubs.recording URL_FILE OUT.xz COUNT INTERVAL` records from the server whose address stands in URL_FILE at
each moment (while there is none, pages are empty).
"""

from __future__ import annotations

import json
import lzma
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path


def packed(pages: Iterator[str]) -> Iterator[str]:
    """A line of JSON for each page: a list of all lines, or the changed ones by their number."""
    before: list[str] = []
    for page in pages:
        lines = [line for line in page.split("\n") if line and not line.startswith("#") and "_created{" not in line]
        names = [line.rpartition(" ")[0] for line in lines]
        if names != [line.rpartition(" ")[0] for line in before]:
            yield json.dumps(lines)
        else:
            pairs = zip(before, lines, strict=True)
            changed = {number: line.rpartition(" ")[2] for number, (old, line) in enumerate(pairs) if old != line}
            yield json.dumps(changed)
        before = lines


def pages(path: Path) -> Iterator[str]:
    """Every page of a recording, whole."""
    lines: list[str] = []
    with lzma.open(path, "rt", encoding="utf-8") as file:
        for text in file:
            entry = json.loads(text)
            if isinstance(entry, list):
                lines = entry
            else:
                for number, value in entry.items():
                    lines[int(number)] = f"{lines[int(number)].rpartition(' ')[0]} {value}"
            yield "\n".join(lines) + "\n"


def looked(url_file: Path, count: int, interval: float) -> Iterator[str]:
    """Look at a server so often, so many seconds apart."""
    due = time.monotonic()
    for _ in range(count):
        url = url_file.read_text().strip() if url_file.exists() else ""
        try:
            with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:
                yield answer.read().decode()
        except (OSError, ValueError):
            yield ""
        due += interval
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    with lzma.open(sys.argv[2], "wt", encoding="utf-8", preset=9) as out:
        for line in packed(looked(Path(sys.argv[1]), int(sys.argv[3]), float(sys.argv[4]))):
            out.write(line + "\n")
