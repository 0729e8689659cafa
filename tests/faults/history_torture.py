"""Kills programs that talk, with SIGKILL at random moments, and looks at what is on disk then: `make torture`, or

    PYTHONPATH=tests python -m faults.history_torture --rounds 100

The programs are the screen in a terminal and `gemma-tui ask`; a third one writes to the same history all the time. The
server is a stub that writes down when it sent each token. Prints one line for each kind of program: rounds passed, and
the most text that was lost, in seconds. The exit code is 1 if any round failed.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.terminal import Terminal
from gemma_assets import path as asset
from gemma_backend.store.history import History
from gemma_backend.types import Node, TextPart, new_id
from stubs.openai_server import OpenAIServer, Reply

LIMIT = 1.0
"""Seconds of text that may be lost."""
KINDS = ("screen", "ask")
RATES = (50, 200, 1000)
LONGEST = 6.0
TEXT = " ".join(map(str, range(20_000)))


class LoggingServer(OpenAIServer):
    """A server that writes down when it sent each token: `times[n]` is when the first n of all were out."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "generated":
            self.__dict__.setdefault("times", []).append(time.monotonic())


@dataclass(slots=True)
class Round:
    """What one kill left: tokens sent and saved, seconds of text lost, and what is wrong."""

    kind: str
    sent: int = 0
    saved: int = 0
    lost: float = 0.0
    problems: list[str] = field(default_factory=list)


class Bystander:
    """Another program's part: writes and deletes in the same history until it is told to stop."""

    def __init__(self, folder: Path) -> None:
        self._history = History(folder)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.failed: list[str] = []

    def __enter__(self) -> Bystander:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._history.close()

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            question = Node(new_id(), None, "user", (TextPart("from the other window"),))
            place = self._history.place(None)
            try:
                self._history.begin(place, [question], leaf=question.id).result(30)
                self._history.pin(place.known(), True).result(30)
                self._history.delete([place.known()]).result(30)
            except Exception as error:
                self.failed.append(f"the other program: {error}")
                return


async def one_round(kind: str, server: LoggingServer, folder: Path, source: random.Random) -> Round:
    """Let a program ask, kill it at a random moment, and judge what is on disk."""
    words = f"question {source.getrandbits(60):x}"
    server.reply = Reply(TEXT, rate=source.choice(RATES))
    result, before, asked = Round(kind), server.generated, len(server.prompts)
    with Bystander(folder) as bystander:
        program = _Screen(server.url) if kind == "screen" else _Ask(server.url, words, source)
        try:
            await program.ask(words)
            until = time.monotonic() + source.uniform(0, LONGEST)
            while time.monotonic() < until:
                program.drain()
                await asyncio.sleep(0.01)
        finally:
            killed = program.kill()
    await server.until(running=0)
    result.problems += bystander.failed
    result.problems += await asyncio.to_thread(unsound, folder)
    rows = await asyncio.to_thread(_turns, folder, words)
    if len(server.prompts) > asked and not rows:
        result.problems.append("the question was sent and is not on disk")
    text = rows[-1][1] if len(rows) > 1 else ""
    result.sent, result.saved = server.generated - before, len(text.split())
    if not TEXT.startswith(text):
        result.problems.append("what was saved is not what was sent")
    if result.saved < result.sent:
        times: list[float] = server.__dict__["times"]
        result.lost = max(0.0, killed - times[before + result.saved + 1])
        if result.lost > LIMIT:
            result.problems.append(f"{result.lost:.2f} s of text are lost")
    return result


class _Screen:
    """The terminal UI, typed into."""

    def __init__(self, url: str) -> None:
        self._terminal = Terminal([sys.executable, "-m", "gemma_tui", "--url", url])

    async def ask(self, words: str) -> None:
        until = time.monotonic() + 0.8
        while time.monotonic() < until:
            self.drain()
            await asyncio.sleep(0.01)
        self._terminal.type(f"{words}\r")

    def drain(self) -> None:
        self._terminal.read(0)

    def kill(self) -> float:
        os.kill(self._terminal.pid, signal.SIGKILL)
        killed = time.monotonic()
        self._terminal.close()
        return killed


class _Ask:
    """`gemma-tui ask`, mostly with a picture, now and then going on with what another program began."""

    def __init__(self, url: str, words: str, source: random.Random) -> None:
        options = ["--image", str(asset("samples", "scene.png"))] if source.random() < 0.7 else []
        options += ["-c"] if source.random() < 0.2 else []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gemma_tui", "ask", words, "--url", url, *options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    async def ask(self, words: str) -> None:
        await asyncio.sleep(0.3)

    def drain(self) -> None:
        pass

    def kill(self) -> float:
        self._process.kill()
        killed = time.monotonic()
        self._process.wait()
        return killed


def unsound(folder: Path) -> list[str]:
    """What is wrong with the history in `folder`: the database, its search index, files that are missing or open."""
    problems: list[str] = []
    with closing(sqlite3.connect(folder / "history.db", timeout=30, isolation_level=None)) as connection:
        for (said,) in connection.execute("PRAGMA integrity_check"):
            if said != "ok":
                problems.append(f"integrity: {said}")
        problems += [f"foreign key: {row}" for row in connection.execute("PRAGMA foreign_key_check")]
        try:
            connection.execute("INSERT INTO turn_text (turn_text, rank) VALUES ('integrity-check', 1)")
        except sqlite3.DatabaseError as error:
            problems.append(f"search index: {error}")
        for (digest,) in connection.execute("SELECT DISTINCT digest FROM attachment"):
            file = folder / "media" / digest
            if not file.exists() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
                problems.append(f"media: {digest}")
    problems += [f"open to others: {file}" for file in folder.rglob("*") if file.stat().st_mode & 0o077]
    return problems


def _turns(folder: Path, words: str) -> list[tuple[str, str]]:
    """Role and text of the question `words` and of what follows it, on disk now."""
    with closing(sqlite3.connect(folder / "history.db", timeout=30)) as connection:
        return connection.execute(
            "SELECT role, text || coalesce((SELECT group_concat(text, '') FROM "
            "(SELECT text FROM piece WHERE piece.turn = turn.id ORDER BY id)), '') FROM turn "
            "WHERE text = ?1 OR parent IN (SELECT id FROM turn WHERE text = ?1) ORDER BY id",
            (words,),
        ).fetchall()


async def torture(rounds: int, seed: int, kinds: tuple[str, ...] = KINDS) -> list[Round]:
    """Play so many rounds of each kind in turn on one history, and return what they left."""
    source = random.Random(seed)
    folder = History().folder
    played: list[Round] = []
    async with LoggingServer() as server:
        for number in range(rounds):
            kind = kinds[number % len(kinds)]
            done = await one_round(kind, server, folder, source)
            played.append(done)
            print(
                f"{number + 1:>4} {kind:<7}{done.saved:>6} of {done.sent:>6} tokens saved, {done.lost:.2f} s lost  "
                f"{'; '.join(done.problems) or 'sound'}",
                file=sys.stderr, flush=True,
            )  # fmt: skip
    return played


def main() -> int:
    """Play all rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gemma-") as home:
        os.environ |= {f"GEMMA_TUI_{name}_DIR": f"{home}/{name.lower()}" for name in ("STATE", "LOG", "CONFIG")}
        played = asyncio.run(torture(args.rounds, args.seed))
    print(f"{'killed':<9}{'sound':>9}{'most lost':>12}{'on average':>12}")
    for kind in KINDS:
        mine = [one for one in played if one.kind == kind]
        if mine:
            most, mean = max(one.lost for one in mine), sum(one.lost for one in mine) / len(mine)
            passed = sum(not one.problems for one in mine)
            print(f"{kind:<9}{passed:>4}/{len(mine):<4}{most:>10.2f} s{mean:>10.2f} s")
    return int(any(one.problems for one in played))


if __name__ == "__main__":
    sys.exit(main())
