"""The terminal UI as a whole: opens a session, follows its engine, and leaves nothing behind when it ends."""

from __future__ import annotations

import asyncio
import importlib
import signal
from collections.abc import Callable, Iterable
from contextlib import aclosing, suppress
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Self

from textual import work
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from gemma_backend.types import EngineReady, EngineState, GemmaError, LogLine, UsageError
from gemma_tui.tui.early import EarlyKeys
from gemma_tui.tui.fetching import MEANWHILE, FetchingApp
from gemma_tui.tui.keeping import KeepingApp
from gemma_tui.tui.opening import ChooseModel, Opened, Opener, SetUpNeeded, Wanted, open_session
from gemma_tui.tui.screens.main import MainScreen
from gemma_tui.tui.suspending import SuspendingApp
from gemma_tui.tui.terminal_input import AskedApp, keep_answers_from_keys
from gemma_tui.tui.themes import DARK, OWN, high_contrast, other_way_round, variable_defaults

if TYPE_CHECKING:
    from textual.theme import Theme

    from gemma_backend.metrics.facts import Facts
    from gemma_backend.metrics.poll import Poller
    from gemma_backend.session.session import Session
    from gemma_backend.session.talk import Talk

QUIT_AGAIN_SECONDS = 2.0


class GemmaApp(EarlyKeys, AskedApp, KeepingApp, FetchingApp, SuspendingApp):
    """One terminal, one session; the result of `run()` is the exit code."""

    CSS_PATH = "styles/gemma.tcss"
    TITLE = "gemma-tui"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "quit", "Quit; asks what becomes of the engine", show=False, priority=True),
        Binding("ctrl+c", "interrupt", "Copy what is selected; twice: quit", show=False, system=True),
        Binding("ctrl+t", "theme", "Switch between dark and light"),
        Binding("alt+l", "high_contrast", "High contrast, or back", show=False),
        Binding("f1", "keys", "Show every key and command"),
        Binding("f4,ctrl+l", "log", "Show the engine's log"),
        Binding("alt+s,shift+f3", "figures", "Show the engine's figures over the whole screen"),
        Binding("alt+p", "switch", "Switch to another profile, first of all to one that was fetched", priority=True),
    ]

    def __init__(
        self,
        wanted: Wanted | None = None,
        *,
        opener: Opener = open_session,
        theme: str = DARK.name,
        board: bool = True,
        mouse: bool = True,
        pictures: str = "auto",
        poll: bool = True,
        now: Callable[[], float] = monotonic,
    ) -> None:
        super().__init__()
        self.wanted = wanted or Wanted()
        self.session: Session | None = None
        self.bug_log: str | None = None
        self.context_length: int | None = None
        self._mouse = mouse
        self._opener = opener
        self._poll = poll
        self._poller: Poller | None = None
        self._now = now
        self._opening_failed = False
        self._quitting = False
        self._interrupted_at = float("-inf")
        self._state_since = now()
        self._last_state: EngineState = "starting"
        self.main = MainScreen(board=board, now=now, pictures=pictures)
        for own in OWN.values():
            self.register_theme(own)
        self.theme = theme if theme in self.available_themes else DARK.name

    @classmethod
    def asked_for(
        cls,
        *,
        url: str | None,
        api_key_file: str | None,
        ca_file: str | None,
        insecure: bool,
        model: str | None,
        profile: str | None,
        yes: bool,
        no_history: bool,
        theme: str | None,
        board: bool,
        mouse: bool,
        pictures: str,
    ) -> Self:
        """The app for what the command line and the person's settings ask for."""
        wanted = Wanted(url, api_key_file, ca_file, insecure, model, profile, yes, no_history)
        app = cls(wanted, theme=theme or DARK.name, board=board, mouse=mouse, pictures=pictures)
        if theme is not None and theme not in app.available_themes:
            names = ", ".join(sorted(app.available_themes))
            raise UsageError(f"There is no theme {theme!r} (ui.theme): choose one of {names}.")
        return app

    def run(self, **options: Any) -> int | None:
        """Run until the person leaves; the mouse is taken only where the settings say so."""
        keep_answers_from_keys()
        return super().run(**{"mouse": self._mouse} | options)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return variable_defaults()

    def get_default_screen(self) -> MainScreen:
        return self.main

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """What the palette offers: Textual's own commands, and on the main screen ours."""
        # The keys are on a sheet of our own, and there is nothing to maximise.
        ours = (command for command in super().get_system_commands(screen) if command.title not in ("Keys", "Maximize"))
        yield from ours
        if screen is self.main:
            from gemma_tui.tui.palette import palette_commands

            yield from palette_commands(self)
            yield from (SystemCommand(*command) for command in self.main.studio_commands())

    def on_mount(self) -> None:
        # A closed terminal or a `kill` ends the engine with the app, as quitting does.
        if not self.is_headless and hasattr(signal, "SIGHUP"):
            for number in (signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, self.call_later, self.quit_now)
        self.wait_for_answers()
        self.call_after_refresh(self.release_keys)
        self.call_after_refresh(self.open)
        if self._poll:
            self.call_after_refresh(self.meter)

    # -- the session

    @property
    def state(self) -> EngineState:
        """The engine's state; while a session is still being chosen it is starting."""
        if self._quitting:
            return "stopping"
        if self.session is None:
            return "failed" if self._opening_failed else "starting"
        return "starting" if self.session.state == "stopped" else self.session.state

    @property
    def state_seconds(self) -> float:
        """For how long the state has been what it is."""
        if self.state != self._last_state:
            self._last_state, self._state_since = self.state, self._now()
        return self._now() - self._state_since

    @work(exclusive=True, group="open")
    async def open(self) -> None:
        """Choose what to talk to and begin to bring it up; a doubt becomes a screen, a failure a sentence."""
        self._opening_failed = False
        try:
            opening = await self._opener(self.wanted)
        except GemmaError as error:
            self._opening_failed = True
            self.main.fail(str(error))
            return
        match opening:
            case Opened():
                if self.wanted.fetch:
                    opening = replace(opening, why=MEANWHILE)
                await self.use_session(opening)
                await self.go_on_fetching()
            case ChooseModel(models=models):
                from gemma_tui.tui.screens.models import ModelScreen

                model = await self.push_screen_wait(ModelScreen(models))
                if model is None:
                    await self.action_quit()
                else:
                    self.wanted = self.wanted.with_model(model)
                    self.open()
            case SetUpNeeded():
                chosen = await self.meanwhile(opening)
                if chosen is None:
                    from gemma_tui.tui.screens.setup import SetUpScreen

                    chosen = await self.push_screen_wait(SetUpScreen(opening, self.wanted))
                if chosen is None:
                    await self.action_quit()
                else:
                    self.wanted = chosen
                    self.open()

    async def start_again(self) -> None:
        """Try once more what failed."""
        if self.session is None:
            self.open()
            return
        try:
            await self.session.start()
        except GemmaError as error:
            self.main.notice.say(str(error), "error", keys="F4 shows the log · Esc closes this")
        self._state_since = self._now()
        self.main.changed()

    async def use_session(self, opened: Opened, talk: Talk | None = None) -> None:
        """Use a session from now on, and go on with `talk` in it."""
        opened.session.keep_in(await self.open_history())
        opened.session.talk.trouble = self.main.refuse
        if talk is not None:
            opened.session.converse(talk)
        self.session, self.context_length = opened.session, None
        # What was installed or chosen before is no part of the start.
        self._state_since = self._now()
        self.main.introduce(opened)
        await self.session.start()
        self.follow(self.session)

    @work(group="follow")
    async def follow(self, session: Session) -> None:
        """Hand every event of the engine to the screen."""
        async for event in session.watch():
            if session is not self.session:
                # Another profile was switched to: what this engine still says is no news.
                return
            if isinstance(event, EngineReady):
                await self._learn_context(session)
                if self._poller is not None:
                    self._poller.far = session.far
                self.run_worker(self._learn_facts(session), group="facts", exclusive=True)
            if self._poller is not None and not isinstance(event, LogLine):
                # Before it is ready an engine has no figures, but its processes have.
                self._poller.watch(session.endpoint if session.state == "ready" else None, session.pid)
            self.main.take(event)

    @work(group="meter")
    async def meter(self) -> None:
        """Give the dashboard a sample a second, from this machine alone until there is a server."""
        await asyncio.to_thread(importlib.import_module, "gemma_backend.metrics.poll")
        from gemma_backend.metrics.poll import Poller

        self._poller = Poller(None, own=self.main.conversation.measures)
        if self.session is not None and self.session.state == "ready":
            self._poller.watch(self.session.endpoint, self.session.pid)
        async with aclosing(self._poller.samples()) as samples:
            async for sample in samples:
                self.main.dashboard.show(sample)

    async def _learn_facts(self, session: Session) -> None:
        def facts() -> Facts | None:
            from gemma_backend.session.known import facts_of_session

            return facts_of_session(session)

        # Of a server elsewhere nothing is known.
        self.main.dashboard.show_facts(await asyncio.to_thread(facts) if session.pid is not None else None)

    async def _learn_context(self, session: Session) -> None:
        from gemma_backend.endpoint.probe import offers

        offer = session.offer
        if offer is None and session.endpoint is not None:
            with suppress(GemmaError):
                offer = await offers(session.endpoint)
        for model in offer.models if offer else ():
            if model.id == session.model:
                self.context_length = model.max_model_len

    # -- leaving

    async def action_quit(self) -> None:
        """Ask once what becomes of an engine that was started here, then leave."""
        session = self.session
        alive = session is not None and session.managed and session.state in ("starting", "ready")
        if session is None or not alive or session.settings.engine.on_quit != "ask" or self._quitting:
            await self.quit_now()
            return
        from gemma_tui.tui.screens.quit import QuitScreen

        if isinstance(self.screen, QuitScreen):
            # Whoever asks to leave once more wants nothing but that.
            self.screen.dismiss("stop")
        else:
            self.push_screen(QuitScreen(session.settings.engine.idle_minutes), self._answered)

    async def _answered(self, answer: str | None) -> None:
        if answer is None or self.session is None:
            return
        from gemma_backend.config.remember import remember

        with suppress(GemmaError, OSError):
            await asyncio.to_thread(remember, "engine", "on_quit", answer)
        self.session.keep_on_close = answer == "keep"
        await self.quit_now()

    async def quit_now(self) -> None:
        """Stop the engine that was started here, visibly, then leave."""
        if self._quitting:
            return
        self._quitting = True
        if self.session is not None and self.session.settings.engine.on_quit == "keep":
            self.session.keep_on_close = True
        self.main.changed()
        self.leave()

    @work(exclusive=True, group="leave")
    async def leave(self) -> None:
        """Close the session and end the app."""
        if self.session is not None:
            await self.session.close()
        self.exit(0)

    async def action_interrupt(self) -> None:
        """Copy a selection; otherwise stop the reply, and quit when pressed twice."""
        selected = self.screen.get_selected_text()
        if selected:
            self.copy_to_clipboard(selected)
            self.screen.clear_selection()
            return
        if self._now() - self._interrupted_at < QUIT_AGAIN_SECONDS:
            await self.quit_now()
            return
        self._interrupted_at = self._now()
        await self.main.conversation.cancel()
        self.main.notice.say("Press Ctrl+C once more to quit.")
        self.set_timer(QUIT_AGAIN_SECONDS, self._forget_interrupt)

    def _forget_interrupt(self) -> None:
        if self.main.notice.message.startswith("Press Ctrl+C"):
            self.main.notice.close()

    # -- the rest

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """In the studio Ctrl+Z takes a step back; the palette suspends there too."""
        if action == "suspend":
            return self.main.mode == "chat" or self.screen is not self.main
        return super().check_action(action, parameters)

    def action_theme(self) -> None:
        """Dark to light and back; from any other theme to ours of the other kind."""
        self.theme = other_way_round(self.current_theme)

    def action_high_contrast(self) -> None:
        """To high contrast and back, as dark or light as it is."""
        self.theme = high_contrast(self.current_theme)

    def get_theme(self, theme_name: str) -> Theme | None:
        """A theme by name; those that are not ours with text that can be read."""
        theme = super().get_theme(theme_name)
        if theme is None or theme.name in OWN:
            return theme
        from gemma_tui.tui.contrast import legible

        return legible(theme)

    async def action_keys(self) -> None:
        """Show every key and every command, to be searched."""
        from gemma_tui.tui.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            await self.main.commander.run("/keys")

    def action_figures(self) -> None:
        """Show the engine's figures over the whole screen."""
        from gemma_tui.tui.screens.figures import FiguresScreen

        if not isinstance(self.screen, FiguresScreen):
            self.push_screen(FiguresScreen(self.main.dashboard, self._poller))

    def action_log(self) -> None:
        """Show the engine's log."""
        from gemma_tui.tui.screens.log import LogScreen, log_of

        if not isinstance(self.screen, LogScreen):
            self.push_screen(LogScreen(*log_of(self.session)))

    def _handle_exception(self, error: Exception) -> None:
        """A bug of ours: the traceback goes to the log without variables, and the terminal is given back."""
        from gemma_backend.config.log import log_bug

        if self.bug_log is None:
            # A worker's exception comes wrapped, with the real one inside.
            self.bug_log = str(log_bug(getattr(error, "error", error)))
            self._exception = error
            self._exception_event.set()
        self._return_code = 70
        self._close_messages_no_wait()
