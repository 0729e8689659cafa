"""`gemma-tui --plain`: the conversation as lines, for screen readers, simple terminals and pipes.

Nothing is redrawn, and no colour carries a meaning. Replies go to standard output, everything else to standard error.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Any

from gemma_backend.text.clean import StreamCleaner, clean
from gemma_backend.types import (
    Delta,
    EngineFailed,
    EngineNote,
    EngineReady,
    Failed,
    Finished,
    GemmaError,
    PhaseChanged,
    StreamEvent,
)
from gemma_tui.cli.plain_input import Lines

if TYPE_CHECKING:
    from gemma_backend.session.session import Session
    from gemma_tui.cli.plain_commands import PlainCommands

ENDINGS = {"length": "(cut at the limit of tokens)", "abort": "(stopped)", "content_filter": "(cut by the server)"}


def run(args: argparse.Namespace) -> int:
    """Talk until the end of input; the last failure's code where nobody sat at a terminal, 130 after Ctrl-C twice."""
    from gemma_backend.config.settings import load
    from gemma_backend.types import UsageError
    from gemma_tui.cli.asked_session import session_for

    if args.url is not None and args.profile:
        raise UsageError("--url and --profile are two different places; give one of them.")
    settings = load({"profile": args.profile, "history.keep": False if args.no_history else None}).settings
    # Questions and installations come before the loop, in which Ctrl-C means something else.
    return asyncio.run(_talk(session_for(args, settings)))


async def _talk(session: Session) -> int:
    from gemma_backend.store.history import History
    from gemma_tui.cli.plain_commands import PlainCommands

    history = await asyncio.to_thread(lambda: History(keep=session.settings.history.keep))
    session.keep_in(history)
    session.talk.trouble = say
    lines = Lines()
    talk = PlainTalk(session, lines)
    commands = PlainCommands(talk, history)
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, talk.interrupt)
    await session.start()
    telling = asyncio.create_task(_tell(session))
    try:
        if lines.terminal:
            say("Write a message, or /help. A line that ends with a backslash goes on in the next one.")
        while not talk.over and (line := await lines.read()) is not None:
            await _one(line, talk, commands)
    finally:
        telling.cancel()
        lines.close()
        await session.close()
        await asyncio.to_thread(history.close)
    return 130 if talk.interrupted else 0 if lines.terminal else talk.code


async def _one(line: str, talk: PlainTalk, commands: PlainCommands) -> None:
    """What one line asks for: a command, files to attach, a text to continue, or a message."""
    try:
        if await commands.commander.run(line) is not None or await commands.attach_dropped(line):
            return
        if talk.completing:
            await talk.show(talk.session.complete(line))
        elif line.strip() or talk.parts:
            await talk.show(talk.session.chat(talk.taken(line)))
    except GemmaError as error:
        talk.fail(str(error), error.exit_code)


class PlainTalk:
    """One conversation in lines: what goes along with the next message, the reply in flight, and how things ended."""

    def __init__(self, session: Session, lines: Lines) -> None:
        from gemma_backend.types import Part

        self.session = session
        self.lines = lines
        self.parts: list[Part] = []
        self.completing = False
        self.over = False
        self.interrupted = False
        self.code = 0
        self._replying = False
        self._warned = False
        self._ending: set[asyncio.Task[Any]] = set()

    def taken(self, text: str) -> list[Any]:
        """The parts of a message with what was attached, which is attached no more."""
        from gemma_backend.types import TextPart

        parts, self.parts = self.parts, []
        return [*parts, TextPart(text.strip())] if text.strip() else parts

    async def show(self, events: AsyncIterator[StreamEvent]) -> None:
        """Print a reply as it comes, then how it ended where that does not go without saying."""
        cleaner, last = StreamCleaner(), "\n"
        self._replying = True
        try:
            async for event in events:
                if isinstance(event, Delta) and not event.index:
                    text = cleaner.feed(event.text)
                    put(text)
                    last = text[-1:] or last
                elif isinstance(event, Finished | Failed):
                    text = cleaner.finish()
                    put(text)
                    last = _ended(text[-1:] or last)
                    if isinstance(event, Failed):
                        self.fail(event.message, event.exit_code)
                    elif event.reason in ENDINGS:
                        say(ENDINGS[event.reason])
        finally:
            self._replying, self._warned = False, False
            _ended(last)

    def fail(self, sentence: str, code: int) -> None:
        """Say what went wrong; it becomes the exit code where nobody reads along."""
        self.code = code
        say(sentence)

    def interrupt(self) -> None:
        """Ctrl-C: ends the reply; without one, the second time, the program."""
        if self._replying:
            self._start(self.session.cancel())
        elif self._warned:
            self.interrupted = self.over = True
            self.lines.end()
        else:
            self._warned = True
            say("\nCtrl-C again leaves, as /quit does.")

    def _start(self, job: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(job)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


async def _tell(session: Session) -> None:
    """Say each phase of a start once, and when it is ready or why it failed."""
    told = ""
    async for event in session.watch():
        if isinstance(event, PhaseChanged) and event.phase.name != told:
            told = event.phase.name
            say(f"starting: {told}")
        elif isinstance(event, EngineNote):
            say(f"note: {event.text}")
        elif isinstance(event, EngineReady):
            say(f"ready: {event.model}" + (f", after {event.seconds:.0f} s" if event.seconds else ""))
        elif isinstance(event, EngineFailed):
            say(f"{event.failure.sentence()} /again tries again.")


def put(text: str) -> None:
    """Write to standard output now, with `?` for what its encoding does not have."""
    if text:
        sys.stdout.buffer.write(text.encode(sys.stdout.encoding or "utf-8", "replace"))
        sys.stdout.buffer.flush()


def say(sentence: str) -> None:
    """Say something that is no reply."""
    encoding = sys.stderr.encoding or "utf-8"
    with contextlib.suppress(OSError):
        print(clean(sentence).encode(encoding, "replace").decode(encoding), file=sys.stderr, flush=True)


def _ended(last: str) -> str:
    if last != "\n":
        put("\n")
    return "\n"
