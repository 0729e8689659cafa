"""Which profile to switch to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from gemma_backend.text.clean import clean
from gemma_backend.types import GemmaError
from gemma_tui.tui.screens.sheet import SheetScreen
from gemma_tui.tui.widgets.choice_list import ChoiceList, Item
from gemma_tui.tui.widgets.preview import size_words

if TYPE_CHECKING:
    from gemma_backend.config.profiles import Profile


class ProfilesScreen(SheetScreen[str | None]):
    """Every profile with what it still lacks; the result is the chosen one's name.

    `in_use` is the one that is talked to.
    """

    def __init__(self, in_use: str) -> None:
        super().__init__()
        self._in_use = in_use
        self._names: list[str] = []

    def compose(self) -> ComposeResult:
        with Vertical(id="sheet") as sheet:
            sheet.border_title = "Switch to which profile?"
            sheet.border_subtitle = "Enter chooses · Esc closes"
            words = "It goes on with the conversation. A checkpoint is fetched meanwhile."
            yield Static(words, id="words", classes="muted", markup=False)
            yield ChoiceList(id="choices")

    def on_mount(self) -> None:
        self.query_one(ChoiceList).focus()
        self.look()

    @work
    async def look(self) -> None:
        """Show the profiles, once it is known what each lacks."""
        try:
            found = await asyncio.to_thread(_found)
        except GemmaError as error:
            self.query_one("#words", Static).update(clean(str(error)))
            return
        self._names = [profile.name for profile, _, _ in found]
        items = [
            Item(
                profile.title or profile.name,
                (words,),
                possible,
                "in use" if profile.name == self._in_use else profile.name,
            )
            for profile, words, possible in found
        ]
        place = self._names.index(self._in_use) if self._in_use in self._names else 0
        self.query_one(ChoiceList).show(items, place)

    @on(ChoiceList.Taken)
    def take(self, message: ChoiceList.Taken) -> None:
        """Use the chosen one."""
        self.dismiss(self._names[message.index])


def _found() -> list[tuple[Profile, str, bool]]:
    """The profiles, of each in a few words what has to be done first, and whether it can be used at all."""
    from gemma_backend.config.profiles import list_profiles
    from gemma_backend.session.fetching import lacking

    found = []
    for profile in list_profiles():
        if profile.url is not None or profile.checkpoint is None:
            if profile.url is not None:
                found.append((profile, profile.url, True))
            continue
        try:
            lacks = lacking(profile)
        except GemmaError as error:
            found.append((profile, str(error), False))
            continue
        words = []
        if "runtime" in lacks:
            image = profile.runtime.partition(":")[2]
            words.append(
                f"the image {image} is fetched first" if image else f"the {profile.runtime} runtime comes first"
            )
        if "checkpoint" in lacks:
            words.append(
                f"{size_words(profile.download_bytes)} to fetch" if profile.download_bytes else "to be fetched"
            )
        found.append((profile, " · ".join(words) or "ready to start", True))
    return found
