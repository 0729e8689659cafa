"""Tokens with their probabilities, in each form that servers send them; pure functions on decoded JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from gemma_backend.types import Candidate, Token

# vLLM writes this for minus infinity, which JSON has no word for (entrypoints/openai/completion/serving.py).
IMPOSSIBLE = -9999.0
_SURROGATE = re.compile("[\ud800-\udfff]")


def reply_tokens(logprobs: Any) -> tuple[Token, ...]:
    """The tokens of a choice's `logprobs`; empty where there are none or they are not understood.

    OpenAI's form for completions (vLLM, SGLang) has parallel lists, that for chat (also llama.cpp's for completions)
    a list `content` with one object for each token.
    """
    if not isinstance(logprobs, dict):
        return ()
    content = logprobs.get("content")
    if isinstance(content, list):
        return tuple(token for entry in content if (token := _chat_token(entry)) is not None)
    texts, values = logprobs.get("tokens"), logprobs.get("token_logprobs")
    if not isinstance(texts, list) or not isinstance(values, list) or len(texts) != len(values):
        return ()
    tops = logprobs.get("top_logprobs")
    tops = tops if isinstance(tops, list) and len(tops) == len(texts) else [None] * len(texts)
    found = []
    for text, value, top in zip(texts, values, tops, strict=True):
        if not isinstance(text, str):
            return ()
        found.append(_token(_whole(text), _number(value), _pairs(top)))
    return tuple(found)


def prompt_tokens(prompt_logprobs: Any) -> tuple[Token, ...]:
    """The tokens of vLLM's `prompt_logprobs`, one dictionary by token id for each; the first has no text and no number.

    Empty where it is not of that form.
    """
    if not isinstance(prompt_logprobs, list):
        return ()
    found = []
    for entry in prompt_logprobs:
        if entry is None:
            found.append(Token("", None))
            continue
        if not isinstance(entry, dict) or not entry:
            return ()
        # vLLM puts the token that stands there first, whatever its rank (v1/engine/logprobs.py).
        own = next(iter(entry.values()))
        pairs = [pair for one in entry.values() if (pair := _decoded(one)) is not None]
        if not pairs or not isinstance(own, dict):
            return ()
        rank = own.get("rank")
        found.append(_token(*pairs[0], pairs, rank if type(rank) is int and rank > 0 else None))
    return tuple(found)


def _chat_token(entry: Any) -> Token | None:
    if not isinstance(entry, dict):
        return None
    text = _spelled(entry)
    if text is None:
        return None
    tops = entry.get("top_logprobs")
    pairs = [
        (spelled, number)
        for one in (tops if isinstance(tops, list) else ())
        if isinstance(one, dict)
        and (spelled := _spelled(one)) is not None
        and (number := _number(one.get("logprob"))) is not None
    ]
    return _token(text, _number(entry.get("logprob")), pairs)


def _spelled(entry: dict[str, Any]) -> str | None:
    """The token's text; from its bytes, where they are told and the text is not the whole of it."""
    text = entry.get("token")
    if not isinstance(text, str):
        return None
    octets = entry.get("bytes")
    if "\ufffd" in text and isinstance(octets, list):
        try:
            return bytes(octets).decode("utf-8")
        except (ValueError, TypeError):
            return _whole(text)
    return _whole(text)


def _pairs(top: Any) -> Sequence[tuple[str, float]]:
    if not isinstance(top, dict):
        return ()
    return [(_whole(text), number) for text, value in top.items() if (number := _number(value)) is not None]


def _decoded(entry: Any) -> tuple[str, float] | None:
    if not isinstance(entry, dict):
        return None
    text, number = entry.get("decoded_token"), _number(entry.get("logprob"))
    return (_whole(text) if isinstance(text, str) else "", number) if number is not None else None


def _token(text: str, logprob: float | None, pairs: Sequence[tuple[str, float]], rank: int | None = None) -> Token:
    candidates = [Candidate(*pair) for pair in pairs]
    if candidates and logprob is not None and all(candidate.text != text for candidate in candidates):
        candidates.append(Candidate(text, logprob))
    candidates.sort(key=lambda candidate: -candidate.logprob)
    return Token(text, logprob, tuple(candidates), rank)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    # Rounding can lift a certainty a little above zero.
    return float(min(0.0, max(IMPOSSIBLE, value)))


def _whole(text: str) -> str:
    # Half of a surrogate pair is no text that could be sent back.
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)
