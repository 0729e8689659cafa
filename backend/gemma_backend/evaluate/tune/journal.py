"""Every trial on disk as soon as it is done, so that a search goes on where it was cut."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from gemma_backend.config.paths import ensure, state_dir
from gemma_backend.evaluate.tune.knobs import Change
from gemma_backend.evaluate.tune.outcome import Outcome
from gemma_backend.types import BadInput

FORMAT = "gemma-tui tune"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Head:
    """What trials must have in common to be compared: profile, checkpoint, vLLM, machine, and the load."""

    profile: str
    flags: dict[str, Change]
    environment: dict[str, str]
    checkpoint: str
    vllm: str
    gpus: tuple[str, ...]
    processors: int
    load: dict[str, int] = field(default_factory=dict)
    format: str = FORMAT
    version: int = VERSION


class Journal:
    """A file of one JSON object a line: the head, then the trials."""

    def __init__(self, path: Path, head: Head) -> None:
        self.path = path
        self.head = head
        self.outcomes: list[Outcome] = []
        self.resumed = False

    @classmethod
    def opened(cls, path: Path, head: Head, *, fresh: bool = False) -> Journal:
        """The journal in `path`; where it is of another head (or `fresh` is asked for) it is put aside as `.old`.

        A last line that was cut by a crash is dropped. Raises BadInput where the file cannot be written.
        """
        journal = cls(path, head)
        try:
            found = None if fresh or not path.exists() else _read(path, head)
            if found is None:
                if path.exists():
                    path.replace(path.with_name(path.name + ".old"))
                journal._start()
            else:
                journal.outcomes, journal.resumed = found, True
                journal._rewrite()
        except OSError as error:
            raise BadInput(f"The journal {path} cannot be written: {error.strerror}.") from None
        return journal

    def add(self, outcome: Outcome) -> None:
        """Write a trial down; it is on disk when this returns."""
        self.outcomes.append(outcome)
        self._append(msgspec.json.encode(outcome))

    def _start(self) -> None:
        ensure(self.path.parent)
        self.path.write_bytes(b"")
        self._append(msgspec.json.encode(self.head))

    def _rewrite(self) -> None:
        lines = [msgspec.json.encode(self.head), *map(msgspec.json.encode, self.outcomes)]
        spare = self.path.with_name(self.path.name + ".new")
        spare.write_bytes(b"".join(line + b"\n" for line in lines))
        spare.replace(self.path)

    def _append(self, line: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())


def default_path(profile: str) -> Path:
    """Where the journal of a profile lies."""
    return state_dir() / "tune" / f"{profile}.jsonl"


def _read(path: Path, head: Head) -> list[Outcome] | None:
    """The trials of a journal with this head, None for any other file."""
    first, *rest = path.read_bytes().split(b"\n")
    try:
        if msgspec.json.decode(first, type=Head) != head:
            return None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    outcomes = []
    for line in rest:
        try:
            outcomes.append(msgspec.json.decode(line, type=Outcome))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
    return outcomes
