"""Rows made by many processes while the model trains: blocks in shared memory, copied into pools on the device."""

from __future__ import annotations

import contextlib
import mmap
import multiprocessing as mp
import os
import queue
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor

from pocket.data import conversations as talk
from pocket.data.dice import Dice
from pocket.data.speech import Bank

PIXELS = talk.PATCH * talk.PATCH * 3


@dataclass(frozen=True)
class Kind:
    """A kind of row: how many pictures and clips each has, its length in tokens, and how many rows make a block."""

    name: str
    pictures: int
    clips: int
    tokens: int
    block: int = 64

    def fields(self) -> dict[str, tuple[tuple[int, ...], type]]:
        """Name, shape and type of each array of a row."""
        return {
            "ids": ((self.tokens,), np.int16),
            "weights": ((self.tokens,), np.uint8),
            "media": ((self.tokens,), np.int16),
            "patches": ((self.pictures, talk.PATCHES, PIXELS), np.uint8),
            "grids": ((self.pictures, 2), np.int16),
            "samples": ((self.clips, talk.SAMPLES), np.int16),
            "lengths": ((self.clips,), np.int32),
        }


Block = dict[str, npt.NDArray[np.generic]]


def example(kind: Kind, coder: talk.Coder, dice: Dice, bank: Bank) -> talk.Example:
    """A fresh row of that kind."""
    if kind.name == "picture":
        return talk.picture_row(coder, dice, kind.tokens)
    if kind.name == "sound":
        return talk.sound_row(coder, dice, kind.tokens, bank)
    if kind.name == "mixed":
        return talk.mixed_row(coder, dice, kind.tokens, bank)
    return talk.text_row(coder, dice, kind.tokens)


def put(block: Block, at: int, made: talk.Example) -> None:
    """Write a row into place `at` of a block, padded with zeros."""
    for name, values, empty in (
        ("ids", made.row.ids, 0),
        ("weights", made.row.weights, 0),
        ("media", made.row.media, -1),
    ):
        block[name][at] = empty
        block[name][at, : len(values)] = values
    # Where a row has no picture, a blank one of one soft token stands, which nothing refers to.
    block["grids"][at] = talk.POOL
    for number, (cut, size) in enumerate(made.pictures):
        block["patches"][at, number, : len(cut)] = cut
        block["patches"][at, number, len(cut) :] = 0
        block["grids"][at, number] = size
    for number, samples in enumerate(made.clips):
        block["samples"][at, number] = 0
        block["samples"][at, number, : len(samples)] = np.round(samples * 32767).astype(np.int16)
        block["lengths"][at, number] = len(samples)


def empty_block(kind: Kind, memory: mmap.mmap | None = None) -> Block:
    """Arrays for a block, in `memory` if given."""
    made: Block = {}
    offset = 0
    for name, (shape, dtype) in kind.fields().items():
        count = kind.block * int(np.prod(shape))
        if memory is None:
            made[name] = np.zeros((kind.block, *shape), dtype)
        else:
            made[name] = np.frombuffer(memory, dtype, count, offset).reshape(kind.block, *shape)
            offset += -(-count * np.dtype(dtype).itemsize // 64) * 64
    return made


def _bytes(kind: Kind) -> int:
    return sum(-(-block.nbytes // 64) * 64 for block in empty_block(kind).values()) or 64


def _work(
    number: int,
    seed: str,
    kinds: list[Kind],
    blocks: list[tuple[int, Block]],
    data: Path,
    free: mp.Queue[int],
    ready: mp.Queue[int],
) -> None:
    # The process that trains, and what compiles for it, come first.
    os.nice(10)
    torch.set_num_threads(1)
    coder = talk.Coder(Tokenizer.from_file(str(data / "tokenizer.json")))
    bank = Bank(data)
    count = 0
    parent = os.getppid()
    while True:
        try:
            slot = free.get(timeout=1)
        except queue.Empty:
            # Nobody ends the workers of a process that was killed.
            if os.getppid() != parent:
                return
            continue
        index, block = blocks[slot]
        for at in range(kinds[index].block):
            put(block, at, example(kinds[index], coder, Dice(f"{seed} {number} {count}"), bank))
            count += 1
        ready.put(slot)


class Feed:
    """`workers` processes that keep making blocks; `slots` says how many blocks of each kind are in the works."""

    def __init__(self, kinds: list[Kind], slots: list[int], data: Path, seed: str, workers: int) -> None:
        fork = mp.get_context("fork")
        self.kinds = kinds
        self.blocks: list[tuple[int, Block]] = []
        self.memory: list[mmap.mmap] = []
        order = [index for turn in range(max(slots)) for index in range(len(kinds)) if turn < slots[index]]
        for index in order:
            self.memory.append(mmap.mmap(-1, _bytes(kinds[index])))
            self.blocks.append((index, empty_block(kinds[index], self.memory[-1])))
        self._free, self._ready = fork.Queue(), fork.Queue()
        for slot in range(len(self.blocks)):
            self._free.put(slot)
        self._workers = [
            fork.Process(target=_work, args=(n, seed, kinds, self.blocks, data, self._free, self._ready), daemon=True)
            for n in range(workers)
        ]
        for worker in self._workers:
            worker.start()

    def take(self, wait: bool) -> int | None:
        """A finished slot, or None if there is none yet; ends with a sentence where none will come."""
        while True:
            try:
                return self._ready.get(wait, 5 if wait else None)
            except queue.Empty:
                if not wait:
                    return None
                if not all(worker.is_alive() for worker in self._workers):
                    raise SystemExit("a process that makes rows has ended: what it said stands above") from None

    def give(self, slot: int) -> None:
        """Let a slot be filled anew."""
        self._free.put(slot)

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            worker.join()


class Pool:
    """The latest rows of one kind on the device; the oldest make room for new ones."""

    def __init__(self, kind: Kind, rows: int, device: torch.device) -> None:
        self.kind, self.rows = kind, rows // kind.block * kind.block
        self.filled = self.made = 0
        self.arrays = {
            name: torch.zeros((self.rows, *shape), dtype=getattr(torch, np.dtype(dtype).name), device=device)
            for name, (shape, dtype) in kind.fields().items()
        }

    def add(self, block: Block) -> None:
        """Copy a block in."""
        at = self.made % self.rows
        for name, values in block.items():
            if values.size:
                self.arrays[name][at : at + self.kind.block].copy_(torch.from_numpy(values), non_blocking=True)
        self.made += self.kind.block
        self.filled = min(self.rows, self.made)

    def draw(self, count: int, generator: torch.Generator) -> dict[str, Tensor]:
        """`count` rows by chance."""
        device = self.arrays["ids"].device
        index = torch.randint(0, self.filled, (count,), device=device, generator=generator)
        return {name: values[index] for name, values in self.arrays.items()}


class Pinned:
    """Memory that the GPU copies from by itself, without the processor's help, until `close`.

    Nothing may be freed while it is pinned: the next memory at such an address would be pinned in part, and copies from
    it end with "CUDA error: invalid argument". `driver` has cudaHostRegister and cudaHostUnregister.
    """

    def __init__(self, memory: list[mmap.mmap], driver: Any, settle: Callable[[], None]) -> None:
        self._driver, self._settle = driver, settle
        self._addresses = []
        for each in memory:
            address = torch.from_numpy(np.frombuffer(each, np.uint8)).data_ptr()
            if int(driver.cudaHostRegister(address, len(each), 0)) == 0:
                self._addresses.append(address)
            else:
                # Where pinning is refused copies are merely slower; but the next kernel would be blamed for it.
                with contextlib.suppress(RuntimeError):
                    settle()

    def close(self) -> None:
        """Wait for copies under way, then unpin."""
        self._settle()
        while self._addresses:
            self._driver.cudaHostUnregister(self._addresses.pop())


class Mover:
    """Moves blocks that are ready into the pools."""

    def __init__(self, feed: Feed, pools: list[Pool], device: torch.device) -> None:
        self._feed, self._pools = feed, pools
        self._pending: list[tuple[int, torch.cuda.Event]] = []
        self._pinned = None

        def settle() -> None:
            torch.zeros(1, device=device).add_(1)
            torch.cuda.synchronize()

        if device.type == "cuda":
            self._pinned = Pinned(feed.memory, torch.cuda.cudart(), settle)

    def move(self, wait: bool) -> None:
        """Take what is ready, at least one block with `wait`."""
        while self._pending and self._pending[0][1].query():
            self._feed.give(self._pending.pop(0)[0])
        slot = self._feed.take(wait)
        while slot is not None:
            index, block = self._feed.blocks[slot]
            self._pools[index].add(block)
            if self._pinned is not None:
                event = torch.cuda.Event()
                event.record()
                self._pending.append((slot, event))
            else:
                self._feed.give(slot)
            slot = self._feed.take(False)

    def close(self) -> None:
        """End the feed's workers, and leave its memory to be freed."""
        self._feed.close()
        if self._pinned is not None:
            self._pinned.close()
