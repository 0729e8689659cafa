"""The smallest app around the transcript: a line to type in and a reply to it. For measuring the transcript alone.

`python -m benchmarks.bare_app URL MODEL [TOKENS]` opens with a conversation of TOKENS tokens, if given.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

from gemma_tui.tui.start import run

if TYPE_CHECKING:
    from gemma_tui.tui.early import EarlyKeys


def make(url: str, model: str, tokens: int) -> EarlyKeys:
    """The app; Textual is imported here, after the splash."""
    from textual.app import ComposeResult
    from textual.widgets import Input

    from gemma_backend.types import Endpoint, Sampling, TextPart, Turn
    from gemma_tui.tui.early import EarlyKeys
    from gemma_tui.tui.transcript.view import Transcript

    class Bare(EarlyKeys):
        CSS = "Input { border: none; height: 1; padding: 0 1; }"

        def compose(self) -> ComposeResult:
            yield Transcript()
            line = Input()
            # A blinking cursor would never let the output be quiet.
            line.cursor_blink = False
            yield line

        def on_mount(self) -> None:
            self.query_one(Input).focus()
            self.call_after_refresh(self._opened)
            if tokens:
                from benchmarks.token_server import text_of
                from gemma_tui.tui.transcript.document import LoadedTurn

                turn = text_of(1_500)
                turns = [LoadedTurn("user", "Go on."), LoadedTurn("assistant", turn)] * (tokens // 1_500)
                begun = time.perf_counter()
                self.query_one(Transcript).load(turns)
                self.query_one(Transcript).add_notice(f"loaded in {1000 * (time.perf_counter() - begun):.0f} ms")

        def _opened(self) -> None:
            self.release_keys()
            from gemma_backend.chat.client import warm_import

            self.run_worker(warm_import())

        def on_input_submitted(self, event: Input.Submitted) -> None:
            event.input.clear()
            self.run_worker(self._reply(event.value))

        async def _reply(self, prompt: str) -> None:
            from gemma_backend.chat.stream import stream_chat
            from gemma_backend.types import Delta, Failed

            transcript = self.query_one(Transcript)
            transcript.add_turn("user", prompt)
            turn = transcript.add_turn("assistant")
            turns = [Turn("user", (TextPart(prompt),))]
            async for event in stream_chat(Endpoint(url), model, turns, Sampling()):
                if isinstance(event, Delta):
                    transcript.append(turn, event.text)
                elif isinstance(event, Failed):
                    transcript.add_notice(event.message, "error")
            transcript.finish(turn)
            await asyncio.sleep(0)

    return Bare()


if __name__ == "__main__":
    run(lambda: make(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0))
