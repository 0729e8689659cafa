"""`gemma-tui --plain`: the conversation as lines, for screen readers, simple terminals and pipes.

Nothing is redrawn, and no colour carries a meaning. Replies go to standard output, everything else to standard error.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from typing import TYPE_CHECKING

from gemma_backend.types import (
    EngineFailed,
    EngineNote,
    EngineReady,
    GemmaError,
    PhaseChanged,
)
from gemma_tui.cli.plain_commands import PlainCommands
from gemma_tui.cli.plain_input import Lines
from gemma_tui.cli.plain_talk import PlainTalk, say

if TYPE_CHECKING:
    from gemma_backend.session.session import Session


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
