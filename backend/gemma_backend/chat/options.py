"""What a server does not offer of the options of a completion: known of its kind, or learned from it."""

from __future__ import annotations

import re
from typing import Any

from gemma_backend.types import Endpoint

_Known = dict[str, str]

# llama.cpp: tools/server/server-common.cpp (echo is refused, BOS goes by the model), server-schema.cpp (field names).
# SGLang: srt/entrypoints/openai/protocol.py, whose CompletionRequest ignores fields that it does not have.
_UNOFFERED: dict[str, _Known] = {
    "llamacpp": {
        "add_special_tokens": "llama.cpp adds BOS as the model says.",
        "echo": "llama.cpp gives no prompt back.",
        "mm_processor_kwargs": "llama.cpp scales pictures as it was started.",
        "prompt_logprobs": "llama.cpp tells probabilities of generated tokens alone.",
    },
    "sglang": {
        "add_special_tokens": "SGLang adds BOS as the tokenizer says.",
        "mm_processor_kwargs": "SGLang scales pictures as it was started.",
        "prompt_logprobs": "SGLang tells the prompt's probabilities with echo.",
    },
}
_RENAMED = {"llamacpp": {"repetition_penalty": "repeat_penalty"}}

# What a request can do without; the text, the model and the number of tokens it cannot.
_OPTIONAL = (
    "add_special_tokens", "echo", "frequency_penalty", "logprobs", "min_p", "mm_processor_kwargs", "n",
    "presence_penalty", "prompt_logprobs", "repetition_penalty", "response_format", "seed", "top_k", "top_logprobs",
    "top_p",
)  # fmt: skip
_DENIED = re.compile(
    r"unknown|unrecogni[sz]ed|unsupported|unexpected|not (yet )?(support|implement|permit|allow|offer)"
    r"|extra.(input|field)"
    r"|does not (support|accept|take)|only no echo|only one completion|cannot be greater than the number of slots"
    r"|not available|disabled",
    re.IGNORECASE,
)
_ONE_ONLY = re.compile(
    r"[`'\"]n[`'\"]|\bn_(cmpl|choices)\b|completion choice|(argument|parameter|field)s?[^.]{0,12}: n\b"
)

_refused: dict[tuple[str, str | None, str], _Known] = {}
_kinds: dict[tuple[str, str | None, str], str] = {}


def refused(endpoint: Endpoint, model: str) -> _Known:
    """The options that `model` at `endpoint` does not offer, each with a sentence; what is put in is remembered."""
    return _refused.setdefault(_key(endpoint, model), {})


def introduce(endpoint: Endpoint, model: str, owner: str | None) -> None:
    """Note what kind of server it is, by the `owned_by` of its list of models."""
    kind = re.sub(r"[^a-z]", "", (owner or "").lower())
    _kinds[_key(endpoint, model)] = kind
    known = refused(endpoint, model)
    for option, why in _UNOFFERED.get(kind, {}).items():
        known.setdefault(option, why)


def spelled(body: dict[str, Any], endpoint: Endpoint, model: str) -> tuple[dict[str, Any], list[str]]:
    """`body` in the server's own names and without what it does not offer, and which options were left out."""
    known = refused(endpoint, model)
    left_out = [option for option in _OPTIONAL if option in known and body.get(option) is not None]
    gone = {*left_out, "top_logprobs"} if "logprobs" in left_out else set(left_out)
    renamed = _RENAMED.get(_kinds.get(_key(endpoint, model), ""), {})
    return {renamed.get(name, name): value for name, value in body.items() if name not in gone}, left_out


def lesson(status: int, said: str, sent: dict[str, Any]) -> str | None:
    """The option of the request `sent` that a refusal (`status`, its text `said`) turns down as a whole, or None.

    A refusal of a value (a temperature below zero) is none of the option.
    """
    if status not in (400, 404, 422, 500, 501) or not _DENIED.search(said):
        return None
    if sent.get("n", 1) > 1 and _ONE_ONLY.search(said):
        return "n"
    for option in sorted(_OPTIONAL, key=len, reverse=True):
        if option != "n" and sent.get(option) is not None and re.search(rf"(?<![a-z_]){option}(?![a-z_])", said, re.I):
            return option
    return None


def _key(endpoint: Endpoint, model: str) -> tuple[str, str | None, str]:
    return endpoint.base_url, endpoint.socket, model
