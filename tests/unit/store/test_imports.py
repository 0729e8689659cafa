"""Exports of other programs: what is taken of them, and a sentence for what is none."""

from __future__ import annotations

import base64
import io
import json
import shutil
import sqlite3
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from gemma_backend.store.history import History
from gemma_backend.store.imports.found import Found
from gemma_backend.store.imports.sources import conversations
from gemma_backend.store.query import Query
from gemma_backend.types import AudioPart, BadInput, ImagePart, Node

FIXTURES = Path(__file__).parents[2] / "fixtures" / "imports" / "chatgpt"


def png(width: int = 20, height: int = 10) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """A ChatGPT export as a folder, with one of its two pictures."""
    folder = tmp_path / "export"
    folder.mkdir()
    shutil.copy(FIXTURES / "conversations.json", folder)
    (folder / "file-AbC123-my shapes.png").write_bytes(png())
    return folder


def read(path: Path) -> tuple[list[Found], list[str]]:
    found = list(conversations(path))
    return [one for one in found if isinstance(one, Found)], [one for one in found if isinstance(one, str)]


def said(nodes: tuple[Node, ...]) -> list[tuple[str, str]]:
    return [(node.role, node.text) for node in nodes]


def test_a_chatgpt_export_keeps_its_branches(export: Path) -> None:
    (shapes, old), wrong = read(export)
    assert wrong == ["Conversation 4 cannot be read (Expected `object`, got `int` - at `$.mapping`)."]
    assert (shapes.title, shapes.model, shapes.created, shapes.updated) == (
        "Shapes in a picture", "gpt-5", 1761990000.5, 1761993600.25,
    )  # fmt: skip
    nodes = {node.text: node for node in shapes.nodes}
    first, asked = nodes["Which shapes are there?"], shapes.nodes[2]
    assert first.parent is asked.parent is None
    assert nodes["Please add the picture."].parent == first.id
    assert nodes["Please add the picture."].model == "gpt-4o"
    # What stood around the tool's call is one reply, with what was thought before it.
    reply = nodes["A square.\n\nIt has four sides."]
    assert (reply.parent, reply.reasoning, reply.model) == (asked.id, "I see a square.", "gpt-5-thinking")
    assert shapes.leaf == reply.id
    assert "secret" not in str(shapes.nodes)
    picture = asked.parts[0]
    assert isinstance(picture, ImagePart)
    assert (picture.name, picture.width) == ("my shapes.png", 20)
    assert "[file_0000gone, which is not in the export]" in asked.text
    assert shapes.notes == ("file_0000gone is not in the export",)
    assert said(old.nodes) == [("user", "Hello"), ("assistant", "Hi \nthere")]
    assert old.leaf == old.nodes[1].id


def test_the_zip_file_gives_the_same(export: Path, tmp_path: Path) -> None:
    archive = tmp_path / "export.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in export.iterdir():
            packed.write(file, f"inner/{file.name}")
    from_zip, from_folder = read(archive)[0], read(export)[0]
    assert [said(one.nodes) for one in from_zip] == [said(one.nodes) for one in from_folder]
    assert from_zip[0].nodes[2].parts[0] == from_folder[0].nodes[2].parts[0]


def test_an_export_in_several_files_is_read_whole(export: Path) -> None:
    everything = json.loads((export / "conversations.json").read_text())
    (export / "conversations.json").unlink()
    (export / "conversations-000.json").write_text(json.dumps(everything[:1]))
    (export / "conversations-001.json").write_text(json.dumps(everything[1:2]))
    assert len(read(export)[0]) == 2


def test_what_was_taken_once_is_not_taken_twice(history: History, export: Path) -> None:
    for expected in ([True, True], [False, False]):
        assert [history.take(found).result() for found in read(export)[0]] == expected
    summary = history.search(Query())[0].summary
    stored = history.load(summary.id)
    assert (summary.title, summary.images, summary.profile) == ("Shapes in a picture", 1, "chatgpt")
    assert stored.summary.updated == 1761993600.25
    assert [node.text for node in stored.nodes if node.id == stored.leaf] == ["A square.\n\nIt has four sides."]


@pytest.fixture
def oterm(tmp_path: Path) -> Path:
    """oterm's database as its version 0.26 makes it."""
    path = tmp_path / "store.db"
    connection = sqlite3.connect(path)
    connection.executescript(
        """
        CREATE TABLE "chat" ("id" INTEGER PRIMARY KEY AUTOINCREMENT, "name" TEXT, "model" TEXT NOT NULL, "system" TEXT,
            "provider" TEXT DEFAULT "ollama", "parameters" TEXT DEFAULT "{}", "tools" TEXT DEFAULT "[]",
            "thinking" BOOLEAN DEFAULT 0);
        CREATE TABLE "message" ("id" INTEGER PRIMARY KEY AUTOINCREMENT, "chat_id" INTEGER NOT NULL,
            "author" TEXT NOT NULL, "text" TEXT NOT NULL, "images" TEXT DEFAULT "[]");
        INSERT INTO chat (name, model, system) VALUES ('Red', 'llava', 'Be brief.'), ('Nothing', 'x', 'Only this.');
        """
    )
    images = json.dumps([base64.b64encode(png()).decode()])
    rows = [(1, "user", "What colour?", images), (1, "assistant", "Red.", "[]"), (1, "tool", "call", "[]"),
            (1, "user", "Sure?", "[]"), (1, "assistant", "Yes.", "[]")]  # fmt: skip
    connection.executemany("INSERT INTO message (chat_id, author, text, images) VALUES (?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()
    return path


def test_oterms_database(oterm: Path) -> None:
    before = oterm.read_bytes()
    (chat,), wrong = read(oterm)
    assert wrong == []
    assert (chat.title, chat.model) == ("Red", "llava")
    assert [text for _, text in said(chat.nodes)] == ["Be brief.", "What colour?", "Red.", "Sure?", "Yes."]
    assert [role for role, _ in said(chat.nodes)] == ["system", *["user", "assistant"] * 2]
    assert [node.parent for node in chat.nodes[1:]] == [node.id for node in chat.nodes[:-1]]
    assert isinstance(chat.nodes[1].parts[0], ImagePart)
    assert oterm.read_bytes() == before


def test_oterms_first_database(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            """
            CREATE TABLE "chat" ("id" INTEGER, "name" TEXT, "model" TEXT NOT NULL, "context" TEXT NOT NULL,
                "template" TEXT, "system" TEXT, "format" TEXT, PRIMARY KEY("id" AUTOINCREMENT));
            CREATE TABLE "message" ("id" INTEGER, "chat_id" INTEGER NOT NULL, "author" TEXT NOT NULL,
                "text" TEXT NOT NULL, PRIMARY KEY("id" AUTOINCREMENT));
            INSERT INTO chat (name, model, context) VALUES ('Old', 'llama2', '[]');
            INSERT INTO message (chat_id, author, text) VALUES (1, 'me', 'Hi'), (1, 'ollama', 'Hello.');
            """
        )
    connection.close()
    assert said(read(path)[0][0].nodes) == [("user", "Hi"), ("assistant", "Hello.")]


def test_json_lines(tmp_path: Path, export: Path) -> None:
    url = f"data:image/png;base64,{base64.b64encode(png()).decode()}"
    with_picture = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "What?"}]
    file = tmp_path / "set.jsonl"
    lines = [
        json.dumps({"messages": [{"role": "user", "content": with_picture}, {"role": "assistant", "content": "Red."}]}),
        "",
        '{"messages": [{"role": "nobody", "content": "x"}]}',
        '{"prompt": "x"}',
        "{",
    ]
    file.write_text("\n".join(lines))
    (found,), wrong = read(file)
    assert said(found.nodes) == [("user", "What?"), ("assistant", "Red.")]
    assert isinstance(found.nodes[0].parts[0], ImagePart)
    assert [sentence.split(" is ")[0] for sentence in wrong] == ["Line 3", "Line 4", "Line 5"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no export that is known here"),
        (b"\x89PNG\r\n\x1a\n", "no export that is known here"),
        (b"[1, 2", "no ChatGPT export"),
        (b"PK\x03\x04 and nothing", "damaged or encrypted"),
        (b"SQLite format 3\x00 and nothing", "no database of oterm's"),
    ],
)
def test_what_is_no_export_is_told(tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(BadInput, match=says):
        read(file)
    with pytest.raises(BadInput, match="There is no file"):
        read(tmp_path / "nothing")
    with pytest.raises(BadInput, match=r"no conversations\.json"):
        read(tmp_path)


def test_another_database_is_told(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE other (id)")
    connection.close()
    with pytest.raises(BadInput, match="no such table: chat"):
        read(path)


def test_a_clip_in_json_lines(tmp_path: Path) -> None:
    from gemma_assets import path as asset

    data = base64.b64encode(asset("samples", "words.wav").read_bytes()).decode()
    content = [{"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}, {"type": "text", "text": "?"}]
    file = tmp_path / "set.jsonl"
    file.write_text(json.dumps({"messages": [{"role": "user", "content": content}]}))
    clip = read(file)[0][0].nodes[0].parts[0]
    assert isinstance(clip, AudioPart)
    assert 3 < clip.seconds < 4
