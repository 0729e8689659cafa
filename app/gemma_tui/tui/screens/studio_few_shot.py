"""Makes a prompt from examples: labels, examples as they are typed or pasted, and the case to go on with."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Input, Static, TextArea

from gemma_backend.session.fewshot import FewShot, parse_examples
from gemma_backend.text.clean import clean
from gemma_backend.types import BadInput
from gemma_tui.tui.screens.sheet import SheetScreen
from gemma_tui.tui.widgets.plain_area import PlainArea

EXAMPLES = "sea otter => loutre de mer\ncheese => fromage"


class FewShotScreen(SheetScreen[FewShot | None]):
    """The result is what was made, None where it was put away."""

    DEFAULT_CSS = """
    FewShotScreen > #sheet { width: 100%; height: 100%; }
    FewShotScreen Horizontal { height: 1; }
    FewShotScreen .name { width: 14; color: $muted; }
    FewShotScreen Input {
        height: 1; border: none; background: $surface; padding: 0 1; width: 1fr;
        &:focus { background: $panel; border: none; }
    }
    FewShotScreen PlainArea {
        height: 2fr; border: round $border-blurred; background: $background;
        border-title-color: $muted; border-subtitle-color: $muted;
        &:focus { border: round $border; }
    }
    FewShotScreen #preview {
        height: 3fr; border: round $border-blurred; padding: 0 1;
        border-title-color: $muted; border-subtitle-color: $muted;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+g,f5", "make", "Put it into the document", show=False, priority=True),
    ]

    def compose(self) -> ComposeResult:
        with Vertical(id="sheet") as sheet:
            sheet.border_title = "Few-shot prompt"
            sheet.border_subtitle = "Tab next field · Ctrl+G puts it into the document · Esc closes"
            for name, label, value, hint in (
                ("instruction", "Instruction", "", "may stay empty: examples say more to a base model"),
                ("input", "Input label", "English", "what stands before each input"),
                ("output", "Output label", "French", "what stands before each output"),
            ):
                with Horizontal():
                    yield Static(label, classes="name")
                    yield Input(value, placeholder=hint, id=name)
            examples = PlainArea(id="examples")
            examples.border_title = "examples"
            examples.border_subtitle = "a line each: input => output, two columns, or JSON"
            yield examples
            with Horizontal():
                yield Static("New input", classes="name")
                yield Input("", placeholder="what the model is to answer", id="query")
            preview = Static("", id="preview", markup=False)
            preview.border_title = "prompt"
            yield preview

    def on_mount(self) -> None:
        self.query_one("#examples", PlainArea).load_text(EXAMPLES)
        self.query_one("#examples").focus()
        self.look()

    def made(self) -> FewShot:
        """What the fields say; raises BadInput for examples that are none."""
        values = {name: self.query_one(f"#{name}", Input).value for name in ("instruction", "input", "output", "query")}
        return FewShot(
            parse_examples(self.query_one("#examples", PlainArea).text),
            values["query"],
            values["instruction"],
            values["input"],
            values["output"],
        )

    @on(Input.Changed)
    @on(TextArea.Changed)
    def look(self) -> None:
        """Show the prompt as it stands."""
        preview = self.query_one("#preview", Static)
        try:
            made = self.made()
        except BadInput as error:
            preview.update(Content.styled(clean(str(error)), "$warning"))
            preview.border_subtitle = ""
            return
        prompt = clean(made.prompt())
        preview.update(Content(prompt[-2000:]))
        preview.border_subtitle = f"{len(made.examples)} examples · stops at {made.stop()[0]!r}"

    def action_make(self) -> None:
        """Hand over what was made."""
        try:
            self.dismiss(self.made())
        except BadInput:
            self.look()
