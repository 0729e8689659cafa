"""What is asked of a server: how long, of which kinds, how many at once or how often, until when."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gemma_backend.types import UsageError

Kind = Literal["text", "image", "audio"]
KINDS: tuple[Kind, ...] = ("text", "image", "audio")
Api = Literal["auto", "completions", "chat"]


@dataclass(frozen=True, slots=True)
class Span:
    """A number of tokens from `low` to `high`, every one as likely."""

    low: int
    high: int

    def __str__(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"

    def drawn(self, chance: random.Random) -> int:
        """One of them."""
        return chance.randint(self.low, self.high)


@dataclass(frozen=True, slots=True)
class Workload:
    """What one request is like: lengths in tokens, kinds by weight, what is shared, how tokens are chosen.

    `shared_prefix` are tokens that every prompt begins with; `ignore_eos` makes each reply as long as was asked for.
    The same `seed` gives the same requests.
    """

    prompt_tokens: Span = Span(128, 128)
    output_tokens: Span = Span(256, 256)
    mix: Mapping[Kind, float] = field(default_factory=lambda: {"text": 1.0})
    shared_prefix: int = 0
    api: Api = "auto"
    temperature: float = 0.0
    ignore_eos: bool = True
    image_pixels: int = 512
    audio_seconds: float = 5.0
    seed: int = 0
    extra: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    """More fields of every request."""

    @property
    def chat(self) -> bool:
        """Whether requests go to `/v1/chat/completions`; pictures and clips go nowhere else."""
        return self.api == "chat" or (self.api == "auto" and any(self.mix.get(kind) for kind in ("image", "audio")))

    def check(self) -> None:
        """Raise UsageError for what no server can be asked."""
        for name, span in (("prompt", self.prompt_tokens), ("output", self.output_tokens)):
            if not 1 <= span.low <= span.high:
                raise UsageError(f"--{name}-tokens takes 1 or more, or a span such as 64-512; {span} is neither.")
        if self.shared_prefix < 0 or self.shared_prefix >= self.prompt_tokens.low:
            raise UsageError(
                f"--shared-prefix {self.shared_prefix} does not fit into prompts of {self.prompt_tokens} tokens: "
                "make it smaller than the shortest."
            )
        if sum(self.mix.values()) <= 0:
            raise UsageError("--mix gives no kind any weight; write for example --mix text=8,image=1,audio=1.")
        if self.api == "completions" and any(self.mix.get(kind) for kind in ("image", "audio")):
            raise UsageError("pictures and clips cannot go to /v1/completions: leave --api out, or give --api chat.")

    def described(self) -> dict[str, str | int | float | bool | None]:
        """Its settings for a report."""
        return {
            "prompt_tokens": str(self.prompt_tokens),
            "output_tokens": str(self.output_tokens),
            "mix": ",".join(f"{kind}={self.mix[kind]:g}" for kind in KINDS if self.mix.get(kind)),
            "shared_prefix": self.shared_prefix,
            "api": "chat" if self.chat else "completions",
            "temperature": self.temperature,
            "ignore_eos": self.ignore_eos,
            "image_pixels": self.image_pixels if self.mix.get("image") else None,
            "audio_seconds": self.audio_seconds if self.mix.get("audio") else None,
            "seed": self.seed,
        }


@dataclass(frozen=True, slots=True)
class Pace:
    """How requests follow one another: `concurrency` at once, or `rate` a second at random moments (Poisson).

    With both, no more than `concurrency` are under way. It ends after `requests`, or after `seconds` when those under
    way are done; `warmup` requests go before and are not counted.
    """

    concurrency: int | None = 1
    rate: float | None = None
    requests: int | None = None
    seconds: float | None = None
    warmup: int | None = None
    timeout: float = 600.0

    def check(self) -> None:
        """Raise UsageError for what cannot be done."""
        for flag, value in (("concurrency", self.concurrency), ("rate", self.rate), ("requests", self.requests),
                            ("seconds", self.seconds)):  # fmt: skip
            if value is not None and not 0 < value < float("inf"):
                raise UsageError(f"--{flag} must be more than 0.")
        if self.rate is None and self.requests is not None and self.requests < (self.concurrency or 1):
            raise UsageError(
                f"{self.requests} requests cannot keep {self.concurrency} running at once: give more --requests."
            )
        if self.warmup is not None and self.warmup < 0:
            raise UsageError("--warmup must be 0 or more.")

    @property
    def count(self) -> int | None:
        """How many requests there are, None where the time decides."""
        if self.requests is not None or self.seconds is not None:
            return self.requests
        return max(8, 4 * (self.concurrency or 16))

    @property
    def warming(self) -> int:
        """How many requests go before."""
        return self.warmup if self.warmup is not None else min(self.concurrency or 4, 64)


def arrivals(rate: float, chance: random.Random) -> Iterator[float]:
    """Yield the moments, in seconds from the start, at which a Poisson process of `rate` a second sends."""
    at = 0.0
    while True:
        yield at
        at += chance.expovariate(rate)
