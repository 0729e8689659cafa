"""What is learned from a refusal, in the words that servers use."""

from __future__ import annotations

import pytest

from gemma_backend.chat.quirks import Quirk, adapted, lesson
from gemma_backend.chat.request import chat_body, raw_body
from gemma_backend.types import Sampling, TextPart, Turn

CHAT = chat_body([Turn("user", (TextPart("hi"),))], Sampling(max_tokens=5), "m")
RAW = raw_body([TextPart("hi")], Sampling(), "m", template="{{ messages }}")


@pytest.mark.parametrize(
    ("status", "body", "learned"),
    [
        (
            400,
            "As of transformers v4.44, default chat template is no longer allowed, so you must provide a chat "
            "template if the tokenizer does not define one.",
            "no-template",
        ),
        (400, "Cannot use chat template functions because tokenizer.chat_template is not set", "no-template"),
        (422, "Template error: template not found", "no-template"),
        (400, 'registry/base "gpt2" does not support chat', "no-template"),
        (400, "Conversation roles must alternate user/assistant/user/assistant/...", None),
        (400, "This model's chat template does not support system messages", None),
        (400, "Unknown parameter: 'stream_options.continuous_usage_stats'.", "no-continuous-usage"),
        (422, '{"detail":[{"loc":["body","stream_options"],"msg":"Extra inputs"}]}', "no-continuous-usage"),
        (400, "Use 'max_completion_tokens' instead.", "max-completion-tokens"),
        (400, "At most 1 image(s) may be provided in one prompt.", None),
        (401, "default chat template is no longer allowed", None),
        (503, "stream_options", None),
    ],
)
def test_refusals_of_a_chat(status: int, body: str, learned: Quirk | None) -> None:
    assert lesson(status, body, CHAT) == learned


def test_the_second_refusal_of_counting_leaves_it_out_altogether() -> None:
    once = adapted(CHAT, {"no-continuous-usage"})
    assert once["stream_options"] == {"include_usage": True}
    assert lesson(400, "stream_options is unknown", once) == "no-usage"
    twice = adapted(CHAT, {"no-continuous-usage", "no-usage"})
    assert "stream_options" not in twice
    assert lesson(400, "stream_options is unknown", twice) is None


def test_a_template_in_a_request_may_be_refused() -> None:
    refusal = "Chat template is passed with request, but --trust-request-chat-template is not set."
    assert lesson(400, refusal, RAW) == "no-request-template"
    assert lesson(400, refusal, CHAT) is None


def test_the_given_body_stays_as_it_is() -> None:
    before = dict(CHAT)
    renamed = adapted(CHAT, {"max-completion-tokens", "no-usage"})
    assert renamed["max_completion_tokens"] == 5
    assert "max_tokens" not in renamed
    assert before == CHAT
