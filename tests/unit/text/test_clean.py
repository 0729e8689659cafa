"""Nothing that a terminal would act on passes the cleaner, and nothing is lost in it."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from gemma_backend.text.clean import StreamCleaner, clean

ANY_TEXT = st.text(alphabet=st.characters(codec=None), max_size=200)


@given(ANY_TEXT)
def test_no_control_character_passes(text: str) -> None:
    shown = clean(text)
    assert all(unicodedata.category(c) not in ("Cc", "Cs") or c in "\n\t" for c in shown)
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
    shown.encode("utf-8")


@given(st.lists(ANY_TEXT, max_size=8))
def test_pieces_give_what_the_whole_gives(pieces: list[str]) -> None:
    cleaner = StreamCleaner()
    shown = "".join(cleaner.feed(piece) for piece in pieces) + cleaner.finish()
    assert shown == clean("".join(pieces))


@given(ANY_TEXT)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)


def test_sequences_show_as_text() -> None:
    assert clean("\x1b]52;c;AAAA\x07[bold]\x9b31m") == "\u241b]52;c;AAAA\u2407[bold]\\x9b31m"
    assert clean("a\r\nb\rc\td") == "a\nb\u240dc\td"
    assert clean("name\nwith\tgaps", keep_newlines=False) == "name\u240awith gaps"
    family = "caf\u00e9 \U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert clean(family) == family
