"""What else the studio does: controls, perplexity, few-shot prompts, the request as a program, pictures and clips."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from textual import on, work

from gemma_backend.config.presets import Controls
from gemma_backend.session.document import placeholder
from gemma_backend.session.fewshot import FewShot
from gemma_backend.types import AudioPart, BadInput, Failed, ImagePart
from gemma_tui.tui.studio.branching import BranchingPart
from gemma_tui.tui.studio.lines import ControlsLine
from gemma_tui.tui.studio.pad import StudioPad


@dataclass(frozen=True, slots=True)
class Tool:
    """A line of the menu: its key, what it is, in a few words what it does, and the action that it runs."""

    key: str
    title: str
    text: str
    action: str
    lacking: str = ""
    """Why it does nothing here; then it cannot be chosen."""


class ToolsPart(BranchingPart):
    """What is done around the document."""

    @property
    def tools(self) -> tuple[Tool, ...]:
        """Everything that can be done, as the menu and the palette list it."""
        controls, pad = self.studio.controls, self.pad
        selected = "Of what is selected" if pad.selection else "Of the text; scores every token"
        bos, unscored = self.studio.lacks("bos") or "", self.studio.cannot_score or ""
        return (
            Tool("Ctrl+G", "Continue", "The model goes on at the end", "ask"),
            Tool("Alt+G", "Continue from the cursor", "Drop what follows it first", "from_here"),
            Tool("F7", "Alternatives", f"{controls.alternatives} continuations side by side", "alternatives"),
            Tool("F6", "Tokens", "Probabilities, other choices", "tokens"),
            Tool("", "Perplexity", selected, "perplexity", unscored),
            Tool("Alt+C", "Controls and presets", "Temperature, stop strings and so on", "controls"),
            Tool("", "Few-shot prompt", "A prompt made of examples", "few_shot"),
            Tool("", "The request as a program", "curl or Python, without the key", "request"),
            Tool("", "Insert a picture or clip", "Or drop the file on the text", "insert_medium"),
            Tool("", f"BOS {'off' if controls.bos else 'on'}", "Begins every text", "bos", bos),
            Tool("", "Only spaces that matter" if pad.all_spaces else "Show every space", "And newlines", "spaces"),
            Tool("", "Select everything", "", "everything"),
            Tool("", "Saved documents", "This one is kept too", "documents"),
            Tool("Ctrl+N", "New document", "This one is kept", "new_document"),
        )  # fmt: skip

    async def action_menu(self) -> None:
        """Show everything that can be done."""
        from gemma_tui.tui.screens.studio_menu import MenuScreen

        self.choose_tool(MenuScreen(self.tools))

    @work(group="sheet")
    async def choose_tool(self, menu: object) -> None:
        """Do what is chosen from the menu."""
        from gemma_tui.tui.screens.studio_menu import MenuScreen

        assert isinstance(menu, MenuScreen)
        action = await self.app.push_screen_wait(menu)
        if action is not None:
            await self.run_action(action)

    def action_ask(self) -> None:
        """Continue the document."""
        self.ask()

    # -- controls

    @on(ControlsLine.Opened)
    def action_controls(self) -> None:
        """Change how the document is continued."""
        from gemma_tui.tui.screens.studio_controls import ControlsScreen

        self.app.push_screen(ControlsScreen(self.studio, self.preset, self.use))

    def use(self, controls: Controls, preset: str) -> None:
        """Continue the document in this way from now on."""
        self.studio.controls, self.preset = controls, preset
        self.show_controls()

    def action_bos(self) -> None:
        """Switch the server's BOS on or off."""
        controls = self.studio.controls
        if (why := self.studio.lacks("bos")) is not None:
            self.say(why, "warning")
        else:
            self.use(controls.changed("bos", not controls.bos), "")

    def action_spaces(self) -> None:
        """Show every space and newline, or only those that matter."""
        self.pad.show(all_spaces=not self.pad.all_spaces)

    def action_everything(self) -> None:
        """Select the whole text."""
        self.pad.focus()
        self.pad.action_select_everything()

    def action_perplexity(self) -> None:
        """Have the text, or what is selected of it, judged."""
        if self.free():
            self.score()

    # -- a prompt from examples, and the request as a program

    @work(group="sheet")
    async def action_few_shot(self) -> None:
        """Make a prompt from examples, in place of the text."""
        from gemma_tui.tui.screens.studio_few_shot import FewShotScreen

        made = await self.app.push_screen_wait(FewShotScreen())
        if made is not None:
            self.put_in(made)

    def put_in(self, made: FewShot) -> None:
        """Put a prompt in place of the text, and let the model stop where its answer ends."""
        pad, prompt = self.pad, made.prompt()
        if not self.studio.document.growing:
            self.studio.document.replace(0, len(pad.text), prompt)
            pad.go(len(prompt))
            self.use(self.studio.controls.changed("stop", made.stop()), "")
            self.notice.say(
                "Ctrl+G lets the model answer; it stops where the answer ends.",
                keys="Ctrl+Z brings the old text back · Esc closes this",
            )
        pad.focus()

    def action_request(self) -> None:
        """Show the request that continues the document, as a program."""
        from gemma_tui.tui.screens.studio_request import RequestScreen

        session = self.conversation.session
        request = self.studio.request()
        if isinstance(request, Failed):
            self.say(request.message, "warning")
        elif session is not None and session.endpoint is not None:
            self.app.push_screen(RequestScreen(session.endpoint, request))

    # -- pictures and clips

    @on(StudioPad.Pasted)
    async def pasted(self, message: StudioPad.Pasted) -> None:
        """Put a pasted text in as it is; where it is a dropped file, its placeholder takes the text's place."""
        from gemma_backend.media.paste import paths_in

        pad = self.pad
        start = min(pad.cursor, pad.tail)
        pad.type_in(message.text)
        paths = paths_in(message.text)
        if paths:
            self.attach(paths, start, start + len(message.text))

    @work(group="sheet")
    async def action_insert_medium(self) -> None:
        """Ask for a file, and put its placeholder where the cursor is."""
        from gemma_tui.tui.screens.studio_line import LineScreen

        named = await self.app.push_screen_wait(
            LineScreen("Insert a picture or clip", "Path of the file", "Enter inserts it · Esc closes")
        )
        if named:
            self.attach([Path(named)], self.pad.cursor, self.pad.cursor)

    @work(group="media")
    async def attach(self, paths: list[Path], start: int, end: int) -> None:
        """Read files, then put their placeholders in place of the characters from `start` to before `end`."""
        document = self.studio.document
        replaced = document.text[start:end]
        for path in paths:
            try:
                part = await asyncio.to_thread(_loaded, path)
            except BadInput as error:
                self.say(str(error), "warning")
                continue
            if document.growing or document.text[start:end] != replaced:
                self.say("The text was changed while the file was read: insert it again.", "warning")
                return
            document.insert_medium(start, end, part)
            start = end = start + len(placeholder(part))
            replaced = ""
            self.pad.go(end)
        self.show_controls()


def _loaded(path: Path) -> ImagePart | AudioPart:
    from gemma_backend.media.load import load

    return load(path.expanduser())
