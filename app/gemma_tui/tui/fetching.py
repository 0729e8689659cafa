"""Downloads beside the conversation: begun and stopped here, shown in the status line, switched to once they end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual import work
from textual.app import App
from textual.timer import Timer

from gemma_backend.types import GemmaError
from gemma_tui.tui.opening import Opened, Opener, SetUpNeeded, Wanted
from gemma_tui.tui.screens.turning import BUSY
from gemma_tui.tui.widgets.dashboard_words import clock
from gemma_tui.tui.widgets.preview import size_words

if TYPE_CHECKING:
    from gemma_backend.session.fetching import Fetching, FetchState
    from gemma_backend.session.session import Session
    from gemma_backend.session.talk import Talk
    from gemma_tui.tui.screens.main import MainScreen

TICK_SECONDS = 0.5
POCKET = "pocket"
MEANWHILE = "It answers while the other checkpoint is fetched; the status line shows how far that is."


class FetchingApp(App[int]):
    """An app that fetches a checkpoint while another one is talked to."""

    main: MainScreen
    wanted: Wanted
    session: Session | None
    _opener: Opener

    def __init__(self) -> None:
        super().__init__()
        self.fetching: Fetching | None = None
        # The profile that can be switched to because its checkpoint has come.
        self.fetched: str | None = None
        self._fetch_timer: Timer | None = None

    async def use_session(self, opened: Opened, talk: Talk | None = None) -> None:
        """Use a session from now on, and go on with `talk` in it."""
        raise NotImplementedError

    async def on_unmount(self) -> None:
        # Its thread dies with the program; what it has got is on the disk, and the next run goes on.
        if self.fetching is not None:
            self.fetching.leave()

    # -- fetching

    async def meanwhile(self, needed: SetUpNeeded) -> Wanted | None:
        """What to open instead where an earlier run was asked to fetch just what is lacking, None where none was."""
        return await asyncio.to_thread(_meanwhile, needed, self.wanted)

    async def go_on_fetching(self) -> None:
        """Fetch what the set-up screen was asked for, or what an earlier run did not end."""
        from gemma_backend.session.fetching import unfinished

        if self.session is None or self.session.profile is None or self.session.profile.url is not None:
            return
        found = None if self.wanted.fetch else await asyncio.to_thread(unfinished)
        if name := self.wanted.fetch or (found.name if found is not None else ""):
            self.fetch(name)

    def fetch_command(self, argument: str) -> None:
        """Fetch a profile's checkpoint, stop that, or say how far it is."""
        if argument == "stop":
            self.stop_fetching()
        elif argument:
            self.fetch(argument)
        elif self.fetching is None:
            self.main.refuse("Nothing is being fetched; /fetch PROFILE fetches a profile's checkpoint.")
        else:
            self.main.tell(said(self.fetching.profile.title or self.fetching.profile.name, self.fetching.state))

    def stop_fetching(self) -> None:
        """Stop the download; what came is kept."""
        if self.fetching is None or self.fetching.state.stage not in ("running", "waiting"):
            self.main.refuse("Nothing is being fetched.")
            return
        self.fetching.stop()
        self.main.tell(f"Stopped; what was fetched is kept. /fetch {self.fetching.profile.name} goes on.")
        self._look_at_fetch()

    @work(group="fetch")
    async def fetch(self, name: str) -> None:
        """Begin to fetch what the profile `name` lacks, or go on with it."""
        from gemma_backend.config.profiles import load_profile
        from gemma_backend.session.fetching import Fetching, lacking

        try:
            profile = await asyncio.to_thread(load_profile, name)
            lacks = await asyncio.to_thread(lacking, profile) if profile.url is None else ()
        except GemmaError as error:
            self.main.refuse(str(error))
            return
        running = self.fetching is not None and self.fetching.state.stage in ("running", "waiting")
        if running and self.fetching is not None and self.fetching.profile.checkpoint != profile.checkpoint:
            self.main.refuse(
                f"{self.fetching.profile.checkpoint} is being fetched: wait for it, or stop it with /fetch stop."
            )
        elif "checkpoint" not in lacks:
            self.main.tell(f"The checkpoint of {name} is here already: /switch {name} uses it.")
        elif running and self.fetching is not None:
            self.main.tell(said(profile.title or name, self.fetching.state))
        else:
            self.fetched = None
            self.fetching = Fetching(profile)
            self.fetching.start()
            if self._fetch_timer is None:
                self._fetch_timer = self.set_interval(TICK_SECONDS, self._look_at_fetch)
            self._fetch_timer.resume()
            self._look_at_fetch()

    def _look_at_fetch(self) -> None:
        """Bring the status line up to date; at the end say so, once."""
        fetching, stage = self.fetching, self.fetching.state.stage if self.fetching is not None else ""
        if fetching is None:
            return
        self.main.status.show(fetch=short(fetching.state))
        if stage in ("running", "waiting"):
            return
        if self._fetch_timer is not None:
            self._fetch_timer.pause()
        name, title = fetching.profile.name, fetching.profile.title or fetching.profile.name
        if stage == "done":
            self.fetched = name
            self.main.notice.say(f"{title} is here.", keys="Alt+P switches to it · Esc closes this")
            self.main.changed()
        elif stage == "failed":
            self.main.notice.say(said(title, fetching.state), "warning", keys=f"/fetch {name} tries again")

    # -- switching

    def switch_command(self, name: str) -> None:
        """Switch to a profile, or show which there are."""
        if name:
            self.switch(name)
        else:
            self.choose_profile()

    def action_switch(self) -> None:
        """Switch to what was fetched; without anything show which profiles there are."""
        self.switch_command(self.fetched or "")

    @work(exclusive=True, group="switch")
    async def choose_profile(self) -> None:
        """Show the profiles and switch to the one that is chosen."""
        from gemma_tui.tui.screens.profiles import ProfilesScreen

        running = self.session.profile.name if self.session is not None and self.session.profile is not None else ""
        name = await self.push_screen_wait(ProfilesScreen(running))
        if name is not None:
            self.switch(name)

    @work(exclusive=True, group="switch")
    async def switch(self, name: str) -> None:
        """Stop the engine that was started here, start the profile's, and go on with the conversation in it."""
        old = self.session
        if self.main.conversation.answering:
            self.main.refuse(BUSY)
            return
        if old is not None and old.profile is not None and old.profile.name == name:
            self.main.tell(f"{name} is what is talked to now.")
            return
        wanted = self.wanted.with_profile(name)
        try:
            opening = await self._opener(wanted)
            if isinstance(opening, SetUpNeeded):
                if opening.lacks == ("checkpoint",):
                    self.main.tell(f"The checkpoint of {name} is fetched first, while you go on here.")
                    self.fetch(name)
                    return
                from gemma_tui.tui.screens.setup import SetUpScreen

                chosen = await self.push_screen_wait(SetUpScreen(opening, wanted, away="goes back"))
                if chosen is None:
                    return
                opening = await self._opener(chosen)
                wanted = chosen
        except GemmaError as error:
            self.main.refuse(str(error))
            return
        if not isinstance(opening, Opened):
            return
        self.main.notice.close()
        talk = None
        if old is not None:
            talk = old.talk
            await old.close()
        if self.fetched == name:
            self.fetched = None
            self.main.status.show(fetch=("", ""))
        self.wanted, self.session = wanted, None
        await self.use_session(opening, talk)


def _meanwhile(needed: SetUpNeeded, wanted: Wanted) -> Wanted | None:
    from gemma_backend.config.profiles import load_profile
    from gemma_backend.session.fetching import lacking, unfinished

    begun = unfinished()
    if begun is None or begun.name != needed.profile or needed.lacks != ("checkpoint",):
        return None
    return None if lacking(load_profile(POCKET)) else wanted.with_profile(POCKET, fetch=begun.name)


def short(state: FetchState) -> tuple[str, str]:
    """A few words for the status line, and fewer for a narrow one."""
    if state.stage == "running":
        left = f", {clock(state.left)}" if state.left is not None else ""
        share = f"↓ {min(state.done / state.total if state.total else 0.0, 0.99):.0%}"
        return f"{share} of {size_words(state.total)}{left}", share
    return {
        "waiting": ("↓ waits for the network", "↓ waits"),
        "done": ("↓ complete", "↓ complete"),
        "failed": ("↓ failed", "↓ failed"),
    }.get(state.stage, ("", ""))


def so_far(state: FetchState) -> str:
    """How much has come, and how long the rest may take or why it waits."""
    words = f"{size_words(state.done)} of {size_words(state.total)}"
    if state.stage == "waiting":
        return f"{words}, tried again soon: {state.sentence}"
    return f"{words}, {clock(state.left)} left" if state.left is not None else words


def said(title: str, state: FetchState) -> str:
    """A sentence on a download."""
    if state.stage in ("running", "waiting"):
        end = "" if state.stage == "waiting" else ". /fetch stop stops it."
        return f"{title}: {so_far(state)}{end}"
    if state.stage == "failed":
        return f"{title} was not fetched: {state.sentence}"
    return f"{title} is here." if state.stage == "done" else f"{title} was stopped at {so_far(state)}; that is kept."
