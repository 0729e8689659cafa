"""Run by the quantize runtime's Python: parts of the pocket checkpoint's training, as JSON.

pocket_probe.py rows DATA SEED...   digests of the first blocks of each kind that a feed makes from each seed
pocket_probe.py weights FOLDER      what is read back after savings that were cut off
pocket_probe.py pinned              what a GPU's driver is asked while memory is pinned, refused and let go
"""

from __future__ import annotations

import hashlib
import json
import mmap
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from pocket import weights
from pocket.feed import Feed, Pinned
from pocket.train import plan

# As many blocks of each kind as are looked at.
BLOCKS = 2


def rows(data: Path, seed: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for mixed in (False, True):
        kinds = plan(mixed, smoke=True).kinds
        made = {f"{kind.name} of {kind.tokens}": hashlib.sha256() for kind in kinds}
        feed = Feed(list(kinds), [BLOCKS] * len(kinds), data, seed, 1)
        for _ in range(BLOCKS * len(kinds)):
            slot = feed.take(True)
            assert slot is not None
            index, block = feed.blocks[slot]
            for name in sorted(block):
                made[f"{kinds[index].name} of {kinds[index].tokens}"].update(block[name].tobytes())
        feed.close()
        found |= {name: each.hexdigest() for name, each in made.items()}
    return found


def saved(folder: Path) -> dict[str, object]:
    """Three parts a set; each model's numbers are one value, so that a mixture would show."""
    weights.PART = 40

    def model(value: float) -> torch.nn.Module:
        made = torch.nn.Linear(9, 10)
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.fill_(value)
        return made

    def read() -> list[float]:
        made = model(0.0)
        weights.load(made, folder)
        return sorted({float(value) for parameter in made.parameters() for value in parameter.detach().flatten()})

    def refused() -> str:
        try:
            read()
        except SystemExit as said:
            return str(said)
        return ""

    found: dict[str, object] = {"empty": refused()}
    weights.save(model(1.0), folder)
    found["first"] = read()
    # What a process that is killed within its second saving leaves behind.
    for part in (1, 2):
        (folder / f"weights-000002-{part}-of-3.npy").write_bytes(b"x")
    (folder / "weights-000002-3-of-3.new").write_bytes(b"x")
    found["cut off"] = read()
    weights.save(model(3.0), folder)
    found["after"] = read()
    found["files"] = sorted(path.name for path in folder.iterdir())
    whole = next(iter(sorted(folder.iterdir())))
    whole.write_bytes(whole.read_bytes()[:100])
    found["damaged"] = refused()
    return found


class Driver:
    """Notes what is asked of it; refuses the third memory, as a driver does where no more may be pinned."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.places: dict[int, int] = {}

    def cudaHostRegister(self, address: int, size: int, flags: int) -> int:
        self.places.setdefault(address, len(self.places))
        self.asked.append(f"register {self.places[address]}")
        return 1 if self.places[address] == 2 else 0

    def cudaHostUnregister(self, address: int) -> int:
        self.asked.append(f"unregister {self.places[address]}")
        return 0


def pinned() -> list[str]:
    driver = Driver()

    def settle() -> None:
        driver.asked.append("settle")
        if driver.asked[-2] == "register 2":
            raise RuntimeError("CUDA error: invalid argument")

    memory = [mmap.mmap(-1, 1 << 16) for _ in range(3)]
    kept = Pinned(memory, driver, settle)
    kept.close()
    kept.close()
    return driver.asked


def main() -> None:
    what: dict[str, Callable[[], object]] = {
        "rows": lambda: [rows(Path(sys.argv[2]), seed) for seed in sys.argv[3:]],
        "weights": lambda: saved(Path(sys.argv[2])),
        "pinned": pinned,
    }
    print(json.dumps(what[sys.argv[1]]()))


if __name__ == "__main__":
    main()
