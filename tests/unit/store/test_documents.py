"""Completion documents: kept byte for byte with what their editor says about them."""

from dataclasses import replace
from pathlib import Path

import pytest

from gemma_backend.store.faults import NotKept
from gemma_backend.store.history import History
from gemma_backend.types import Document
from stubs.parts import clip, image

TEXT = "\ufeff  leading \r\n\x00 and trailing \u2028 \n\n"
DATA = {"spans": [[0, 3, "typed"], [3, 9, "generated"]], "sampling": {"temperature": 0.5}, "bos": True}


def test_a_document_comes_back_byte_for_byte(history: History) -> None:
    number = history.save_document(Document(TEXT, DATA, (image(), clip()), profile="pocket", model="m")).result()
    found = history.document(number)
    assert (found.text, found.data, found.id) == (TEXT, DATA, number)
    assert (found.profile, found.model) == ("pocket", "m")
    assert [history.part(part) for part in found.media] == [image(), clip()]


def test_saving_again_replaces_it_and_its_media(history: History) -> None:
    number = history.save_document(Document("one", media=(image(b"first"), clip()))).result()
    document = history.document(number)
    again = replace(document, text="two", media=document.media[1:], data={"spans": []})
    assert history.save_document(again).result() == number
    assert history.document(number).text == "two"
    history.close()
    assert [path.name for path in (history.folder / "media").iterdir()] == [clip().digest]


def test_the_title_is_the_first_words_until_it_is_given(history: History) -> None:
    number = history.save_document(Document("  Once upon\na time " + "x " * 100)).result()
    assert history.documents()[0].title.startswith("Once upon a time x")
    assert history.document(number).title == ""
    history.save_document(replace(history.document(number), title="A tale")).result()
    assert history.document(number).title == "A tale"
    history.save_document(Document("another")).result()
    assert [found.title for found in history.documents()] == ["another", "A tale"]


def test_a_document_that_was_deleted_is_told(history: History) -> None:
    number = history.save_document(Document("text", media=(image(),))).result()
    history.delete([number]).result()
    with pytest.raises(NotKept, match="no conversation"):
        history.document(number)
    with pytest.raises(NotKept, match="deleted it"):
        history.save_document(Document("text", id=number)).result()
    assert history.documents() == []
    history.close()
    assert list((history.folder / "media").iterdir()) == []


def test_half_a_character_is_kept_as_far_as_it_can_be(history: History) -> None:
    number = history.save_document(Document("a\ud800b")).result()
    assert history.document(number).text == "a\ufffd\ufffd\ufffdb"


def test_nothing_is_made_until_something_is_saved(tmp_path: Path) -> None:
    unused = History(tmp_path / "none")
    assert unused.documents() == []
    with pytest.raises(NotKept, match="no history yet"):
        unused.document(1)
    assert unused.close()
    assert not (tmp_path / "none").exists()


def test_only_the_owner_can_read_it(history: History) -> None:
    history.save_document(Document("secret", media=(image(),))).result()
    modes = {path: path.stat().st_mode & 0o777 for path in [history.folder, *history.folder.rglob("*")]}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    assert len(modes) >= 4
