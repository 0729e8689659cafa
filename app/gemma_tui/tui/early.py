"""Keys typed before there is a focus to type into: Textual drops them, this keeps them."""

from __future__ import annotations

from textual import events
from textual.app import App
from textual.message import Message


class EarlyKeys(App[int]):
    """An app that holds keys and pastes back until `release_keys` is called, once something has the focus."""

    def __init__(self) -> None:
        super().__init__()
        self._held: list[Message] | None = []

    async def on_event(self, event: events.Event) -> None:
        """Hold early input, pass everything else on."""
        if self._held is not None and isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            self._held.append(event)
            return
        await super().on_event(event)

    def release_keys(self) -> None:
        """Deliver what was held, in order, to the widget that has the focus now; does nothing the second time."""
        held, self._held = self._held, None
        for event in held or ():
            self.post_message(event)
