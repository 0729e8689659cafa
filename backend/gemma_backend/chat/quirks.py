"""What a server turned out not to accept, learned from its refusals and remembered while the program runs."""

from __future__ import annotations

import re
from typing import Any, Literal

from gemma_backend.types import Endpoint

Quirk = Literal["no-template", "no-continuous-usage", "no-usage", "max-completion-tokens", "no-request-template"]

# vLLM and transformers, SGLang, TGI, Ollama. A template that only refuses a conversation is another matter.
_NO_TEMPLATE = re.compile(
    r"default chat template is no longer allowed|provide a chat.?template|chat.?template is not (set|defined)"
    r"|(no|without a|not (have|define) an?y?) chat.?template|template (was )?not found|does not support chat\b",
    re.IGNORECASE,
)
_UNTRUSTED = re.compile(r"trust.request.chat.template", re.IGNORECASE)
_remembered: dict[tuple[str, str | None, str], set[Quirk]] = {}


def known(endpoint: Endpoint, model: str) -> set[Quirk]:
    """What was learned so far about `model` at `endpoint`; what is added to the set is remembered."""
    return _remembered.setdefault((endpoint.base_url, endpoint.socket, model), set())


def lesson(status: int, body: str, sent: dict[str, Any]) -> Quirk | None:
    """What a refusal (`status`, its `body`) of the request `sent` teaches, or None where another try is no use."""
    if status not in (400, 404, 422, 500, 501):
        return None
    if _UNTRUSTED.search(body):
        return "no-request-template" if "chat_template" in sent else None
    options = sent.get("stream_options")
    if isinstance(options, dict) and re.search("stream_options|continuous_usage_stats|include_usage", body):
        return "no-continuous-usage" if "continuous_usage_stats" in options else "no-usage"
    if "max_tokens" in sent and "max_completion_tokens" in body:
        return "max-completion-tokens"
    if "messages" in sent and _NO_TEMPLATE.search(body):
        return "no-template"
    return None


def adapted(body: dict[str, Any], quirks: set[Quirk]) -> dict[str, Any]:
    """`body` without what the server does not accept."""
    body = dict(body)
    if "no-usage" in quirks:
        body.pop("stream_options", None)
    elif "no-continuous-usage" in quirks and "stream_options" in body:
        body["stream_options"] = {"include_usage": True}
    if "max-completion-tokens" in quirks and "max_tokens" in body:
        body["max_completion_tokens"] = body.pop("max_tokens")
    return body
