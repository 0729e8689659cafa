"""Cutting a line into words by the quoting rules of shells and terminals."""

from __future__ import annotations

import re

_ANSI_ESCAPE = re.compile(
    r"\\(?:x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{1,4})|U([0-9A-Fa-f]{1,8})|([0-7]{1,3})|(.))", re.DOTALL
)
_ANSI_NAMED = {"a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_WINDOWS_WORD = re.compile(r"\"([^\"]*)\"|'([^']*)'|(\S+)")
_SPACES = " \t\r\n"


def shell_words(text: str, *, escaped_quote: bool = False) -> list[str] | None:
    """Cut `text` as a POSIX shell would (single, double, `$'...'` quotes and backslashes), None where a quote is open.

    With `escaped_quote` a backslash before a single quote inside single quotes stands for the quote.
    """
    words: list[str] = []
    word: list[str] | None = None
    at, end = 0, len(text)
    while at < end:
        char = text[at]
        if char in _SPACES:
            if word is not None:
                words.append("".join(word))
                word = None
            at += 1
            continue
        if word is None:
            word = []
        if char == "\\":
            if at + 1 == end:
                return None
            word.append(text[at + 1])
            at += 2
        elif char == "'" or text.startswith("$'", at):
            ansi = char == "$"
            start = at + 2 if ansi else at + 1
            close = _closing_quote(text, start, escapes=ansi or escaped_quote)
            if close < 0:
                return None
            word.append(_unquoted(text[start:close], ansi=ansi, escaped_quote=escaped_quote))
            at = close + 1
        elif char == '"':
            found = _double_quoted(text, at + 1)
            if found is None:
                return None
            inside, at = found
            word.append(inside)
        else:
            word.append(char)
            at += 1
    if word is not None:
        words.append("".join(word))
    return words


def space_words(text: str) -> list[str]:
    """Cut `text` at spaces that no backslash precedes; other backslashes and all quotes are part of a name."""
    words = re.findall(r"(?:\\[ \t]|[^ \t\r\n])+", text)
    return [re.sub(r"\\([ \t])", r"\1", word) for word in words]


def window_words(text: str) -> list[str] | None:
    """Cut `text` as Windows terminals write paths: whole words between quotes, backslashes plain; None if it is not."""
    words: list[str] = []
    at = 0
    for match in _WINDOWS_WORD.finditer(text):
        if text[at : match.start()].strip():
            return None
        words.append(next(group for group in match.groups() if group is not None))
        at = match.end()
    return words


def _closing_quote(text: str, start: int, *, escapes: bool) -> int:
    at = start
    while at < len(text):
        if text[at] == "'":
            return at
        at += 2 if escapes and text[at] == "\\" else 1
    return -1


def _unquoted(inside: str, *, ansi: bool, escaped_quote: bool) -> str:
    if ansi:
        return _ANSI_ESCAPE.sub(_ansi, inside)
    return inside.replace("\\'", "'") if escaped_quote else inside


def _ansi(match: re.Match[str]) -> str:
    hexadecimal, short, long, octal, other = match.groups()
    if other is not None:
        return _ANSI_NAMED.get(other, other)
    code = int(octal, 8) if octal else int(hexadecimal or short or long, 16)
    return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else "\ufffd"


def _double_quoted(text: str, start: int) -> tuple[str, int] | None:
    """Return what stands between double quotes and where the text goes on after them."""
    inside: list[str] = []
    at = start
    while at < len(text):
        char = text[at]
        if char == '"':
            return "".join(inside), at + 1
        if char == "\\" and text[at + 1 : at + 2] in ("$", "`", '"', "\\"):
            at += 1
            char = text[at]
        inside.append(char)
        at += 1
    return None
