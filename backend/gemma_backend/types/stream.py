"""What is asked of a model and what comes back while it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gemma_backend.types.token import Token


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen; None leaves the server's default in place."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked for besides one reply: `n` alternatives, the `logprobs` likeliest tokens at each place, the prompt
    back (`echo`), no BOS in front of a raw prompt (`add_special_tokens`), a JSON Schema that the reply follows.
    """

    n: int = 1
    logprobs: int | None = None
    echo: bool = False
    add_special_tokens: bool = True
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """The server took the request; `at` is a monotonic time in seconds."""

    at: float
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Delta:
    """Text that was generated since the last event; `reasoning` is kept apart where a server sends it.

    `index` says which of several alternatives it belongs to. `tokens` are there where logprobs were asked for; their
    text can run ahead of `text` while a server holds some back to look for a stop string.
    """

    text: str
    reasoning: str = ""
    index: int = 0
    tokens: tuple[Token, ...] = ()


@dataclass(frozen=True, slots=True)
class ChoiceEnded:
    """One of several alternatives is complete."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class Echoed:
    """The prompt as the server gave it back, with its tokens where logprobs were asked for."""

    text: str
    tokens: tuple[Token, ...] = ()


@dataclass(frozen=True, slots=True)
class Declined:
    """The server does not offer `option`, so the request went without it; `message` says how that showed."""

    option: str
    message: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts as the server reports them, cumulative for this request."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """The reply ended: `reason` is `stop`, `length`, `abort` or what the server says.

    `ttft` and `seconds` are measured by this client from sending the request.
    """

    reason: str
    ttft: float | None = None
    seconds: float | None = None
    raw: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The reply broke off; `message` is a sentence for a person, `exit_code` that of a command."""

    message: str
    exit_code: int = 4


StreamEvent = Started | Delta | ChoiceEnded | Echoed | Declined | Usage | Finished | Failed
