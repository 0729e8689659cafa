"""Markdown, HTML and JSON Lines: what is in them, and that a page can do no harm."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser

from gemma_backend.store.exports.branches import every_branch, shown_branch
from gemma_backend.store.exports.lines import to_line
from gemma_backend.store.exports.markdown import to_markdown
from gemma_backend.store.exports.page import to_page
from gemma_backend.store.history import History
from gemma_backend.types import Document, Node, Part, Role, Stored, TextPart, TurnState, new_id
from stubs.parts import clip, image

HOSTILE = (
    "<script>alert(1)</script> <img src=x onerror=alert(1)> [x](javascript:alert(1)) "
    "![p](https://elsewhere.example/p.png) <iframe src=https://elsewhere.example></iframe> "
    '[y](data:text/html,<script>1</script>) "quoted" [z](https://fine.example) \x1b[31m\x00 </div>'
)


def kept(history: History, *turns: Node, title: str = "") -> Stored:
    place = history.place(None)
    history.begin(place, turns, leaf=turns[-1].id, profile="pocket", model="m", title=title).result()
    return history.load(place.known())


def talk(*texts: str, media: tuple[Part, ...] = (), state: TurnState = "done") -> list[Node]:
    nodes: list[Node] = []
    for number, text in enumerate(texts):
        parent = nodes[-1].id if nodes else None
        role: Role = "assistant" if number % 2 else "user"
        ended: TurnState = state if number == len(texts) - 1 else "done"
        nodes.append(Node(new_id(), parent, role, (*(media if not number else ()), TextPart(text)), ended))
    return nodes


def test_markdown_has_who_said_what(history: History) -> None:
    stored = kept(history, *talk("What?", "# A **star**.\n\n```py\nx\n```", "More", "Begun", state="cut"))
    text = to_markdown(stored.summary, shown_branch(stored))
    assert text.startswith("# What?\n\n")
    assert "## Model\n\n# A **star**.\n\n```py\nx\n```\n\n## You\n\nMore" in text
    assert text.endswith("## Model (cut off at the limit of tokens)\n\nBegun\n")


def test_media_in_markdown_have_a_place_or_a_name(history: History) -> None:
    stored = kept(history, *talk("What?", media=(image(name="a [b].png"), clip())))
    turns = shown_branch(stored)
    assert "*Picture: a (b).png*\n\n*Clip: a.wav*" in to_markdown(stored.summary, turns)
    placed = to_markdown(stored.summary, turns, lambda ref: f"my media/{ref.kind}")
    assert "![a (b).png](my%20media/image)\n\n[a.wav](my%20media/audio)" in placed


def test_a_document_is_fenced_in_markdown(history: History) -> None:
    number = history.save_document(Document("a\n```\nb")).result()
    stored = history.load(number)
    assert "````text\na\n```\nb\n````\n" in to_markdown(stored.summary, shown_branch(stored))


class Strict(HTMLParser):
    """Notes every element and attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_page_holds_all_it_needs_and_nothing_that_runs_or_reaches_out(history: History) -> None:
    name = '"><script>.png'
    nodes = talk(HOSTILE, HOSTILE, media=(image(name=name), clip()), state="failed")
    stored = kept(history, *nodes, title=f"<b>{HOSTILE}")
    page = to_page([(stored.summary, shown_branch(stored))], history.part)
    seen = Strict()
    seen.feed(page)
    assert seen.open == []
    used = {tag for tag, _ in seen.tags}
    assert used <= {
        "html", "head", "meta", "title", "style", "body", "article", "header", "section", "h1", "h2", "p", "div", "a",
        "figure", "figcaption", "img", "audio", "pre", "code",
    }  # fmt: skip
    for tag, attributes in seen.tags:
        assert not any(key.startswith("on") for key in attributes), tag
        if tag in ("img", "audio"):
            assert str(attributes["src"]).startswith("data:"), attributes
        if tag == "a":
            assert attributes["rel"] == "noopener noreferrer nofollow"
            assert str(attributes["href"]).startswith(("http://", "https://", "mailto:"))
    assert "default-src 'none'" in page
    assert "https://elsewhere.example/p.png" in page
    assert base64.b64encode(image().data).decode() in page
    assert re.search(r"[\x00-\x08\x0b-\x1f\x7f]", page) is None


def test_a_page_draws_markdown_and_shows_questions_as_they_are(history: History) -> None:
    stored = kept(history, *talk("**not bold**\n  two", "**bold** and\n\n| a | b |\n|---|---|\n| 1 | 2 |"))
    page = to_page([(stored.summary, shown_branch(stored))], history.part)
    assert "<div class=plain>**not bold**\n  two</div>" in page
    assert "<strong>bold</strong>" in page
    assert "<td>1</td>" in page


def test_a_line_is_what_chat_models_are_trained_on(history: History) -> None:
    stored = kept(history, *talk("Grüße?", "Ja.", "and?", "no end", media=(image(),), state="stopped"))
    line = to_line(shown_branch(stored), history.part)
    assert line is not None
    assert line.endswith("\n")
    assert "Grüße" in line
    messages = json.loads(line)["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant"]
    assert messages[0]["content"] == [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(image().data).decode()}"}},
        {"type": "text", "text": "Grüße?"},
    ]
    assert messages[1]["content"] == "Ja."
    only_asked = kept(history, *talk("question"))
    assert to_line(shown_branch(only_asked), history.part) is None


def test_every_branch_is_written_from_its_beginning(history: History) -> None:
    question, first = talk("q", "one")
    second = Node(new_id(), question.id, "assistant", (TextPart("two"),))
    more = Node(new_id(), first.id, "user", (TextPart("more"),))
    stored = kept(history, question, first, second, more)
    assert [[node.text for node in turns] for turns in every_branch(stored)] == [["q", "two"], ["q", "one", "more"]]
    assert [node.text for node in shown_branch(stored)] == ["q", "one", "more"]
