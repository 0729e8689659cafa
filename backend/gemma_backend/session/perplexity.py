"""How well a model foresaw a text; pure functions on its tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gemma_backend.chat.align import Placed


@dataclass(frozen=True, slots=True)
class Surprise:
    """A text as a model saw it: `nats` is the sum of the negative logprobs of `tokens` tokens, `size` in bytes."""

    tokens: int
    nats: float
    size: int

    @property
    def perplexity(self) -> float:
        """Among how many equally likely tokens each one would have been as hard to foresee; infinite beyond floats."""
        try:
            return math.exp(self.nats / self.tokens)
        except OverflowError:
            return math.inf

    @property
    def bits_per_token(self) -> float:
        """Bits that each token takes, at best, once the model is known."""
        return self.nats / self.tokens / math.log(2)

    @property
    def bits_per_byte(self) -> float:
        """Bits for each byte, which compares models of different tokenizers."""
        return self.nats / math.log(2) / max(1, self.size)

    def sentence(self) -> str:
        """The figures for a person."""
        return (
            f"Perplexity {self.perplexity:,.2f} over {self.tokens:,} token{'s' * (self.tokens != 1)}: "
            f"{self.bits_per_token:.2f} bits a token, {self.bits_per_byte:.2f} a byte."
        )


def surprise(text: str, tokens: Sequence[Placed], start: int = 0, end: int | None = None) -> Surprise | None:
    """The surprise of the characters from `start` to before `end`, given what stands before them.

    The first token of a text without BOS has no probability and is left out. None where no token has one.
    """
    end = len(text) if end is None else end
    counted = [
        place for place in tokens if place.token.logprob is not None and place.start >= start and place.end <= end
    ]
    # A token without characters at the end of the text is one that was not written.
    counted = [place for place in counted if place.start < end or place.start < place.end]
    if not counted:
        return None
    nats = -math.fsum(place.token.logprob or 0.0 for place in counted)
    return Surprise(len(counted), nats, sum(len(text[place.start : place.end].encode()) for place in counted))
