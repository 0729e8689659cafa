"""The studio as one widget, with the keys that work anywhere in it."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from gemma_tui.tui.studio.keys import ROOM_BINDINGS
from gemma_tui.tui.studio.saving import SavingPart


class StudioRoom(SavingPart):
    """Everything of completion mode that stands between the start and the status line."""

    BINDINGS: ClassVar[list[BindingType]] = ROOM_BINDINGS
