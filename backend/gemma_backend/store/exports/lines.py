"""Conversations as JSON Lines, in the form that chat models are fine-tuned on: one object with `messages` on a line."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any

from gemma_backend.types import AudioPart, ImagePart, MediaRef, Node, Part, TextPart

Load = Callable[[Part | MediaRef], Part]


def to_line(turns: Sequence[Node], load: Load) -> str | None:
    """One line for a branch, ending with a newline; None where no reply is left to learn from.

    Turns after the last whole reply are left out, and so are questions without one: what was broken off or stopped is
    no example. Pictures and clips are in it, as OpenAI's chat API takes them.
    """
    messages: list[dict[str, Any]] = []
    replies = 0
    kept = 0
    for node in turns:
        if node.role == "assistant":
            if node.state != "done" or not node.text.strip():
                break
            replies += 1
        messages.append({"role": node.role, "content": _content(node, load)})
        kept = len(messages) if node.role == "assistant" else kept
    if not replies:
        return None
    return json.dumps({"messages": messages[:kept]}, ensure_ascii=False) + "\n"


def _content(node: Node, load: Load) -> str | list[dict[str, Any]]:
    if all(isinstance(part, TextPart) for part in node.parts):
        return node.text
    return [_part(load(part)) for part in node.parts]


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    data = base64.b64encode(part.data).decode("ascii")
    if isinstance(part, ImagePart):
        return {"type": "image_url", "image_url": {"url": f"data:{part.mime};base64,{data}"}}
    assert isinstance(part, AudioPart)
    return {"type": "input_audio", "input_audio": {"data": data, "format": part.format}}
