"""The tokens of the message being written, counted by the server once typing pauses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gemma_backend.types import AudioPart, ImagePart, TextPart
from gemma_tui.tui.widgets.chips import Chip
from gemma_tui.tui.widgets.preview import part_cost

if TYPE_CHECKING:
    from gemma_backend.session.session import Session

PAUSE_SECONDS = 0.6
"""How long nothing must be typed before the server is asked."""


class Counter:
    """Counts text by the server and media by their budgets; nothing is told where the server does not count."""

    def __init__(self, session: Callable[[], Session | None]) -> None:
        self._session = session
        self._counted: tuple[str, int] | None = None

    async def count(self, text: str, chips: tuple[Chip, ...]) -> int | None:
        """The tokens of the message, None where they are not known."""
        session = self._session()
        if session is None or session.endpoint is None or session.state != "ready":
            return None
        if session.offer is None or not session.offer.has_tokenize:
            return None
        texts = [chip.part.text for chip in chips if isinstance(chip.part, TextPart)]
        whole = "\n\n".join([*texts, text] if text else texts)
        if whole and (self._counted is None or self._counted[0] != whole):
            # With its HTTP client this is an eighth of all that is imported before typing is accepted.
            from gemma_backend.endpoint.tokenize import count_tokens

            counted = await count_tokens(session.endpoint, session.model, whole)
            if counted is None:
                return None
            self._counted = whole, counted
        media = [chip.part for chip in chips if isinstance(chip.part, ImagePart | AudioPart)]
        return (self._counted[1] if whole and self._counted else 0) + sum(part_cost(part) for part in media)
