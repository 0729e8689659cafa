"""ChatGPT's export: `conversations.json`, alone or in its folder or ZIP file, with the pictures and clips beside it.

The form is not documented by OpenAI; what is read here was seen in exports of 2023 to 2026. A conversation is a tree of
messages (`mapping`), its leaf `current_node`. Calls of tools and what they gave, hidden messages and system messages
without text are left out, and what follows them is joined to what came before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gemma_backend.store.imports.found import Found, turn_id
from gemma_backend.types import BadInput, Node, Part, Role, TextPart

FILES = re.compile(r"conversations(-\d+)?\.json")
_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
POINTER = re.compile(r"file[-_][A-Za-z0-9]+")
# What the model or the interface says to itself.
_SKIPPED = {
    "user_editable_context", "model_editable_context", "reasoning_recap", "tether_browsing_display", "system_error",
    "execution_output", "app_pairing_content", "computer_output",
}  # fmt: skip

Asset = Callable[[str, str], Part | None]
"""Reads the picture or clip of a file id (`file-...`) and a name from the export; None where it is not in it."""


class _Author(msgspec.Struct):
    role: str = ""


class _Message(msgspec.Struct):
    author: _Author = msgspec.field(default_factory=_Author)
    create_time: float | None = None
    content: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    recipient: str | None = None


class _Entry(msgspec.Struct):
    message: _Message | None = None
    parent: str | None = None
    children: list[str] = []


class _Conversation(msgspec.Struct):
    mapping: dict[str, _Entry]
    title: str | None = None
    id: str | None = None
    conversation_id: str | None = None
    create_time: float | None = None
    update_time: float | None = None
    current_node: str | None = None
    default_model_slug: str | None = None


@dataclass(slots=True)
class _Draft:
    """A turn that is being put together; `key` is the message's own."""

    key: str
    parent: str | None
    role: Role
    parts: list[Part]
    created: float
    model: str = ""
    reasoning: str = ""
    children: list[str] = field(default_factory=list)


def read(data: bytes, asset: Asset = lambda id, name: None) -> Iterator[Found | str]:
    """Every conversation of a `conversations.json`, or a sentence for one that cannot be read.

    Raises BadInput where it is no such file.
    """
    try:
        raw = msgspec.json.decode(data, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadInput(f"This is no ChatGPT export: {error or 'its lists are nested too deeply'}.") from None
    for number, one in enumerate(raw, 1):
        try:
            found = _found(msgspec.json.decode(one, type=_Conversation), asset)
        except (msgspec.DecodeError, RecursionError) as error:
            yield f"Conversation {number} cannot be read ({error})."
        else:
            if found is not None:
                yield found


def _found(source: _Conversation, asset: Asset) -> Found | None:
    notes: list[str] = []
    drafts = _drafts(source, asset, notes)
    if not drafts:
        return None
    _join_neighbours(drafts)
    begun = min(draft.created for draft in drafts.values())
    ids = {key: turn_id(draft.created) for key, draft in drafts.items()}
    nodes = tuple(
        Node(
            ids[key],
            ids[draft.parent] if draft.parent is not None else None,
            draft.role,
            tuple(draft.parts),
            reasoning=draft.reasoning,
            model=draft.model,
            created=draft.created,
        )
        for key, draft in drafts.items()
    )
    leaf = _kept(source, source.current_node, drafts)
    model = source.default_model_slug or next((draft.model for draft in drafts.values() if draft.model), "")
    return Found(
        title=source.title or "",
        origin=f"chatgpt:{source.conversation_id or source.id or nodes[0].id}",
        nodes=nodes,
        leaf=ids[leaf] if leaf is not None else None,
        created=source.create_time or begun,
        updated=source.update_time or max(draft.created for draft in drafts.values()),
        model=model,
        notes=tuple(notes),
    )


def _drafts(source: _Conversation, asset: Asset, notes: list[str]) -> dict[str, _Draft]:
    """The messages that are kept, parents first, each below the nearest one before it that is kept."""
    drafts: dict[str, _Draft] = {}
    keeper: dict[str, str | None] = {}
    thoughts: dict[str | None, str] = {}
    for key in _in_order(source):
        entry = source.mapping[key]
        parent = keeper.get(entry.parent or "")
        keeper[key] = parent
        message = entry.message
        if message is None or message.content is None:
            continue
        if message.content.get("content_type") == "thoughts":
            thoughts[parent] = _thoughts(message.content)
            continue
        parts = _parts(message, asset, notes)
        role = _ROLES.get(message.author.role)
        if role is None or not parts:
            continue
        created = message.create_time or (drafts[parent].created + 0.001 if parent else source.create_time or 0.0)
        metadata = message.metadata or {}
        drafts[key] = _Draft(
            key,
            parent,
            role,
            parts,
            created,
            str(metadata.get("model_slug") or "") if role == "assistant" else "",
            thoughts.pop(parent, "") if role == "assistant" else "",
        )
        if parent is not None:
            drafts[parent].children.append(key)
        keeper[key] = key
    return drafts


def _in_order(source: _Conversation) -> list[str]:
    """All messages, each after its parent; one whose parent is missing begins a branch of its own."""
    children: dict[str | None, list[str]] = {}
    for key, entry in source.mapping.items():
        parent = entry.parent if entry.parent in source.mapping and entry.parent != key else None
        children.setdefault(parent, []).append(key)
    ordered: list[str] = []
    waiting = list(reversed(children.get(None, [])))
    while waiting:
        key = waiting.pop()
        ordered.append(key)
        waiting.extend(reversed(children.get(key, [])))
    return ordered


def _join_neighbours(drafts: dict[str, _Draft]) -> None:
    """A reply in several messages, as around a tool's call, becomes one turn, unless it branches there."""
    for key, draft in list(drafts.items()):
        before = drafts.get(draft.parent or "")
        if before is None or before.role != draft.role or draft.role != "assistant" or len(before.children) != 1:
            continue
        before.parts = [*before.parts, TextPart("\n\n"), *draft.parts]
        before.reasoning = "\n\n".join(filter(None, (before.reasoning, draft.reasoning)))
        before.children = draft.children
        for child in draft.children:
            drafts[child].parent = before.key
        del drafts[key]


def _kept(source: _Conversation, key: str | None, drafts: dict[str, _Draft]) -> str | None:
    """The nearest message at or before `key` that is a turn now; else the last of all."""
    seen: set[str] = set()
    while key is not None and key in source.mapping and key not in seen:
        if key in drafts:
            return key
        seen.add(key)
        key = source.mapping[key].parent
    return next(reversed(drafts), None)


def _parts(message: _Message, asset: Asset, notes: list[str]) -> list[Part]:
    content, metadata = message.content or {}, message.metadata or {}
    kind = content.get("content_type", "text")
    if kind in _SKIPPED or metadata.get("is_visually_hidden_from_conversation"):
        return []
    if message.recipient not in (None, "all"):
        return []
    if kind == "code":
        text = content.get("text") or ""
        return [TextPart(f"```{_language(content)}\n{text}\n```")] if text else []
    if isinstance(content.get("parts"), list):
        names = _names(metadata)
        return _tidy([part for piece in content["parts"] for part in _piece(piece, asset, names, notes)])
    text = content.get("text") or content.get("result") or ""
    return [TextPart(text)] if isinstance(text, str) and text.strip() else []


def _piece(piece: object, asset: Asset, names: dict[str, str], notes: list[str]) -> list[Part]:
    if isinstance(piece, str):
        return [TextPart(piece)] if piece else []
    if not isinstance(piece, dict):
        return []
    if isinstance(piece.get("text"), str):
        return [TextPart(piece["text"])]
    # A spoken message holds its clip one level deeper.
    inner = piece.get("audio_asset_pointer")
    pointer = str((inner if isinstance(inner, dict) else piece).get("asset_pointer") or "")
    # file-service://file-..., sediment://file_...
    match = POINTER.match(pointer.rpartition("//")[2])
    if match is None:
        return []
    part = asset(match[0], names.get(match[0], ""))
    if part is None:
        name = names.get(match[0]) or match[0]
        notes.append(f"{name} is not in the export")
        return [TextPart(f"[{name}, which is not in the export]")]
    return [part]


def _tidy(parts: Sequence[Part]) -> list[Part]:
    """Media first, as a message here has them, then all its text."""
    text = "\n".join(part.text for part in parts if isinstance(part, TextPart)).strip("\n")
    media: list[Part] = [part for part in parts if not isinstance(part, TextPart)]
    return [*media, TextPart(text)] if text.strip() else media


def _names(metadata: dict[str, Any]) -> dict[str, str]:
    attachments = metadata.get("attachments")
    if not isinstance(attachments, list):
        return {}
    return {
        str(one["id"]): str(one["name"])
        for one in attachments
        if isinstance(one, dict) and one.get("id") and one.get("name")
    }


def _thoughts(content: dict[str, Any]) -> str:
    said = content.get("thoughts")
    if not isinstance(said, list):
        return ""
    return "\n\n".join(str(one.get("content") or one.get("summary") or "") for one in said if isinstance(one, dict))


def _language(content: dict[str, Any]) -> str:
    language = str(content.get("language") or "")
    return language if re.fullmatch(r"[a-z0-9+#-]{1,20}", language) and language != "unknown" else ""
