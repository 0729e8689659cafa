"""Finding conversations by words and filters, and how: with the index, newest first, nothing sorted."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_backend.store.database import reading
from gemma_backend.store.history import History
from gemma_backend.store.query import Query, day, parse_query
from gemma_backend.store.search import MARK_END, MARK_START, search_sql
from gemma_backend.store.turns import SUMMARY_SQL
from gemma_backend.types import Document, Node, Part, TextPart, UsageError, first_id, new_id
from stubs.parts import clip, image


def said(
    history: History, *texts: str, media: tuple[Part, ...] = (), profile: str = "", ago: float = 0.0, title: str = ""
) -> int:
    """A conversation of these turns, begun `ago` seconds before now; its number."""
    place, nodes = history.place(None), list[Node]()
    for number, text in enumerate(texts):
        when = time.time() - ago + number
        parts = (*media, TextPart(text)) if not number else (TextPart(text),)
        role = "assistant" if number % 2 else "user"
        id = first_id(when) + new_id() % (1 << 20)
        nodes.append(Node(id, nodes[-1].id if nodes else None, role, parts, created=when))  # type: ignore[arg-type]
    history.begin(place, nodes, leaf=nodes[-1].id, profile=profile, title=title).result()
    return place.known()


def found(history: History, text: str, *, typing: bool = False) -> list[int]:
    return [hit.summary.id for hit in history.search(parse_query(text, typing=typing))]


def test_words_are_found_in_questions_replies_and_titles(history: History) -> None:
    first = said(history, "What is a lighthouse?", "A tower with a light.")
    second = said(history, "Something else", "No tower here.", title="Lighthouses of the north")
    assert found(history, "lighthouse") == [first]
    assert found(history, "lighthouses") == [second]
    assert found(history, "tower") == [second, first]
    assert found(history, "tower light") == [first]
    assert found(history, '"no tower"') == [second]
    assert found(history, '"tower no"') == []
    assert found(history, "nowhere") == []


def test_case_and_accents_make_no_difference(history: History) -> None:
    number = said(history, "Ein Café in MÜNCHEN, großartig")
    assert found(history, "cafe münchen GROßARTIG") == [number]
    assert found(history, "munchen") == [number]


def test_the_last_word_may_be_half_typed(history: History) -> None:
    number = said(history, "a lighthouse keeper")
    assert found(history, "lightho", typing=True) == [number]
    assert found(history, "lightho") == []
    assert found(history, "lightho*") == [number]
    assert found(history, "lightho ", typing=True) == []


def test_one_letter_finds_words_of_any_second_letter_through_the_index_of_two(history: History) -> None:
    words = ["c", "cat", "C3PO", "çédille", "cœur", "Česko"]
    numbers = [said(history, word) for word in words]
    said(history, "not this one")
    assert sorted(found(history, "c", typing=True)) == numbers
    assert found(history, "c") == [numbers[0]]
    assert found(history, "not t", typing=True) == [numbers[-1] + 1]
    # A beginning that the index does not have would make FTS5 gather all words behind it.
    assert '"c"*' not in parse_query("c*").match


def test_a_snippet_shows_the_words_where_they_stand(history: History) -> None:
    said(history, "go", "begin " * 200 + "the lighthouse keeper slept " + "end " * 200)
    (hit,) = history.search(parse_query("keeper"))
    assert f"lighthouse {MARK_START}keeper{MARK_END} slept" in hit.snippet
    assert len(hit.snippet) < 200
    assert hit.turn is not None
    assert history.load(hit.summary.id).nodes[1].id == hit.turn


def test_the_newest_turn_with_the_words_comes_first(history: History) -> None:
    old = said(history, "apple", "one", "apple again", ago=9 * 86_400)
    new = said(history, "apple", ago=86_400)
    assert found(history, "apple") == [new, old]
    hit = history.search(parse_query("apple"))[1]
    assert MARK_START + "apple" + MARK_END + " again" in hit.snippet


def test_filters(history: History) -> None:
    picture = said(history, "what word", "a word", media=(image(),), profile="pocket", ago=40 * 86_400)
    sound = said(history, "hear word", "a word", media=(clip(),), profile="remote")
    both = said(history, "both word", media=(image(b"2"), clip(b"2")), profile="pocket", ago=3 * 86_400)
    document = history.save_document(Document("raw word")).result()
    history.set_tags(sound, ["Work", "Later"]).result()
    history.pin(sound, True).result()
    assert found(history, "word has:image") == [both, picture]
    assert found(history, "word has:audio") == [sound, both]
    assert found(history, "word has:image has:audio") == found(history, "has:image has:audio") == [both]
    assert found(history, "word profile:pocket") == [both, picture]
    assert found(history, "word profile:nobody") == []
    assert found(history, "word tag:work") == found(history, "tag:LATER") == found(history, "is:pinned") == [sound]
    assert found(history, "word kind:completion") == [document]
    assert found(history, "word after:7d before:1d") == [both]
    assert found(history, "before:30d") == [picture]
    assert set(found(history, "")) == {picture, sound, both, document}
    assert found(history, "")[0] == sound


def test_a_date_is_that_of_the_turn_that_has_the_words(history: History) -> None:
    number = said(history, "early", ago=20 * 86_400)
    assert found(history, "early before:10d") == [number]
    assert found(history, "early after:10d") == []


@pytest.mark.parametrize(
    "text",
    [
        '"',
        '""',
        "*",
        "AND",
        "OR NOT",
        "NEAR(a b)",
        "a:b",
        "text:x",
        "-x",
        "(",
        "'; DROP TABLE turn; --",
        "^x",
        "🙂",
        "\x00",
    ],
)
def test_nothing_that_is_typed_is_an_operator(history: History, text: str) -> None:
    said(history, "text about a and or not near")
    for typing in (True, False):
        found(history, text, typing=typing)


@given(st.text(max_size=40))
def test_any_text_can_be_typed(text: str) -> None:
    query = parse_query(text, typing=True)
    assert all(query.words)
    assert isinstance(query.match, str)


def test_any_text_gives_an_expression_that_fts5_takes(history: History) -> None:
    said(history, "one")

    @given(st.text(max_size=20))
    def taken(text: str) -> None:
        history.search(Query(parse_query(text, typing=True).words))

    taken()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("has:imag", "did you mean has:image"),
        ("has:video", "has:video is no filter"),
        ("after:soon", "is no day"),
        ("before:2026-13", "is no day"),
        ("after:2026-02-30", "is no day"),
        ("kind:chatt", "did you mean kind:chat"),
        ("is:pin", "did you mean is:pinned"),
        ("after:99999y", "is no day"),
    ],
)
def test_a_filter_that_cannot_be_read_is_told_unless_it_is_being_typed(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_query(text)
    assert parse_query(text, typing=True) == Query()


def test_days_begin_at_midnight_here() -> None:
    midnight = datetime.now().replace(hour=0, minute=0, second=0, microsecond=0)
    assert day("today") == midnight.timestamp()
    assert day("7d") == (midnight - timedelta(days=7)).timestamp()
    assert day("2026-02-03") == datetime(2026, 2, 3).timestamp()
    assert day("2026-02") == datetime(2026, 2, 1).timestamp()
    assert day("2026") == datetime(2026, 1, 1).timestamp()


@pytest.mark.parametrize(
    "text", ["word", "two words", "wo*", '"a phrase"', "word has:image profile:x", "word after:7d"]
)
def test_the_search_uses_its_index_and_sorts_nothing(history: History, text: str) -> None:
    said(history, "word")
    sql, values = search_sql(parse_query(text))
    with reading(history.path) as connection:
        plan = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    assert plan[0].startswith("SCAN turn_text VIRTUAL TABLE INDEX")
    # "M" is FTS5's sign for a MATCH that its index answers.
    assert "M" in plan[0].rpartition("INDEX")[2]
    assert plan[1].startswith("SEARCH t USING COVERING INDEX turn_place (id=?)")
    assert not any("TEMP B-TREE" in step for step in plan)
    assert not any(step in ("SCAN t", "SCAN turn") for step in plan)


def test_a_list_reads_only_the_turns_of_the_conversations_in_it(history: History) -> None:
    said(history, "word", media=(image(),))
    with reading(history.path) as connection:
        plan = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {SUMMARY_SQL} LIMIT 10")]
    assert not any(step.startswith(("SCAN turn", "SCAN t", "SCAN a", "SCAN attachment")) for step in plan)
    assert not any("attachment_kind" in step for step in plan)


def test_deleting_and_renaming_change_what_is_found(history: History) -> None:
    number = said(history, "apple", "pear")
    history.rename(number, "Fruit salad").result()
    assert found(history, "salad") == [number]
    assert found(history, "pear") == [number]
    history.rename(number, "").result()
    assert found(history, "salad") == []
    assert history.search(Query())[0].summary.title == "apple"
    history.delete([number]).result()
    assert found(history, "apple") == []
