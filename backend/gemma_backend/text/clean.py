"""Makes text from outside harmless to a terminal and keeps all of it visible.

Models, files, logs and servers can send escape sequences that move the cursor, set the clipboard or retitle the
window. Nothing is dropped: each control character is replaced by a visible stand-in.
"""

from __future__ import annotations

import re

# C0 and DEL have pictures of their own in Unicode (U+2400 to U+2421). C1 and the marks that reorder text have none.
_CONTROL_PICTURES = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "\u2421"}
_C1 = {code: f"\\x{code:02x}" for code in range(0x80, 0xA0)}
_BIDI = {code: f"\\u{code:04x}" for code in (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))}
_SEPARATORS = {0x85: "\n", 0x2028: "\n", 0x2029: "\n"}
_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")

_TABLE = _CONTROL_PICTURES | _C1 | _BIDI | _SEPARATORS
del _TABLE[ord("\n")], _TABLE[ord("\t")]

_ONE_LINE = {ord("\n"): "\u240a", ord("\t"): " "}
_SUSPECT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", re.ASCII
)
_SURROGATE = re.compile("[\ud800-\udfff]")


def clean(text: str, *, keep_newlines: bool = True) -> str:
    """Return `text` with every control character made visible; newlines and tabs stay unless told otherwise.

    CR LF becomes LF. With `keep_newlines=False` the result is one line, for file names and messages.
    """
    if _SUSPECT.search(text):
        text = text.replace("\r\n", "\n")
        if _SURROGATE.search(text):
            text = text.translate(_SURROGATES)
        text = text.translate(_TABLE)
    return text if keep_newlines else text.translate(_ONE_LINE)


class StreamCleaner:
    """Cleans text that comes in pieces; the result equals that of cleaning the whole at once."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Return what of `text` can be shown now; a trailing CR waits for the LF that may follow."""
        text = self._held + text
        self._held = ""
        if text.endswith("\r"):
            text, self._held = text[:-1], "\r"
        return clean(text)

    def finish(self) -> str:
        """Return what was held back."""
        held, self._held = self._held, ""
        return clean(held)
