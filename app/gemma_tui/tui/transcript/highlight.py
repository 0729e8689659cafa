"""Code colours by Pygments, line by line: what was coloured stays, and only lines that changed are lexed again."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

Colours = list[tuple[str, str]]
"""A line as (text, palette name) pairs."""

_ROOT = ("root",)

# Comments that lexers match in one piece over several lines, which a lexer that sees one line at a time cannot.
_COMMENTS = {"/*": "*/", "<!--": "-->", "{-": "-}", "(*": "*)"}

# Ordered from the special to the general: the first that holds the token type names the style.
_STYLES = (
    ("Token.Comment", "comment"),
    ("Token.Keyword.Constant", "constant"),
    ("Token.Keyword.Type", "type"),
    ("Token.Keyword", "keyword"),
    ("Token.Operator.Word", "keyword"),
    ("Token.Name.Function", "function"),
    ("Token.Name.Class", "type"),
    ("Token.Name.Tag", "keyword"),
    ("Token.Name.Attribute", "function"),
    ("Token.Name.Decorator", "function"),
    ("Token.Name.Builtin", "constant"),
    ("Token.Name.Exception", "type"),
    ("Token.Name.Constant", "constant"),
    ("Token.Literal.String", "string"),
    ("Token.Literal.Number", "number"),
    ("Token.Literal.Date", "number"),
    ("Token.Operator", "operator"),
    ("Token.Generic.Deleted", "deleted"),
    ("Token.Generic.Inserted", "inserted"),
    ("Token.Generic.Heading", "keyword"),
    ("Token.Generic.Subheading", "keyword"),
    ("Token.Generic.Prompt", "comment"),
    ("Token.Generic.Output", "code"),
)


@lru_cache(512)
def _style_of(token_type: Any) -> str:
    name = str(token_type)
    for prefix, style in _STYLES:
        if name.startswith(prefix):
            return style
    return "code"


_lexers: dict[str, Any | None] = {}
_wanted: set[str] = set()


def load(languages: Iterable[str]) -> None:
    """Load the lexers of these languages. Each takes 30 to 100 ms the first time: call it in a thread."""
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    for language in languages:
        if language not in _lexers:
            try:
                _lexers[language] = get_lexer_by_name(language, stripnl=False, ensurenl=False)
            except ClassNotFound:
                _lexers[language] = None


def wanted() -> set[str]:
    """Languages that were met since the last call and are drawn without colours until `load` has been called."""
    global _wanted
    languages, _wanted = _wanted - _lexers.keys(), set()
    return languages


def language_of(info: str) -> str:
    """The language that a fence's info string names, in lower case; empty if it names none."""
    words = info.strip("{}. ").replace(",", " ").split()
    return words[0].lower()[:30] if words else ""


class Highlighter:
    """Colours the lines of one piece of code; call `lines` again as it grows."""

    def __init__(self, language: str, state: tuple[str, ...] = _ROOT) -> None:
        self.language = language
        self._lexer = _lexers.get(language)
        if language and language not in _lexers:
            _wanted.add(language)
        self._states: list[tuple[str, ...]] = [state]
        self._sources: list[str] = []
        self._colours: list[Colours] = []

    def lines(self, sources: list[str]) -> list[Colours]:
        """Colours for each line (no newline in them); lines that were the same last time cost nothing."""
        if self._lexer is None:
            return [[(line, "code")] for line in sources]
        same = 0
        for old, new in zip(self._sources, sources, strict=False):
            if old != new:
                break
            same += 1
        # A changed last line may change what follows its own state only.
        del self._colours[same:], self._states[same + 1 :]
        self._sources = sources.copy()
        for line in sources[same:]:
            colours, state = _lex_line(self._lexer, line, self._states[-1])
            self._colours.append(colours)
            self._states.append(state)
        return self._colours

    @property
    def state(self) -> tuple[str, ...]:
        """The lexer's state after the last line, for the code that follows."""
        return self._states[-1]


def _lex_line(lexer: Any, line: str, state: tuple[str, ...]) -> tuple[Colours, tuple[str, ...]]:
    """Lex one line from a state; returns its colours and the state at its end.

    Pygments has no way to ask for the state at the end, so the rules are applied here as its own lexers do.
    Lexers that are not tables of rules get each line from their start.
    """
    from pygments.lexer import ExtendedRegexLexer, RegexLexer

    if not isinstance(lexer, RegexLexer) or isinstance(lexer, ExtendedRegexLexer):
        tokens = [(kind, text) for _, kind, text in lexer.get_tokens_unprocessed(line + "\n")]
        return _merge(tokens), _ROOT
    tables = lexer._tokens
    text = line + "\n"
    stack = list(state)
    found: list[tuple[Any, str]] = []
    position = steps = 0
    end = len(text)
    limit = 20 * end + 100
    while position < end and steps < limit:
        steps += 1
        if (closer := _COMMENTS.get(stack[-1])) is not None:
            stop = text.find(closer, position)
            after = end if stop < 0 else stop + len(closer)
            found.append(("comment", text[position:after]))
            position = after
            if stop >= 0:
                stack.pop()
            continue
        if text[position] in "/<{(" and (opener := _opens_comment(lexer, stack[-1], text, position)):
            stack.append(opener)
            continue
        for match_rule, action, change in tables[stack[-1]]:
            match = match_rule(text, position)
            if match is None:
                continue
            if action is not None:
                if isinstance(action, tuple):
                    found.append((action, match.group()))
                else:
                    found.extend([(kind, piece) for _, kind, piece in action(lexer, match)])
            position = match.end()
            if change is not None:
                _change(stack, change)
            break
        else:
            if text[position] == "\n":
                stack = ["root"]
            else:
                found.append((None, text[position]))
            position += 1
    return _merge(found), tuple(stack)


def _opens_comment(lexer: Any, state: str, text: str, position: int) -> str:
    """The opening mark of a comment that begins here and does not end in this line; else empty."""
    from pygments.token import Comment

    for opener, closer in _COMMENTS.items():
        if text.startswith(opener, position) and text.find(closer, position + len(opener)) < 0:
            closed = text[:-1] + closer
            for match_rule, action, _ in lexer._tokens[state]:
                match = match_rule(closed, position)
                if match is not None:
                    return opener if isinstance(action, tuple) and action in Comment else ""
    return ""


def _change(stack: list[str], change: Any) -> None:
    """Apply a rule's change of state; at least one state stays."""
    if isinstance(change, int):
        del stack[max(1, len(stack) + change) if change < 0 else max(1, change) :]
        return
    for state in change if isinstance(change, tuple) else (change,):
        if state == "#pop":
            if len(stack) > 1:
                stack.pop()
        elif state == "#push":
            stack.append(stack[-1])
        else:
            stack.append(state)


def _merge(tokens: list[tuple[Any, str]]) -> Colours:
    """Join neighbours of one style; the line's newline is dropped."""
    merged: Colours = []
    for kind, piece in tokens:
        piece = piece.rstrip("\n")
        if not piece:
            continue
        style = "code" if kind is None else kind if isinstance(kind, str) else _style_of(kind)
        if merged and (merged[-1][1] == style or piece.isspace()):
            merged[-1] = (merged[-1][0] + piece, merged[-1][1])
        else:
            merged.append((piece, style))
    return merged
