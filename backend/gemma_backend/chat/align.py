"""Where each token stands in the text: servers tell tokens and text apart, and the two do not always spell the same."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from gemma_backend.types import Token

# Beyond this a token that cannot be found again is taken for one that has no text of its own.
_LOOK_AHEAD = 48


class Placed(NamedTuple):
    """A token and the characters of the text that are its own, from `start` to before `end`."""

    start: int
    end: int
    token: Token


class Aligner:
    """Places tokens in a text while both come in, each perhaps ahead of the other.

    A token without characters of its own gets none: a special token, a part of a character (the last part gets the
    whole of it), what a stop string cut off. One that is spelled differently gets the text up to the next one found.
    """

    def __init__(self, start: int = 0) -> None:
        self._at = start
        self._text = ""
        self._used = 0
        self._tokens: deque[Token] = deque()

    def feed(self, text: str, tokens: Sequence[Token] = ()) -> list[Placed]:
        """Add what came, and return the tokens whose place is known now."""
        self._text = self._text[self._used :] + text
        self._used = 0
        self._tokens.extend(tokens)
        return self._place(last=False)

    def finish(self) -> list[Placed]:
        """Return the tokens that were still waiting for text, now that none follows."""
        return self._place(last=True)

    def _place(self, *, last: bool) -> list[Placed]:
        placed: list[Placed] = []
        while self._tokens:
            length = self._length(self._tokens[0], last)
            if length is None:
                break
            placed.append(Placed(self._at, self._at + length, self._tokens.popleft()))
            self._used += length
            self._at += length
        return placed

    def _length(self, token: Token, last: bool) -> int | None:
        """How many characters are the token's; None where that cannot be told yet."""
        spelled, text, used = token.text, self._text, self._used
        if not spelled:
            return self._gap(last) if token.logprob is None else 0
        if text.startswith(spelled, used):
            return len(spelled)
        # Some tokenizers leave out the space in front of a word when they decode it alone.
        if text.startswith(" " + spelled, used):
            return len(spelled) + 1
        if len(text) - used <= len(spelled):
            rest = text[used:]
            if spelled.startswith(rest):
                return len(rest) if last else None
            if not last and (" " + spelled).startswith(rest):
                return None
        return self._gap(last)

    def _gap(self, last: bool) -> int | None:
        """The characters up to the next token that can be found, for one that cannot be."""
        following = [token.text for token in islice(self._tokens, 1, 9) if token.text and "\ufffd" not in token.text]
        if not following:
            return 0 if last else None
        ahead = self._text[self._used : self._used + _LOOK_AHEAD]
        found = ahead.find("".join(following[:3]))
        if found < 0:
            found = ahead.find(following[0])
        if found >= 0:
            return found
        return 0 if last or len(ahead) == _LOOK_AHEAD else None


def aligned(text: str, tokens: Sequence[Token], start: int = 0) -> list[Placed]:
    """Place `tokens` in `text`, whose first character counts as `start`."""
    aligner = Aligner(start)
    return aligner.feed(text, tokens) + aligner.finish()
