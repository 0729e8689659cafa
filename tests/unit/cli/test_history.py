"""`gemma-tui history`: what each of its actions prints, writes and refuses."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pexpect
import pytest

from gemma_backend.store.history import History
from gemma_backend.store.query import Query
from gemma_backend.types import Node, Part, TextPart, new_id
from gemma_tui.cli.main import main
from stubs.parts import clip, image


@dataclass
class Result:
    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATA", "STATE", "CACHE", "CONFIG", "LOG"):
        monkeypatch.setenv(f"GEMMA_TUI_{name}_DIR", str(tmp_path / name.lower()))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def once(*words: str) -> Result:
        try:
            code = main(["history", *words])
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return once


def said(*texts: str, media: tuple[Part, ...] = (), tags: tuple[str, ...] = ()) -> int:
    """A conversation of these turns in the history; its number."""
    history = History()
    place, nodes = history.place(None), list[Node]()
    for number, text in enumerate(texts):
        parts = (*media, TextPart(text)) if not number else (TextPart(text),)
        parent = nodes[-1].id if nodes else None
        nodes.append(Node(new_id(), parent, "assistant" if number % 2 else "user", parts))
    history.begin(place, nodes, leaf=nodes[-1].id, profile="pocket").result()
    history.set_tags(place.known(), tags).result()
    history.close()
    return place.known()


def one_sentence(result: Result, code: int, hint: str) -> None:
    assert result.code == code, result.err
    assert hint in result.err
    assert result.out == ""
    assert "Traceback" not in result.err


def test_a_list_has_numbers_days_and_titles(run: Run) -> None:
    first = said("What is a \x1b[31mlighthouse?", "A tower.", media=(image(), clip()), tags=("sea",))
    second = said("Something else")
    rows = run("list").out.splitlines()
    assert rows[0].split()[0] == str(second)
    assert rows[1].split()[0] == str(first)
    assert "▣♪  What is a ␛[31mlighthouse? #sea" in rows[1]
    assert run("list", "tag:sea").out.splitlines() == rows[1:]
    assert run("list", "--limit", "1").out.splitlines() == rows[:1]
    listed = json.loads(run("list", "--json").out)
    assert (listed[1]["title"], listed[1]["images"], listed[1]["tags"]) == ("What is a \x1b[31mlighthouse?", 1, ["sea"])


def test_a_search_shows_where_the_words_are(run: Run) -> None:
    number = said("What is a lighthouse?", "A tower with a light.")
    said("Something else")
    rows = run("search", "tower", "light").out.splitlines()
    assert len(rows) == 2
    assert rows[1].strip() == "A tower with a light."
    assert json.loads(run("search", "tower", "--json").out)[0]["id"] == number
    assert json.loads(run("search", "with a light", "--json").out)[0]["snippet"] == "A tower with a light."
    assert json.loads(run("search", "a with light tower", "--json").out) == []
    assert run("search", "nowhere").err == "nothing was found\n"
    one_sentence(run("search", "x", "has:imag"), 2, "did you mean has:image")
    one_sentence(run("list", "after:soon"), 2, "is no day")


def test_without_a_history_nothing_is_made(run: Run, tmp_path: Path) -> None:
    assert run("list").err == "there is no history yet\n"
    one_sentence(run("show", "1"), 5, "no history yet")
    one_sentence(run("delete", "1", "--yes"), 5, "no history yet")
    assert not (tmp_path / "state").exists()


def test_a_conversation_is_shown(run: Run) -> None:
    number = said("What?", "A star.", media=(image(),))
    out = run("show", str(number)).out
    assert "## You\n\n*Picture: a.png*\n\nWhat?\n\n## Model\n\nA star." in out
    shown = json.loads(run("show", str(number), "--json").out)
    assert [node["text"] for node in shown["nodes"]] == ["What?", "A star."]
    assert shown["nodes"][0]["media"][0]["digest"] == image().digest
    one_sentence(run("show", "99"), 5, "no conversation 99")


def test_exports_go_to_the_form_of_the_files_name(run: Run, tmp_path: Path) -> None:
    number = said("What?", "A star.", media=(image(name="my pic.png"),))
    other = said("And?", "Nothing.")
    for name, has in (("a.md", "## Model"), ("b.html", "<!doctype html>"), ("c.jsonl", '{"messages"')):
        result = run("export", str(number), "-o", str(tmp_path / name))
        assert (result.code, result.out) == (0, "")
        assert has in (tmp_path / name).read_text()
    assert f"(a-media/{image().digest[:8]}-my-pic.png)" in (tmp_path / "a.md").read_text()
    assert (tmp_path / "a-media" / f"{image().digest[:8]}-my-pic.png").read_bytes() == image().data
    assert len(run("export", "--all", "--format", "jsonl").out.splitlines()) == 2
    assert run("export", str(other), str(number)).out.count("\n---\n") == 1
    one_sentence(run("export", str(number), "-o", str(tmp_path / "a.md")), 2, "--force")
    assert run("export", str(other), "-o", str(tmp_path / "a.md"), "--force").code == 0
    assert "Nothing." in (tmp_path / "a.md").read_text()
    one_sentence(run("export"), 2, "--all")
    one_sentence(run("export", "1", "--all"), 2, "--all")
    one_sentence(run("export", str(number), "-o", str(tmp_path / "no" / "a.md")), 5, "There is no folder")
    one_sentence(run("export", str(said("only asked")), "--format", "jsonl"), 5, "no whole reply")


def test_what_is_exported_can_be_imported(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said("Grüße?", "Ja.")
    run("export", "--all", "-o", str(tmp_path / "all.jsonl"))
    monkeypatch.setenv("GEMMA_TUI_STATE_DIR", str(tmp_path / "other"))
    assert run("import", str(tmp_path / "all.jsonl")).out == "1 conversation imported\n"
    assert run("import", str(tmp_path / "all.jsonl")).out == "0 conversations imported, 1 already there\n"
    assert "Grüße?" in run("list").out


def test_an_import_says_what_it_could_not_take(run: Run, tmp_path: Path) -> None:
    fixture = Path(__file__).parents[2] / "fixtures" / "imports" / "chatgpt" / "conversations.json"
    shutil.copy(fixture, tmp_path)
    result = run("import", str(tmp_path / "conversations.json"))
    assert result.code == 5
    assert result.out == "2 conversations imported, 2 pictures or clips not in the export, 1 could not be read\n"
    assert "Conversation 4 cannot be read" in result.err
    assert "Shapes in a picture" in run("search", "four sides").out
    one_sentence(run("import", str(tmp_path / "nothing")), 5, "There is no file")


def test_deleting_needs_a_yes(run: Run) -> None:
    first, second = said("one", media=(image(),)), said("two")
    one_sentence(run("delete", str(first)), 2, "--yes")
    one_sentence(run("delete", str(first), "99", "--yes"), 5, "no conversation 99")
    assert run("delete", str(first), str(first), "--yes").err == "deleted 1 conversation\n"
    assert [row.split()[0] for row in run("list").out.splitlines()] == [str(second)]
    assert list((History().folder / "media").iterdir()) == []


@pytest.mark.parametrize(("answer", "left"), [("n", 1), ("y", 0)])
def test_a_terminal_is_asked(answer: str, left: int) -> None:
    number = said("a \x1b]0;title\x07 title")
    process = pexpect.spawn(
        sys.executable, ["-m", "gemma_tui", "history", "delete", str(number)], encoding="utf-8", timeout=60
    )
    process.expect_exact("[y/N] ")
    assert "a ␛]0;title␇ title" in process.before
    process.sendline(answer)
    process.expect(pexpect.EOF)
    assert process.wait() == 0
    assert len(History().search(Query())) == left
