"""First run: what was found on this machine, what can be set up at which cost, and its installation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Static

from gemma_backend.text.clean import clean
from gemma_backend.types import EngineError, GemmaError
from gemma_tui.tui.fetching import POCKET, so_far
from gemma_tui.tui.opening import SetUpNeeded, Wanted
from gemma_tui.tui.screens.sheet import SheetScreen
from gemma_tui.tui.widgets.choice_list import ChoiceList, Item
from gemma_tui.tui.widgets.preview import size_words
from gemma_tui.tui.widgets.progress_line import ProgressLine
from gemma_tui.tui.widgets.text_cells import wrap

if TYPE_CHECKING:
    from gemma_backend.runtime.locks import Device
    from gemma_backend.session.setup import Choice, Survey

GIB = 1 << 30
MOST_ROWS, FEWEST_ROWS = 16, 4
"""Rows of the choices where there is room, and where there is none."""
FRAME_ROWS = 3
"""The sheet's frame, and the gap above the choices."""
PROGRESS_ROWS = 3
Report = Callable[[float, str], None]


class SetUpScreen(SheetScreen[Wanted | None]):
    """The result is what to open once everything is there; None where the person would rather leave.

    `away` is what Esc does then, in a word.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("p", "talk", "Talk to the pocket checkpoint", show=False)]

    def __init__(
        self,
        needed: SetUpNeeded,
        wanted: Wanted,
        survey: Callable[[], Survey] | None = None,
        *,
        away: str = "quits",
    ) -> None:
        super().__init__()
        self._survey = survey
        self._away = away
        self._needed = needed
        self._wanted = wanted
        self._choices: list[Choice] = []
        self._working = False
        self._cancelled = False
        self._leaving = False
        self._found = ""
        self._said = ""
        # The pocket checkpoint is to be talked to while the rest is fetched; that is on offer; it was just chosen.
        self._talking = self._offered = self._turning = False
        self._put_off = False
        self._installed: set[str] = set()

    def compose(self) -> ComposeResult:
        with Vertical(id="sheet") as sheet:
            sheet.border_title = "Set up gemma-tui"
            yield Static("Looking at this machine …", id="found", classes="muted", markup=False)
            yield ChoiceList(id="choices")
            address = Input(id="address", placeholder="http://host:8000/v1", compact=True)
            address.display = False
            yield address
            yield ProgressLine(id="progress")
            yield Static("", id="message", classes="gap", markup=False)

    def on_unmount(self) -> None:
        # The program is being left, for which the installation's thread is waited.
        self._cancelled = True

    def on_mount(self) -> None:
        self._hint(f"Esc {self._away}")
        self.look()

    def on_resize(self) -> None:
        self._make_room()

    def _make_room(self) -> None:
        """On a small terminal the choices scroll as soon as there is something to say below them."""
        width = self.query_one("#sheet").content_size.width or 70
        below = (PROGRESS_ROWS if self._working else 0) + (1 + len(wrap(self._said, width)) if self._said else 0)
        rows = self.size.height - FRAME_ROWS - len(wrap(self._found, width)) - below if below else MOST_ROWS
        self.query_one(ChoiceList).styles.max_height = max(FEWEST_ROWS, min(MOST_ROWS, rows))

    @work
    async def look(self) -> None:
        """Look at the machine and offer what is possible."""
        from gemma_backend.session.setup import choices, survey

        found = await asyncio.to_thread(self._survey or partial(survey, self._needed.profile))
        self._choices = choices(found)
        self._found = "\n".join(found_lines(found))
        self.query_one("#found", Static).update(self._found)
        self.offer()
        wanted = self._preselected()
        if self._wanted.yes and wanted is not None and not self._choices[wanted].problem:
            self.begin(self._choices[wanted])

    def offer(self) -> None:
        """Show the choices, with the one that fits this machine chosen beforehand."""
        items = [
            Item(choice.title, choice_lines(choice), not choice.problem, "recommended" if choice.recommended else "")
            for choice in self._choices
        ]
        choices = self.query_one(ChoiceList)
        choices.show(items, self._preselected() or 0)
        choices.focus()
        self._hint(f"Enter chooses · Esc {self._away}")

    @on(ChoiceList.Taken)
    def take(self, message: ChoiceList.Taken) -> None:
        """Install what was chosen, or ask for an address."""
        if self._working:
            return
        choice = self._choices[message.index]
        if choice.key == "attach":
            from gemma_backend.endpoint.recent import recent

            address = self.query_one("#address", Input)
            address.display = True
            # The one used last is the likeliest.
            address.value = address.value or next((clean(entry.url) for entry in recent()), "")
            address.focus()
            self._say("The server's address; a key comes from GEMMA_TUI_API_KEY or --api-key-file.")
        else:
            self.begin(choice)

    @on(Input.Submitted)
    def attach(self, message: Input.Submitted) -> None:
        """Use the address that was written."""
        from gemma_backend.endpoint.address import parse_url

        try:
            parse_url(message.value)
        except GemmaError as error:
            self._say(str(error), error=True)
        else:
            self.dismiss(self._wanted.on(message.value))

    @work(exclusive=True)
    async def begin(self, choice: Choice) -> None:
        """Install what the choice lacks; nothing is fetched before this.

        A checkpoint is fetched beside the conversation where the pocket checkpoint can be talked to meanwhile.
        """
        self._working = True
        self._talking = self._pocket_is_free(choice)
        self.query_one(ChoiceList).disabled = True
        progress = self.query_one(ProgressLine)

        def report(fraction: float, text: str) -> None:
            self.app.call_from_thread(progress.show, fraction, text)

        try:
            ended = False
            while not ended:
                self._cancelled = self._turning = self._put_off = False
                self._hint("Esc stops; what was fetched is kept")
                progress.show(0.0, "beginning")
                self._say("")
                ended = await asyncio.to_thread(self._install, choice, report)
        except GemmaError as error:
            if not self.query(ChoiceList):
                # The program was left meanwhile, and the screen with it.
                return
            if self._leaving:
                self.dismiss(None)
                return
            self._say("Stopped. Choose again to go on from there." if self._cancelled else str(error), error=True)
            progress.hide()
            self.offer()
        else:
            assert choice.profile is not None
            if self._talking:
                self.dismiss(self._wanted.with_profile(POCKET, fetch=choice.profile))
            else:
                self.dismiss(self._wanted.with_profile(choice.profile))
        finally:
            self._working = self._offered = False
            for choices in self.query(ChoiceList):
                choices.disabled = False
                choices.focus()

    def action_talk(self) -> None:
        """Set up the pocket checkpoint first, and talk to it while the rest is fetched."""
        if self._offered and not self._cancelled:
            self._talking = self._turning = self._cancelled = True
            self._say("Stopping …")

    def action_away(self) -> None:
        """Stop the installation, and leave when asked for once more; else close the address; else leave."""
        address = self.query_one("#address", Input)
        if self._working:
            self._cancelled, self._leaving = True, self._cancelled
            self._put_off = True
            self._say("Stopping …")
        elif address.display and address.has_focus:
            address.display = False
            self._say("")
            self.query_one(ChoiceList).focus()
        else:
            self.dismiss(None)

    def _install(self, choice: Choice, report: Report) -> bool:
        """Runs in a thread; raises GemmaError with a sentence. False where the person would rather talk meanwhile."""
        devices = [choice.device]
        if self._talking and (pocket := self._pocket) is not None:
            devices.append(pocket.device)
        try:
            for device in dict.fromkeys(devices):
                if device is not None and device not in self._installed:
                    self._install_runtime(device, report)
            if choice.image is not None and choice.image not in self._installed:
                self._fetch_image(choice.image, report)
            if choice.checkpoint is not None and not self._talking:
                self._fetch(choice, report)
            if self._cancelled:
                raise EngineError("Stopped.")
        except GemmaError:
            if self._turning and not self._leaving:
                return False
            raise
        return True

    def _install_runtime(self, device: Device, report: Report) -> None:
        from gemma_backend.runtime.install import Progress, install

        def step(progress: Progress) -> None:
            report(progress.fraction, progress.text)

        install(device, progress=step, cancelled=lambda: self._cancelled)
        self._installed.add(device)

    def _fetch_image(self, image: str, report: Report) -> None:
        from gemma_backend.runtime.image_pull import fetch
        from gemma_backend.runtime.install import Progress

        def layer(progress: Progress) -> None:
            report(progress.fraction, progress.text)

        fetch(image, progress=layer, cancelled=lambda: self._cancelled)
        self._installed.add(image)

    def _fetch(self, choice: Choice, report: Report) -> None:
        from gemma_backend.config.profiles import load_profile
        from gemma_backend.session.fetching import Fetching

        fetching = Fetching(load_profile(choice.profile or ""))
        fetching.start()
        self.app.call_from_thread(self._offer_pocket)
        while (state := fetching.state).stage in ("running", "waiting") and not self._cancelled:
            report(state.done / state.total if state.total else 0.0, so_far(state))
            fetching.join(0.25)
        if self._put_off:
            # Another choice may follow, which is not to be followed by this download.
            fetching.stop()
        else:
            fetching.leave()
        if state.stage == "failed":
            raise EngineError(state.sentence)

    @property
    def _pocket(self) -> Choice | None:
        """The pocket checkpoint among the choices, None where it is not open."""
        return next((one for one in self._choices if one.key == "pocket" and not one.problem), None)

    def _pocket_is_free(self, choice: Choice) -> bool:
        """Whether the pocket checkpoint needs nothing that the choice does not need as well."""
        pocket = self._pocket
        return choice.checkpoint is not None and pocket is not None and pocket.device in (None, choice.device)

    def _offer_pocket(self) -> None:
        """Offer to talk to the pocket checkpoint, at its cost."""
        pocket = self._pocket
        if pocket is not None:
            self._offered = True
            cost = f"{size_words(pocket.download_bytes)} to fetch first"
            self._say(f"P: talk to the pocket checkpoint meanwhile ({cost}).")
            self._hint("P talks meanwhile · Esc stops; what was fetched is kept")

    def _preselected(self) -> int | None:
        for index, choice in enumerate(self._choices):
            if choice.profile == self._needed.profile and not choice.problem:
                return index
        return next((index for index, choice in enumerate(self._choices) if choice.recommended), None)

    def _say(self, text: str, *, error: bool = False) -> None:
        message = self.query_one("#message", Static)
        self._said = clean(text)
        message.update(self._said)
        self._make_room()
        message.set_class(error, "error")

    def _hint(self, text: str) -> None:
        self.query_one("#sheet").border_subtitle = text


def found_lines(found: Survey) -> list[str]:
    """What was found, a line each."""
    lines = []
    for gpu in found.gpus:
        memory = f", {gpu.free / GIB:.1f} GiB free" if gpu.free is not None else ""
        lines.append(f"GPU      {clean(gpu.name, keep_newlines=False)}{memory}")
    if not found.gpus:
        lines.append("GPU      no NVIDIA GPU found")
    if found.memory is not None:
        lines.append(f"Memory   {found.memory.available / GIB:.1f} of {found.memory.total / GIB:.1f} GiB free")
    folder = clean(_from_home(found.folder), keep_newlines=False)
    lines.append(f"Disk     {size_words(found.disk_free)} free at {folder}")
    lines += [f"vLLM     {clean(runtime, keep_newlines=False)}" for runtime in found.runtimes or ("none installed",)]
    return lines


def _from_home(folder: str) -> str:
    home = str(Path("~").expanduser())
    return "~" + folder.removeprefix(home) if home != "/" and folder.startswith(home + "/") else folder


def choice_lines(choice: Choice) -> tuple[str, ...]:
    """What a choice is and costs, or why it is not open."""
    if choice.problem:
        return (choice.problem,)
    costs = ["a container image of several GB"] if choice.image else []
    if choice.download_bytes:
        costs.append(f"{size_words(choice.download_bytes)} to fetch")
    if choice.disk_bytes:
        costs.append(f"{size_words(choice.disk_bytes)} on disk")
    if choice.licence:
        costs.append(choice.licence)
    return tuple(line for line in (choice.detail, " · ".join(costs)) if line)
