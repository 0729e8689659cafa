"""oterm's database `store.db`, of version 0.1 to 0.26: tables `chat` and `message`, pictures as base64 in JSON."""

from __future__ import annotations

import base64
import binascii
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from gemma_backend.store.imports.found import Found, content_origin, row_of_turns
from gemma_backend.types import BadInput, Part, Role, TextPart

# "me" and "ollama" were its words for the two until 0.2.
_ROLES: dict[str, Role] = {
    "me": "user", "user": "user", "ollama": "assistant", "assistant": "assistant", "system": "system",
}  # fmt: skip
MAGIC = b"SQLite format 3\x00"

Picture = Callable[[bytes, str], Part | None]
"""Makes a part of an encoded picture and a name; None where it cannot be used."""


def read(path: Path, picture: Picture) -> Iterator[Found | str]:
    """Every chat of the database; raises BadInput where it is none of oterm's. The file is only read."""
    created = path.stat().st_mtime
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            chats = connection.execute("SELECT * FROM chat ORDER BY id").fetchall()
            for chat in chats:
                messages = connection.execute("SELECT * FROM message WHERE chat_id = ? ORDER BY id", (chat["id"],))
                found = _found(dict(chat), [dict(row) for row in messages], created, picture)
                if found is not None:
                    yield found
    except (sqlite3.Error, KeyError) as error:
        raise BadInput(f"{path.name} is no database of oterm's ({error}).") from None


def _found(
    chat: dict[str, object], messages: list[dict[str, object]], created: float, picture: Picture
) -> Found | None:
    said: list[tuple[Role, list[Part]]] = []
    notes: list[str] = []
    if isinstance(system := chat.get("system"), str) and system.strip():
        said.append(("system", [TextPart(system)]))
    for message in messages:
        role = _ROLES.get(str(message["author"]))
        if role is None:
            continue
        parts: list[Part] = []
        for number, encoded in enumerate(_images(message.get("images")), 1):
            part = picture(encoded, f"picture {number}")
            if part is None:
                notes.append("a picture cannot be used")
            else:
                parts.append(part)
        if text := str(message["text"] or ""):
            parts.append(TextPart(text))
        said.append((role, parts))
    if not any(role != "system" for role, _ in said):
        return None
    nodes = row_of_turns(said, created, str(chat.get("model") or ""))
    return Found(
        title=str(chat.get("name") or ""),
        origin=content_origin("oterm", said),
        nodes=nodes,
        leaf=nodes[-1].id,
        created=created,
        updated=created,
        model=str(chat.get("model") or ""),
        notes=tuple(notes),
    )


def _images(value: object) -> list[bytes]:
    try:
        listed = json.loads(value) if isinstance(value, str) and value else []
    except json.JSONDecodeError:
        return []
    images = []
    for one in listed if isinstance(listed, list) else []:
        try:
            images.append(base64.b64decode(str(one).partition("base64,")[2] or str(one), validate=True))
        except binascii.Error:
            images.append(b"")
    return images
