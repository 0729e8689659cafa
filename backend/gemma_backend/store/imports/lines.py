"""JSON Lines in the chat fine-tuning form, which is also what is exported here: an object with `messages` on a line."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator
from typing import Any

from gemma_backend.store.imports.found import Found, content_origin, row_of_turns
from gemma_backend.types import Part, Role, TextPart

_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}

Medium = Callable[[bytes, str], Part | None]
"""Makes a part of an encoded picture or clip and a name; None where it cannot be used."""


def read(data: bytes, created: float, medium: Medium) -> Iterator[Found | str]:
    """Every conversation, or a sentence for a line that is none."""
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            messages = json.loads(line)["messages"]
            said = [(_ROLES[message["role"]], _parts(message["content"], medium)) for message in messages]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            yield f"Line {number} is no conversation with messages of user and assistant."
            continue
        nodes = row_of_turns(said, created)
        if nodes:
            yield Found("", content_origin("lines", said), nodes, nodes[-1].id, created, created)


def _parts(content: Any, medium: Medium) -> list[Part]:
    if content is None:
        return []
    if isinstance(content, str):
        return [TextPart(content)] if content else []
    parts: list[Part] = []
    for one in content:
        if one["type"] == "text":
            parts.append(TextPart(one["text"]))
            continue
        if one["type"] == "image_url":
            encoded = str(one["image_url"]["url"]).partition("base64,")[2]
        else:
            encoded = str(one["input_audio"]["data"])
        try:
            part = medium(base64.b64decode(encoded, validate=True), one["type"].partition("_")[0])
        except binascii.Error:
            part = None
        parts.append(part if part is not None else TextPart("[a picture or clip that cannot be used]"))
    return parts
