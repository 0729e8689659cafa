"""Keys as people read them, and what every screen binds to which: read from the bindings themselves."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from textual.binding import Binding, BindingType

PLACES = (
    ("Everywhere", "app:GemmaApp"),
    ("Everywhere", "suspending:SuspendingApp"),
    ("Conversation", "screens.main:MainScreen"),
    ("Message", "screens.composing:ComposingScreen"),
    ("Message", "widgets.plain_area:PlainArea"),
    ("Reading", "screens.reading:ReadingScreen"),
    ("A chosen turn", "screens.turning:TurningScreen"),
    ("History", "screens.remembering:RememberingScreen"),
    ("Transcript, where it has the focus", "transcript.scroller:Scroller"),
    ("Transcript, where it has the focus", "transcript.view:Transcript"),
    ("Attachments", "widgets.chips:ChipBar"),
    ("Studio", "studio.room:StudioRoom"),
    ("Studio's text", "studio.pad:StudioPad"),
    ("Studio: tokens", "studio.token_panel:TokenPanel"),
    ("Studio: alternatives", "studio.columns:ChoiceColumns"),
    ("Studio: controls", "screens.studio_controls:ControlsScreen"),
    ("Studio: controls", "studio.control_rows:ControlRows"),
    ("Studio: few-shot prompt", "screens.studio_few_shot:FewShotScreen"),
    ("Studio: the request", "screens.studio_request:RequestScreen"),
    ("The history's list", "screens.history:HistoryScreen"),
    ("The engine's log", "screens.log:LogScreen"),
    ("The engine's log", "widgets.log_pane:LogPane"),
    ("Figures", "screens.figures:FiguresScreen"),
    ("The part of a clip", "screens.clip:ClipScreen"),
    ("Recording", "screens.record:RecordScreen"),
    ("Choosing files", "screens.files:FilesScreen"),
    ("Choosing files", "screens.files:FileList"),
    ("A link", "screens.link:LinkScreen"),
    ("Leaving", "screens.quit:QuitScreen"),
    ("A question", "screens.line:SureScreen"),
    ("Setting up", "screens.setup:SetUpScreen"),
    ("Help", "screens.help:HelpScreen"),
    ("Lists", "widgets.choice_list:ChoiceList"),
    ("Lists", "widgets.row_list:RowList"),
    ("Sheets", "screens.sheet:SheetScreen"),
)
"""Where keys are bound: what a person calls the place, and the class."""

_NAMES = {
    "pageup": "PgUp", "pagedown": "PgDn", "escape": "Esc", "slash": "/", "underscore": "_", "delete": "Del",
    "question_mark": "?", "left_square_bracket": "[", "right_square_bracket": "]", "backspace": "Backspace",
}  # fmt: skip
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """A key, or several for the same, what it does, and where."""

    keys: str
    text: str
    place: str


def key_name(key: str) -> str:
    """A key as it is printed: `Ctrl+_`, `F7`, `PgUp`, `x`."""
    held, _, last = key.rpartition("+")
    parts = [part.capitalize() for part in held.split("+") if part]
    if len(last) > 1:
        last = _NAMES.get(last, last.upper() if last[0] == "f" and last[1:].isdigit() else last.capitalize())
    elif parts:
        last = last.upper()
    return "+".join([*parts, last])


def key_names(keys: str) -> str:
    """Keys that do the same, those that few keyboards send left out."""
    named = dict.fromkeys(key_name(key) for key in keys.split(",") if not key.startswith("super+"))
    return ", ".join(list(named)[:_SHOWN])


def bound_keys() -> tuple[KeyEntry, ...]:
    """Every key that is bound anywhere, by place."""
    entries = []
    for place, where in PLACES:
        module, _, name = where.partition(":")
        bindings: list[BindingType] = vars(getattr(import_module(f"gemma_tui.tui.{module}"), name)).get("BINDINGS", [])
        for binding in bindings:
            assert isinstance(binding, Binding)
            text = binding.description[:1].upper() + binding.description[1:]
            entries.append(KeyEntry(key_names(binding.key), text, place))
    return tuple(dict.fromkeys(entries))
