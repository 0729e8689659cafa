"""The main screen: transcript or completion document, composer, status line and dashboard."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.timer import Timer

from gemma_backend.types import EngineEvent, EngineFailed, EngineNote, EngineReady, EngineState, LogLine
from gemma_tui.tui.conversation import Conversation
from gemma_tui.tui.screens.composing import HINT
from gemma_tui.tui.screens.remembering import RememberingScreen
from gemma_tui.tui.studio.opening import open_studio
from gemma_tui.tui.talk_view import TalkView
from gemma_tui.tui.transcript.view import Transcript
from gemma_tui.tui.widgets.dashboard import Dashboard
from gemma_tui.tui.widgets.keybar import Key, KeyBar
from gemma_tui.tui.widgets.start_view import StartView
from gemma_tui.tui.widgets.status import StatusBar

if TYPE_CHECKING:
    from gemma_tui.tui.app import GemmaApp
    from gemma_tui.tui.opening import Opened
    from gemma_tui.tui.studio.pad import StudioPad
    from gemma_tui.tui.studio.room import StudioRoom
    from gemma_tui.tui.widgets.composer import Composer

WIDE = 100
TICK_SECONDS = 0.25


class Frame(Vertical):
    """Holds others and is covered by them: left blank, it costs nothing each time one of them is drawn."""

    BLANK = True


class MainScreen(RememberingScreen):
    """Where a person talks to the model."""

    BLANK = True

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop", "Stop the reply", show=False),
        Binding("f2,ctrl+o", "mode", "Switch between chat and completion"),
        Binding("f3,ctrl+s", "board", "Show or hide the dashboard"),
        Binding("ctrl+n", "new", "Begin a new conversation"),
        Binding("ctrl+r", "again", "Try again: start the engine, or ask once more"),
        Binding("ctrl+g,f5", "continue", "Continue the completion document"),
        Binding("pageup", "page(-1)", "Scroll back", show=False, priority=True),
        Binding("pagedown", "page(1)", "Scroll on", show=False, priority=True),
        Binding("ctrl+up", "turn(-1)", "Go to the previous turn", show=False, priority=True),
        Binding("ctrl+down", "turn(1)", "Go to the next turn", show=False, priority=True),
        Binding("ctrl+end", "end", "Go to the end", show=False, priority=True),
    ]

    def __init__(self, *, board: bool, now: Callable[[], float], pictures: str = "auto") -> None:
        super().__init__(pictures=pictures)
        self.mode = "chat"
        self.transcript = Transcript(id="transcript")
        self.start_view = StartView(id="start", now=now)
        self.studio: StudioRoom | None = None
        self.status = StatusBar(id="status")
        self.keys = KeyBar(id="keys")
        self.dashboard = Dashboard(id="dashboard", under_status=True)
        self.stage = Frame(self.transcript, id="stage")
        self.view = TalkView(self.transcript)
        self.conversation = Conversation(self.view, self.changed, self.run_worker, now)
        self.conversation.early_talk = self.early_talk
        self.commander.register("switch", lambda name: self.gemma.switch_command(name))
        self.commander.register("fetch", lambda name: self.gemma.fetch_command(name))
        self._board = board
        self._ticker: Timer | None = None

    @property
    def gemma(self) -> GemmaApp:
        """The app, by its own type."""
        from gemma_tui.tui.app import GemmaApp

        assert isinstance(self.app, GemmaApp)
        return self.app

    def compose(self) -> ComposeResult:
        with Frame(id="body"):
            with Vertical(id="talk"):
                yield self.stage
                yield self.start_view
                yield self.notice
                yield self.chips
                yield self.completions
                yield self.composer
            yield self.dashboard
        yield self.status
        yield self.keys

    def on_mount(self) -> None:
        self.composer.border_title = "message"
        self.composer.border_subtitle = HINT
        self.composer.focus()
        self._ticker = self.set_interval(TICK_SECONDS, self.tick, pause=True)
        self.changed()

    def on_resize(self) -> None:
        wide = self.size.width >= WIDE
        self.set_class(wide, "-wide")
        self.set_class(not wide, "-narrow")
        self.set_class(self._board, "-board")

    # -- the engine

    def introduce(self, opened: Opened) -> None:
        """A session was chosen: say which, and use it."""
        self.start_view.introduce(opened.title, opened.why)
        self.start_view.begin()
        for warning in opened.warnings:
            self.notice.say(warning, "warning", keys="Esc closes this")
        self.conversation.attach(opened.session)
        self.use_settings(opened.session)
        self.changed()

    def take(self, event: EngineEvent) -> None:
        """Show an event of the engine."""
        self.start_view.take(event)
        if isinstance(event, LogLine):
            return
        if isinstance(event, EngineFailed):
            failure = event.failure
            log = f"\nThe whole log: {failure.log_path}" if failure.log_path else ""
            self.notice.say(failure.cause, "error", advice=f"{failure.advice}{log}".strip(), keys="Ctrl+R tries again")
        elif isinstance(event, EngineReady) and self.notice.kind == "error":
            self.notice.close()
        elif isinstance(event, EngineNote) and self.start_view.has_class("-compact") and not self.notice.message:
            # Before anything was said the start has room for it.
            self.notice.say(event.text, keys="Esc closes this")
        self.changed()

    def fail(self, sentence: str) -> None:
        """Nothing could be opened: say why, and how to try again."""
        self.start_view.introduce("gemma-tui", "Nothing is running.")
        self.start_view.fail()
        self.notice.say(sentence, "error", keys="Ctrl+R tries again")
        self.changed()

    def tick(self) -> None:
        """A quarter of a second has passed: times and rates move on."""
        self.start_view.tick()
        self.changed()

    def changed(self) -> None:
        """Bring what is shown, status line, dashboard and keys up to date."""
        session, pace = self.conversation.session, self.conversation.pace
        state = self.gemma.state
        self._arrange(state)
        phase = self.start_view.current
        elapsed = pace.seconds if pace.answering else self.gemma.state_seconds
        self.status.show(
            state=state,
            phase=phase.name if phase else "",
            elapsed=elapsed,
            answering=pace.answering,
            queued=self.conversation.queued,
            model=session.model if session else "",
            mode=" · ".join(filter(None, (self.kept_word, self.mode))),
            rate=pace.rate,
            used=pace.used,
            context=self.gemma.context_length,
        )
        moving = state in ("starting", "stopping")
        if self._ticker is not None:
            # Nothing wakes up a screen on which nothing moves.
            (self._ticker.resume if moving or pace.answering else self._ticker.pause)()
        self.dashboard.show_engine(state, phase, self.gemma.state_seconds if moving else None)
        keys = [Key("F1", "Help", "app.keys")]
        if self.gemma.fetched is not None:
            keys.insert(0, Key("Alt+P", f"Switch to {self.gemma.fetched}", "app.switch"))
        if pace.answering:
            keys.insert(0, Key("Esc", "Stop", "screen.stop"))
        if state == "failed" or self.conversation.unanswered:
            keys.insert(0, Key("^R", "Retry", "screen.again"))
        if self.studio is not None and self.mode == "completion":
            keys += self.studio.keys
        keys.append(Key("F2", "Chat" if self.mode == "completion" else "Complete", "screen.mode"))
        keys += [Key("F3", "Dashboard", "screen.board"), Key("F4", "Log", "app.log")]
        if self.mode == "chat":
            keys.append(Key("F6", "History", "screen.history"))
        keys += [Key("^N", "New", "screen.new"), Key("^Q", "Quit", "app.quit")]
        if self.mode == "chat":
            keys.append(Key("F7", "Turns", "screen.choose_turn(0)"))
        keys.append(Key("^T", "Theme", "app.theme"))
        self.keys.keys = tuple(self.turn_keys() or keys)

    def _arrange(self, state: EngineState) -> None:
        """The start fills the screen until something was said; after that it is a few lines, until it is over."""
        begun = self.mode == "completion" or bool(self.transcript.document.turns)
        self.stage.display = begun
        self.transcript.display = self.mode == "chat"
        if self.studio is not None:
            self.studio.display = self.mode == "completion"
        self.start_view.set_class(begun, "-compact")
        self.start_view.display = not begun or state == "starting"

    @on(KeyBar.Clicked)
    async def run_key(self, message: KeyBar.Clicked) -> None:
        """Do what a clicked key does."""
        await self.run_action(message.action)

    # -- actions

    async def action_stop(self) -> None:
        """Leave the chosen turn, or end the reply in flight; where there is neither, close the notice."""
        if self.leave_turn():
            return
        if not await self.conversation.cancel():
            self.notice.close()
        if self.mode == "chat":
            self.composer.focus()

    async def action_mode(self) -> None:
        """Switch between chat and completion; both keep what is in them."""
        if self.studio is None:
            self.studio = await open_studio(self.gemma, self)
        self.mode = "completion" if self.mode == "chat" else "chat"
        completion = self.mode == "completion"
        self.composer.display = not completion
        self.chips.display = not completion
        self.changed()
        (self.studio.pad if completion else self.composer).focus()

    def action_board(self) -> None:
        """Show or hide the dashboard."""
        self._board = not self._board
        self.set_class(self._board, "-board")

    async def action_new(self) -> None:
        """Begin a new conversation, or an empty document."""
        if self.studio is not None and self.mode == "completion":
            await self.studio.new_document()
            self.notice.close()
            return
        await self.conversation.cancel()
        self.leave_turn()
        self.conversation.forget()
        self.view.clear()
        self.notice.close()
        self.composer.focus()
        self.changed()

    async def action_again(self) -> None:
        """Start the engine again after a failure, else ask the unanswered message once more."""
        if self.gemma.state == "failed":
            self.notice.close()
            self.start_view.begin()
            await self.gemma.start_again()
            self.conversation.pump()
        elif not self.conversation.ask_again():
            self.refuse("There is nothing to try again.")

    def action_continue(self) -> None:
        """Continue the completion document."""
        if self.studio is not None and self.mode == "completion":
            self.studio.ask()

    def studio_commands(self) -> list[tuple[str, str, Callable[[], Awaitable[object]]]]:
        """What the palette offers in the studio: title, a few words, and what does it."""
        if self.studio is None or self.mode != "completion":
            return []
        run = self.studio.run_action
        return [(tool.title, tool.text, partial(run, tool.action)) for tool in self.studio.tools if not tool.lacking]

    async def action_studio(self, action: str) -> None:
        """Do something in the studio, from wherever the key or the click came."""
        if self.studio is not None and self.mode == "completion":
            await self.studio.run_action(action)

    def action_page(self, direction: int) -> None:
        """Scroll by a page, back or on."""
        if self.studio is not None and self.mode == "completion":
            self.studio.pad.action_to("page up" if direction < 0 else "page down")
        elif direction < 0:
            self.transcript.action_page_up()
        else:
            self.transcript.action_page_down()

    def action_turn(self, direction: int) -> None:
        """Go to the previous or next turn."""
        if self.studio is not None and self.mode == "completion":
            self.studio.pad.go_to_span(direction)
        else:
            self.transcript.jump_turn(direction)

    def action_end(self) -> None:
        """Go to the end and follow it."""
        if self.studio is not None and self.mode == "completion":
            self.studio.pad.action_to("end")
        else:
            self.transcript.follow_end()

    def action_copy_reply(self) -> None:
        """Copy the last reply's whole text."""
        replies = [turn for turn in self.transcript.document.turns if turn.role == "assistant"]
        if replies:
            self.app.copy_to_clipboard(replies[-1].text)
            self.notice.say("Copied the last reply.", keys="Esc closes this")

    @property
    def writing(self) -> StudioPad | Composer:
        """What is typed into in this mode."""
        return self.studio.pad if self.studio is not None and self.mode == "completion" else self.composer

    # -- keys and pastes that met something without a use for them

    def on_key(self, event: events.Key) -> None:
        """What is typed goes to the message, wherever the focus was left by the mouse."""
        area = self.writing
        if event.is_printable and event.character is not None and not area.has_focus and not area.read_only:
            event.stop()
            area.focus()
            area.type_in(event.character)

    def on_paste(self, event: events.Paste) -> None:
        """A file dropped while something else has the focus is meant for the message as well."""
        area = self.writing
        if not area.has_focus:
            event.stop()
            area.focus()
            area.post_message(events.Paste(event.text))

    @on(Transcript.CopyRequested)
    def copy(self, message: Transcript.CopyRequested) -> None:
        """Copy what the transcript hands over."""
        self.app.copy_to_clipboard(message.text)
        self.notice.say(f"Copied {message.what}.", keys="Esc closes this")
