"""The transcript as a conversation sees it: messages, replies, and how each ended, in words."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from gemma_backend.types import Failed, Finished
from gemma_tui.tui.transcript.furniture import Attachment
from gemma_tui.tui.transcript.view import Transcript

QUEUED = "kept, and sent when the engine is ready"


class TalkView:
    """Puts a conversation on `transcript`; turns that were cleared away meanwhile are passed over."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self._reasoned: set[int] = set()

    def add_user(self, text: str, attachments: Sequence[Attachment], *, queued: bool) -> int:
        """Show a message and return its turn."""
        return self._transcript.add_turn("user", text, attachments, note=QUEUED if queued else "")

    def mark_sent(self, turn: int) -> None:
        """A message that was kept is on its way."""
        with suppress(KeyError):
            self._transcript.set_note(turn, "")

    def begin_reply(self) -> int:
        """Show the beginning of a reply and return its turn."""
        return self._transcript.add_turn("assistant")

    def append(self, turn: int, text: str, reasoning: str = "") -> None:
        """Show more of a reply; reasoning stands as a note that it goes on, apart from the answer."""
        with suppress(KeyError):
            if reasoning and turn not in self._reasoned:
                self._reasoned.add(turn)
                self._transcript.set_note(turn, "reasoning first")
            if text:
                self._transcript.append(turn, text)

    def end_reply(self, turn: int, event: Finished | Failed, *, empty: bool) -> None:
        """Show that a reply has ended, and how."""
        with suppress(KeyError):
            if isinstance(event, Failed):
                self._transcript.finish(turn, note=f"{event.message} Ctrl+R asks again.", kind="error")
            elif event.reason == "abort":
                self._transcript.finish(turn, note="Stopped.", kind="stopped")
            elif event.reason == "length":
                self._transcript.finish(turn, note="Cut off at the limit of tokens.", kind="cut")
            elif empty:
                self._transcript.finish(turn, note="The model ended its reply without a word.", kind="info")
            else:
                self._transcript.finish(turn)
