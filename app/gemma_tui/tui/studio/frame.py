"""The studio's frame: the document, what can stand beside it, and in words how things stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Container, Vertical

from gemma_backend.config.presets import Controls, words
from gemma_backend.session.perplexity import Surprise
from gemma_backend.session.studio import Studio
from gemma_backend.types import Declined, Failed, Finished
from gemma_tui.tui.studio.columns import ChoiceColumns
from gemma_tui.tui.studio.framed import frame
from gemma_tui.tui.studio.lines import ControlsLine, MediaLine
from gemma_tui.tui.studio.pad import StudioPad
from gemma_tui.tui.studio.theme import STUDIO_CSS
from gemma_tui.tui.studio.token_panel import TokenPanel
from gemma_tui.tui.widgets.keybar import Key
from gemma_tui.tui.widgets.notice import NoticeKind

if TYPE_CHECKING:
    from gemma_tui.tui.conversation import Conversation
    from gemma_tui.tui.widgets.notice import Notice

BROAD = 96
"""From this width on the tokens stand beside the document, not under it."""
BUSY = "Wait for the engine, or for the reply that is under way; the document stays as it is."
CLOSES = "Esc closes this"
_ENDS = {"length": "cut at the limit", "abort": "stopped", "stop": ""}
_OPTIONS = {
    "add_special_tokens": "a prompt without BOS",
    "n": "several alternatives at once",
    "logprobs": "probabilities of tokens",
}


class StudioFrame(Vertical):
    """Holds the studio's widgets; `changed` brings the screen around it up to date."""

    DEFAULT_CSS = STUDIO_CSS

    def __init__(
        self,
        conversation: Conversation,
        notice: Notice,
        changed: Callable[[], None],
        controls: Controls | None = None,
        preset: str = "",
    ) -> None:
        super().__init__(id="studio")
        self.studio = Studio(controls, lambda: conversation.session, conversation.measured)
        self.studio.on_declined = self._declined
        self.preset = preset
        self.conversation = conversation
        self.notice = notice
        self.pad = StudioPad(self.studio.document, id="pad")
        self.panel = TokenPanel(self.studio.document, id="tokens")
        self.columns = ChoiceColumns(id="choices")
        self.media_line = MediaLine(id="media")
        self.controls_line = ControlsLine(id="controls")
        self._changed = changed
        self.end = ""
        self.surprise: Surprise | None = None
        self.scored = ""

    def compose(self) -> ComposeResult:
        with Container(id="writing"):
            yield self.pad
            yield self.panel
        yield self.columns
        yield self.media_line
        yield self.controls_line

    def on_mount(self) -> None:
        self.show_controls()
        self.retell()

    def on_resize(self) -> None:
        self.set_class(self.size.width >= BROAD, "-broad")

    # -- how things stand

    @property
    def keys(self) -> list[Key]:
        """The keys that matter now, the most important first."""
        if self.studio.document.growing or self.conversation.answering:
            return []
        keys = [Key("^G", "Continue", "screen.continue")]
        if self.studio.document.offered is not None:
            keys += [Key("F8", "Keep", "screen.studio('keep')"), Key("F9", "Drop", "screen.studio('drop')")]
        keys += [Key("Alt+C", "Controls", "screen.studio('controls')"), Key("F6", "Tokens", "screen.studio('tokens')")]
        return [
            *keys,
            Key("F7", "Alternatives", "screen.studio('alternatives')"),
            Key("F12", "More", "screen.studio('menu')"),
        ]

    def retell(self) -> None:
        """Say in the frame's words what was done and what can be done."""
        title = ["completion"]
        if self.surprise is not None:
            title.append(f"perplexity {self.surprise.perplexity:,.2f}")
        frame(self.pad, " · ".join(title), self._hint())

    def _hint(self) -> str:
        """What can be done with the document now."""
        document, pad = self.studio.document, self.pad
        span = document.offered
        if document.growing:
            return "writing · Esc stops"
        if span is not None:
            inside = span.start < pad.cursor < span.end
            which = "F8 keeps to the cursor · F9 drops from it" if inside else "F8 keeps · F9 drops"
            return f"{self.end} · {which}" if self.end else which
        return f"{self.end} · Ctrl+G continues" if self.end else "Ctrl+G continues · F12 more"

    def show_controls(self) -> None:
        """Show how the document is continued now."""
        controls = self.studio.controls
        self.controls_line.show(controls, self.preset)
        if self.pad.bos != controls.bos:
            self.pad.show(bos=controls.bos)
        self.media_line.show(self.studio.document)

    @on(StudioPad.Edited)
    def edited(self) -> None:
        """The document changed, by whomever."""
        if self.surprise is not None and self.studio.document.text != self.scored:
            self.surprise = None
        if self.panel.has_class("-open"):
            self.panel.renew()
        self.media_line.show(self.studio.document)
        self.retell()

    @on(StudioPad.Moved)
    def moved(self) -> None:
        """The cursor went elsewhere."""
        self.retell()

    def ended(self, last: Finished | Failed) -> None:
        """A reply is over: say how."""
        self.end = _ENDS.get(last.reason, last.reason) if isinstance(last, Finished) else ""
        self.refreshed()
        if isinstance(last, Failed):
            self.notice.say(last.message, "error", keys=f"Ctrl+G tries again · {CLOSES}")

    def refreshed(self) -> None:
        """Something was decided or is over: bring everything up to date."""
        self.show_controls()
        self.panel.renew()
        self.retell()
        self._changed()

    def say(self, sentence: str, kind: NoticeKind = "info") -> None:
        """Tell the person something."""
        self.notice.say(sentence, kind, keys=CLOSES)

    def _declined(self, declined: Declined) -> None:
        self.notice.say(
            f"The server does not offer {_OPTIONS.get(declined.option) or words(declined.option)}.",
            "warning",
            advice=declined.message,
            keys=f"Alt+C shows what it offers · {CLOSES}",
        )

    def free(self) -> bool:
        """Whether something can be asked of the model now; says why where it cannot."""
        if self.conversation.session is None or self.conversation.answering:
            self.say(BUSY, "warning")
            return False
        return True

    def close_tokens(self) -> None:
        """Hide the probabilities."""
        if self.panel.has_class("-open"):
            self.panel.remove_class("-open")
            self.pad.show_token(None)
            self.pad.show(heat=False)
            self.pad.focus()

    def close_columns(self) -> None:
        """Hide the alternatives; they can be looked at again until the text is changed."""
        if self.columns.has_class("-open"):
            self.remove_class("-choosing")
            self.columns.remove_class("-open")
            self.pad.focus()
