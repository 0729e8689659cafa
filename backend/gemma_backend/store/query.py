"""What a person types to find a conversation: words, "phrases in quotes" and filters such as `has:image`."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from gemma_backend.config.nearest import nearest
from gemma_backend.types import ConversationKind, UsageError

FILTERS = ("profile", "after", "before", "has", "tag", "kind", "is")
_HAS = {"image": "image", "picture": "image", "audio": "audio", "clip": "audio", "sound": "audio"}
# Categories of the characters that unicode61 makes tokens of (SQLite's FTS5, section 4.3.1).
_TOKENS = ("Ll", "Lm", "Lo", "Lt", "Lu", "Nd", "Nl", "No", "Co")
_PIECE = re.compile(r'(?:(?P<key>[a-z]+):)?(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+))')


_SECOND = "abcdefghijklmnopqrstuvwxyz0123456789æøœßłđðþ"
"""What stands second in words of Latin letters, once the tokenizer has taken accents off."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: all of `words` (a word, or several in that order), in conversations that pass each filter.

    A word that ends in `*` stands for all that begin with it. Times are seconds since 1970, `before` not included.
    """

    words: tuple[str, ...] = ()
    profile: str = ""
    after: float | None = None
    before: float | None = None
    image: bool = False
    audio: bool = False
    tags: tuple[str, ...] = ()
    kind: ConversationKind | None = None
    pinned: bool = False

    @property
    def match(self) -> str:
        """The words as FTS5 takes them; nothing in them is an operator."""
        return " AND ".join(_expression(word) for word in self.words)


def parse_query(text: str, *, typing: bool = False) -> Query:
    """Read what was typed; while somebody is `typing`, the last word may be the beginning of one, and no filter fails.

    Raises UsageError for a filter whose value cannot be read.
    """
    words: list[str] = []
    given: dict[str, list[str]] = {}
    for piece in _PIECE.finditer(text):
        value = piece["phrase"] if piece["phrase"] is not None else piece["word"]
        if piece["key"] in FILTERS:
            given.setdefault(piece["key"], []).append(value)
        else:
            # A colon in a word that is no filter belongs to the word.
            words.append(f"{piece['key']}:{value}" if piece["key"] else value)
    if typing and words and text and not text[-1].isspace() and text[-1] != '"':
        words[-1] = words[-1].rstrip("*") + "*"
    words = [word for word in words if _tokens(word)]
    try:
        return _filtered(tuple(words), given)
    except UsageError:
        if not typing:
            raise
        # Half a date is being typed: look for the rest.
        return _filtered(tuple(words), {key: values for key, values in given.items() if key in ("profile", "tag")})


def _filtered(words: tuple[str, ...], given: dict[str, list[str]]) -> Query:
    has = [_choice(value, "has", _HAS) for value in given.get("has", ())]
    kinds = [_choice(value, "kind", {"chat": "chat", "completion": "completion"}) for value in given.get("kind", ())]
    pinned = [_choice(value, "is", {"pinned": "pinned"}) for value in given.get("is", ())]
    after, before = given.get("after", [])[-1:], given.get("before", [])[-1:]
    return Query(
        words,
        profile=given.get("profile", [""])[-1],
        after=day(after[0]) if after else None,
        before=day(before[0]) if before else None,
        image="image" in has,
        audio="audio" in has,
        tags=tuple(tag for tag in given.get("tag", ()) if tag),
        kind=("completion" if kinds[-1] == "completion" else "chat") if kinds else None,
        pinned=bool(pinned),
    )


def _choice(value: str, key: str, choices: dict[str, str]) -> str:
    if value in choices:
        return choices[value]
    guess = nearest(value, list(choices))
    raise UsageError(
        f"{key}:{value} is no filter: " + (f"did you mean {key}:{guess}?" if guess else f"try {key}:{min(choices)}.")
    )


def day(text: str) -> float:
    """The beginning of a day in local time: 2026-11-25, 2026-11, 2026, today, yesterday, or 7d (seven days ago).

    Raises UsageError for anything else.
    """
    today = date.today()
    named = {"today": today, "yesterday": today - timedelta(days=1)}
    if text.lower() in named:
        found: date | None = named[text.lower()]
    elif match := re.fullmatch(r"(\d{1,5})([dwmy])", text.lower()):
        days = int(match[1]) * {"d": 1, "w": 7, "m": 30, "y": 365}[match[2]]
        found = today - timedelta(days=days) if days < today.toordinal() else None
    else:
        parts = re.fullmatch(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?", text)
        try:
            found = date(int(parts[1]), int(parts[2] or 1), int(parts[3] or 1)) if parts else None
        except ValueError:
            found = None
    if found is None or found.year < 1970:
        raise UsageError(f"{text!r} is no day: write it as 2026-11-25, or 7d for seven days ago.")
    return datetime(found.year, found.month, found.day).timestamp()


def _expression(word: str) -> str:
    if len(word) == 2 and word[1] == "*" and word[0].isascii() and word[0].isalnum():
        # The index has beginnings of two characters: of one FTS5 would gather every word that begins so, for seconds.
        return "(" + " OR ".join([_quoted(word[0]), *(_quoted(f"{word[0]}{next}*") for next in _SECOND)]) + ")"
    return _quoted(word)


def _quoted(word: str) -> str:
    prefix = word.endswith("*")
    # A NUL would end the expression, half of a surrogate pair cannot be encoded.
    word = word.replace("\x00", " ").encode("utf-8", "replace").decode()
    return '"' + word.rstrip("*").replace('"', '""') + '"' + ("*" if prefix else "")


def _tokens(word: str) -> bool:
    """Whether FTS5's tokenizer finds anything in it: an expression of nothing would be an error."""
    return any(unicodedata.category(character) in _TOKENS for character in word)
