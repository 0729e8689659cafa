"""The history with many messages: `python -m benchmarks.history_bench [--messages 100000]`.

Prints how long it takes to search, to list, to open a long conversation and to save what a second of a reply brings.
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.token_server import text_of
from gemma_backend.store.database import open_for_writing, reading
from gemma_backend.store.history import History, Place
from gemma_backend.store.media import MediaFolder
from gemma_backend.store.query import parse_query
from gemma_backend.store.turns import insert_conversation, insert_turns, summaries
from gemma_backend.store.writer import saving_job
from gemma_backend.types import MediaRef, Node, Part, TextPart, first_id, new_id

_YEAR = 365 * 86_400.0
QUERIES = (
    ("a rare word", "rareword"),
    ("a word in every fifth message", "the"),
    ("two words", "the cache"),
    ("a phrase", '"the cache"'),
    ("two letters of a word, as it is typed", "ca*"),
    ("one letter, with which every third word begins", "w*"),
    ("a word that is nowhere", "xylophone"),
    ("a frequent word, one profile of ten", "the profile:profile-3"),
    ("a frequent word, with a picture", "the has:image"),
    ("a frequent word, with a clip and a picture", "the has:audio has:image"),
    ("a frequent word, in one month", "the after:2026-02 before:2026-03"),
    ("a frequent word, a profile that is nowhere", "the profile:nobody"),
    ("no word, with a picture", "has:image"),
    ("no word", ""),
)

WORDS = ("the", "rareword", "the cache", '"the cache"', "ca*", "w1*", "c*", "w* c*", "xylophone", "")
FILTERS = ("profile:profile-3", "has:image", "has:audio", "after:2026-02 before:2026-03", "kind:chat")


def every_combination(history: History) -> list[tuple[float, str]]:
    """Median milliseconds of a search for all words with every set of filters, the slowest first."""
    times = []
    for words in WORDS:
        for chosen in itertools.product((False, True), repeat=len(FILTERS)):
            text = " ".join([words, *itertools.compress(FILTERS, chosen)]).strip()
            query = parse_query(text)
            times.append((milliseconds(lambda query=query: history.search(query), 3)[0], text))  # type: ignore[misc]
    return sorted(times, reverse=True)


def fill(history: History, messages: int, seed: int = 1) -> None:
    """Write conversations of some twenty messages each, a year of them, with words of very different frequency."""
    source = random.Random(seed)
    words = ["the", "cache", "of", "and", *(f"w{number:x}" for number in range(20_000))]
    weights = list(itertools.accumulate(1 / (rank + 4) for rank in range(len(words))))
    begun = time.time() - _YEAR
    connection = open_for_writing(history.path)
    connection.execute("BEGIN")
    written = 0
    while written < messages:
        count = min(messages - written, source.randint(2, 40))
        created = begun + _YEAR * written / messages
        nodes: list[Node] = []
        for turn in range(count):
            text = " ".join(source.choices(words, cum_weights=weights, k=source.randint(4, 60)))
            text += " rareword" if source.random() < 0.0002 else ""
            parts: list[Part | MediaRef] = [TextPart(text)]
            for kind in ("image", "audio"):
                if source.random() < 0.01:
                    parts.insert(0, MediaRef(kind, f"{source.getrandbits(256):064x}", "file", 1000))  # type: ignore[arg-type]
            id = first_id(created + turn) + source.getrandbits(20)
            parent = nodes[-1].id if nodes else None
            nodes.append(Node(id, parent, "assistant" if turn % 2 else "user", tuple(parts), created=created + turn))
        number = insert_conversation(
            connection,
            title=" ".join(nodes[0].text.split()[:8]),
            profile=f"profile-{written % 10}",
            created=created,
            updated=created + count,
        )
        insert_turns(connection, history.media, number, nodes)
        written += count
    connection.execute("COMMIT")
    connection.close()


def milliseconds(work: Callable[[], object], repeat: int = 15) -> tuple[float, float]:
    """Median and maximum of a few runs."""
    times = []
    for _ in range(repeat):
        begun = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - begun))
    return statistics.median(times), max(times)


def long_conversation(history: History, tokens: int) -> int:
    """Write a conversation of so many tokens, and return its number."""
    place, nodes = Place(), list[Node]()
    for turn in range(tokens // 1_500 * 2):
        text = text_of(1_500) if turn % 2 else "Go on."
        parent = nodes[-1].id if nodes else None
        nodes.append(Node(new_id(), parent, "assistant" if turn % 2 else "user", (TextPart(text),)))
    history.begin(place, nodes, leaf=nodes[-1].id).result()
    return place.known()


def saving(path: Path) -> tuple[float, float]:
    """Milliseconds that one save of 200 tokens of a running reply takes, to the disk and back: median and maximum."""
    connection = open_for_writing(path)
    number = insert_conversation(connection)
    turn = new_id()
    insert_turns(connection, MediaFolder(path.parent), number, [Node(turn, None, "assistant", (), "running")])
    save = saving_job(turn, "word " * 200, "")

    def once() -> None:
        connection.execute("BEGIN IMMEDIATE")
        save(connection)
        connection.execute("COMMIT")

    measured = milliseconds(once, 50)
    connection.close()
    return measured


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--tokens", type=int, default=200_000)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        history = History(Path(folder) / "history")
        begun = time.perf_counter()
        fill(history, args.messages)
        size = history.path.stat().st_size / 1e6
        print(f"{args.messages:,} messages: {size:.0f} MB, written in {time.perf_counter() - begun:.0f} s")
        for what, text in QUERIES:
            query = parse_query(text)
            found = len(history.search(query))
            middle, most = milliseconds(lambda query=query: history.search(query))  # type: ignore[misc]
            print(f"search, {what}: {middle:.1f} ms, at most {most:.1f} ({found} conversations)")
        slowest = every_combination(history)
        over = sum(time > 50 for time, _ in slowest)
        print(f"{len(slowest)} combinations of words and filters: at most {slowest[0][0]:.1f} ms ({slowest[0][1]}),")
        print(f"  half of them within {slowest[len(slowest) // 2][0]:.1f} ms, {over} over 50 ms")
        with reading(history.path) as connection:
            middle, most = milliseconds(lambda: summaries(connection, limit=200))
        print(f"list of 200: {middle:.1f} ms, at most {most:.1f}")
        number = long_conversation(history, args.tokens)
        middle, most = milliseconds(lambda: history.load(number))
        print(f"a conversation of {args.tokens:,} tokens from disk: {middle:.1f} ms, at most {most:.1f}")
        history.close()
        middle, most = saving(history.path)
        print(f"one save of a running reply: {middle:.1f} ms, at most {most:.1f}")


if __name__ == "__main__":
    main()
