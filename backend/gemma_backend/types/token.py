"""Tokens with the probabilities that a model gave them, and the tokens that it might have chosen instead."""

from __future__ import annotations

from typing import NamedTuple


# Tuples, because a scored document holds some hundred thousand of them.
class Candidate(NamedTuple):
    """A token that could have stood at a place; `logprob` is a natural logarithm."""

    text: str
    logprob: float


class Token(NamedTuple):
    """One token as the server wrote it: `text` may be empty where a character takes several tokens.

    `logprob` is None where the model had nothing to judge it by (the first of a prompt). `candidates` are the
    likeliest tokens at this place, the likeliest first, with this one among them. `rank` counts from 1, where the
    server tells it.
    """

    text: str
    logprob: float | None
    candidates: tuple[Candidate, ...] = ()
    rank: int | None = None
