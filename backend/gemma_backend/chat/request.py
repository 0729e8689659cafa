"""From turns and sampling to request bodies and to a transcript; pure functions on values."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from typing import Any

from gemma_backend.types import AudioPart, ImagePart, Options, Part, Sampling, TextPart, Turn

IMAGE_PLACEHOLDER = "<|image|>"
AUDIO_PLACEHOLDER = "<|audio|>"
EOS = "<eos>"
BOS = "<bos>"
# A base model goes on with the other side's turn; the transcript's next heading ends its reply.
TRANSCRIPT_STOP = "\nUser:"
# vLLM ends a completion after 16 tokens unless told otherwise (entrypoints/openai/completion/protocol.py).
COMPLETION_TOKENS = 512
PLAIN = Options()

_BASE_MODEL = re.compile(r"gemma-tui/|gemma-4-", re.IGNORECASE)
_INSTRUCTED = re.compile(r"(^|[-_./])(it|instruct|chat)($|[-_./])", re.IGNORECASE)


def chat_body(
    turns: Sequence[Turn],
    sampling: Sampling,
    model: str,
    *,
    stream: bool = True,
    base: bool | None = None,
    options: Options = PLAIN,
    go_on: bool = False,
) -> dict[str, Any]:
    """Body for `/v1/chat/completions`; a `base` model (by default told by its name) also stops at the next "User:".

    With `go_on` the last turn is a reply, and the model writes more of it instead of another one (vLLM's
    ChatCompletionRequest: `continue_final_message` excludes `add_generation_prompt`).
    """
    stop = sampling.stop
    if is_base_model(model) if base is None else base:
        stop = with_transcript_stop(stop)
    return {
        "model": model,
        "messages": [{"role": turn.role, "content": _content(turn.parts)} for turn in spoken(turns)],
        **({"add_generation_prompt": False, "continue_final_message": True} if go_on else {}),
        **_sampled(sampling, stop, sampling.max_tokens),
        **_chat_options(options),
        **_budget(part for turn in spoken(turns) for part in turn.parts),
        **_streamed(stream),
    }


def raw_body(
    parts: Sequence[Part],
    sampling: Sampling,
    model: str,
    *,
    template: str | None,
    stream: bool = True,
    options: Options = PLAIN,
) -> dict[str, Any]:
    """Body for `/v1/chat/completions` that continues `parts` as they stand, pictures and clips among the text.

    `template` is the text of the raw template for a server that takes one with a request; None asks for the raw form
    of the transcript template that our own engines were started with.
    """
    choice: dict[str, Any] = {"chat_template": template} if template else {"chat_template_kwargs": {"raw": True}}
    if not options.add_special_tokens:
        choice["chat_template_kwargs"] = choice.get("chat_template_kwargs", {}) | {"bos": False}
    return {
        "model": model,
        "messages": [{"role": "user", "content": [_encoded(part) for part in parts]}],
        "add_generation_prompt": False,
        **choice,
        **_sampled(sampling, sampling.stop, sampling.max_tokens or COMPLETION_TOKENS),
        **_chat_options(options),
        **_budget(parts),
        **_streamed(stream),
    }


def completion_body(
    prompt: str, sampling: Sampling, model: str, *, stream: bool = True, options: Options = PLAIN
) -> dict[str, Any]:
    """Body for `/v1/completions`: `prompt` as it is, byte for byte."""
    return {
        "model": model,
        "prompt": prompt,
        **_sampled(sampling, sampling.stop, sampling.max_tokens or COMPLETION_TOKENS),
        **_completion_options(options),
        **_streamed(stream),
    }


def transcript_prompt(turns: Sequence[Turn], eos: str = EOS, *, go_on: bool = False) -> str:
    """The text that `templates/transcript.jinja` renders, without BOS, which `/v1/completions` adds itself.

    With `go_on` it ends in the last turn, a reply, instead of where the next one begins.
    """
    pieces = []
    for turn in spoken(turns):
        said = "".join(_transcribed(part) for part in turn.parts).strip()
        if turn.role == "system":
            pieces.append(f"{said}\n\n")
        elif turn.role == "assistant":
            pieces.append(f"Assistant: {said}{eos}\n")
        else:
            pieces.append(f"User: {said}\n")
    if go_on:
        return "".join(pieces).removesuffix(f"{eos}\n")
    return "".join(pieces) + "Assistant:"


def eos_of(model: str) -> str:
    """The text of the end-of-sequence token that a transcript for `model` may carry; empty where it is not known."""
    return EOS if "gemma" in model.lower() else ""


def with_transcript_stop(stop: tuple[str, ...]) -> tuple[str, ...]:
    """`stop` with the transcript's next heading, once."""
    return stop if TRANSCRIPT_STOP in stop else (*stop, TRANSCRIPT_STOP)


def is_base_model(model: str) -> bool:
    """Whether `model` is, by its name, a Gemma 4 that was not tuned to chat and so follows the transcript template."""
    return bool(_BASE_MODEL.search(model)) and not _INSTRUCTED.search(model)


def has_media(parts: Iterable[Part]) -> bool:
    """Whether a picture or a clip is among `parts`."""
    return any(not isinstance(part, TextPart) for part in parts)


def split_placeholders(prompt: str, media: Sequence[Part]) -> tuple[Part, ...]:
    """Put `media` where its placeholders stand in `prompt`, in order; what has no placeholder goes in front."""
    pieces = re.split(f"({re.escape(IMAGE_PLACEHOLDER)}|{re.escape(AUDIO_PLACEHOLDER)})", prompt)
    waiting = list(media)
    placed: list[Part] = []
    for piece in pieces:
        kind = {IMAGE_PLACEHOLDER: ImagePart, AUDIO_PLACEHOLDER: AudioPart}.get(piece)
        match = next((part for part in waiting if kind is not None and isinstance(part, kind)), None)
        if match is not None:
            waiting.remove(match)
            placed.append(match)
        elif piece:
            placed.append(TextPart(piece))
    return (*waiting, *placed)


def spoken(turns: Sequence[Turn]) -> list[Turn]:
    """The turns that a request carries: a question whose reply never began is left out with that reply.

    Of several system turns the last one holds, and it goes first, where every template looks for it.
    """
    kept: list[Turn] = []
    system: Turn | None = None
    for turn in turns:
        if turn.role == "system":
            system = turn if turn.text.strip() else None
            continue
        if turn.role == "assistant" and not turn.text.strip():
            if kept and kept[-1].role == "user" and not turn.complete:
                kept.pop()
            continue
        kept.append(turn)
    return kept if system is None else [system, *kept]


def _budget(parts: Iterable[Part]) -> dict[str, Any]:
    """The soft tokens for each picture where a person chose them: a request has one number, so the largest."""
    chosen = [part.soft_tokens for part in parts if isinstance(part, ImagePart) and part.soft_tokens is not None]
    return {"mm_processor_kwargs": {"max_soft_tokens": max(chosen)}} if chosen else {}


def _content(parts: Sequence[Part]) -> str | list[dict[str, Any]]:
    # A plain string where it is enough: some servers know no lists of parts.
    if not has_media(parts):
        return "".join(part.text for part in parts if isinstance(part, TextPart))
    return [_encoded(part) for part in parts]


def _encoded(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    data = base64.b64encode(part.data).decode("ascii")
    if isinstance(part, ImagePart):
        return {"type": "image_url", "image_url": {"url": f"data:{part.mime};base64,{data}"}}
    return {"type": "input_audio", "input_audio": {"data": data, "format": part.format}}


def _transcribed(part: Part) -> str:
    if isinstance(part, TextPart):
        return part.text
    return (IMAGE_PLACEHOLDER if isinstance(part, ImagePart) else AUDIO_PLACEHOLDER) + "\n"


def _sampled(sampling: Sampling, stop: tuple[str, ...], max_tokens: int | None) -> dict[str, Any]:
    values: dict[str, Any] = {
        "max_tokens": max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "seed": sampling.seed,
        "stop": list(stop) or None,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "repetition_penalty": sampling.repetition_penalty,
    }
    return {name: value for name, value in values.items() if value is not None}


def _completion_options(options: Options) -> dict[str, Any]:
    """What is not the default of `options`, in the words of `/v1/completions`."""
    body: dict[str, Any] = _common_options(options)
    if options.logprobs is not None:
        body["logprobs"] = options.logprobs
    if options.echo:
        body["echo"] = True
    if not options.add_special_tokens:
        body["add_special_tokens"] = False
    return body


def _chat_options(options: Options) -> dict[str, Any]:
    body = _common_options(options)
    if options.logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": options.logprobs}
    return body


def _common_options(options: Options) -> dict[str, Any]:
    body: dict[str, Any] = {"n": options.n} if options.n > 1 else {}
    if options.schema is not None:
        schema = {"name": "reply", "schema": dict(options.schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def _streamed(stream: bool) -> dict[str, Any]:
    if not stream:
        return {"stream": False}
    return {"stream": True, "stream_options": {"include_usage": True, "continuous_usage_stats": True}}
