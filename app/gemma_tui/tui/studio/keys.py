"""What each key does in the studio, in one place: for the pad's bindings, the sheet of keys and the menu."""

from __future__ import annotations

from textual.binding import Binding, BindingType

_MOVING = {
    "left": "left", "right": "right", "up": "up", "down": "down", "ctrl+left,alt+b": "word left",
    "ctrl+right,alt+f": "word right", "home,ctrl+a": "row start", "end,ctrl+e": "row end", "ctrl+home": "start",
    "ctrl+end": "end", "pageup": "page up", "pagedown": "page down",
}  # fmt: skip
_SELECTING = {
    "shift+left": "left", "shift+right": "right", "shift+up": "up", "shift+down": "down",
    "ctrl+shift+left": "word left", "ctrl+shift+right": "word right", "shift+home": "row start", "shift+end": "row end",
    "ctrl+shift+home": "start", "ctrl+shift+end": "end", "shift+pageup": "page up", "shift+pagedown": "page down",
}  # fmt: skip
_ERASING = {
    "backspace": "left", "delete,ctrl+d": "right", "ctrl+w,ctrl+backspace,alt+backspace": "word left",
    "alt+delete,ctrl+delete": "word right", "ctrl+u": "line start", "ctrl+k": "line end",
}  # fmt: skip

PAD_BINDINGS: list[BindingType] = [
    *(Binding(key, f"to('{place}')", place, show=False) for key, place in _MOVING.items()),
    *(Binding(key, f"to('{place}', True)", f"select {place}", show=False) for key, place in _SELECTING.items()),
    *(Binding(key, f"erase('{place}')", f"delete {place}", show=False) for key, place in _ERASING.items()),
    Binding("ctrl+c,super+c", "copy", "Copy", show=False),
    Binding("ctrl+x,super+x", "cut", "Cut", show=False),
    Binding("ctrl+v", "paste", "Paste", show=False),
    Binding("ctrl+z,super+z", "undo", "Undo", show=False),
    Binding("ctrl+y,super+y,ctrl+shift+z", "redo", "Redo", show=False),
]

STUDIO_KEYS = (
    ("Ctrl+G, F5", "in completion: continue the document"),
    ("Shift+F4, Alt+C", "in completion: controls and presets"),
    ("F6, Alt+T", "in completion: probabilities, other tokens"),
    ("F7, Alt+V", "in completion: alternatives side by side"),
    ("F8, Alt+A", "keep what was generated, up to a cursor in it"),
    ("F9, Alt+R", "drop what was generated, from a cursor in it"),
    ("Alt+W", "keep one more word of what was generated"),
    ("Alt+G", "in completion: continue from the cursor"),
    ("Ctrl+Z, Ctrl+Y", "in completion: a step back, a step on"),
    ("F12, Alt+M", "in completion: everything else"),
)
"""For the sheet of keys."""

ROOM_BINDINGS: list[BindingType] = [
    Binding("shift+f4,f16,alt+c", "controls", "Controls and presets", show=False),
    Binding("f6,alt+t", "tokens", "Tokens and their probabilities", show=False),
    Binding("f7,alt+v", "alternatives", "Alternatives side by side", show=False),
    Binding("f8,alt+a", "keep", "Keep what was generated", show=False),
    Binding("f9,alt+r", "drop", "Drop what was generated", show=False),
    Binding("alt+w", "keep_word", "Keep one word of it", show=False),
    Binding("alt+g", "from_here", "Continue from the cursor", show=False),
    Binding("f12,alt+m", "menu", "Everything else", show=False),
]
