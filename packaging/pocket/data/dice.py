"""Chance that gives the same throws everywhere: built on the one stream that Python promises never to change."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """Choices drawn from `seed` by `random.Random.random` alone, whose sequence is fixed across versions of Python."""

    def __init__(self, seed: int | str) -> None:
        self._next = random.Random(seed).random

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self._next() < probability

    def real(self, low: float, high: float) -> float:
        """A number between `low` and `high`."""
        return low + (high - low) * self._next()

    def whole(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + int(self._next() * (high - low + 1))

    def pick(self, options: Sequence[T]) -> T:
        """One of `options`, each as likely."""
        return options[int(self._next() * len(options))]

    def some(self, options: Sequence[T], count: int) -> list[T]:
        """`count` different ones of `options`, in random order."""
        left = list(options)
        return [left.pop(int(self._next() * len(left))) for _ in range(count)]
