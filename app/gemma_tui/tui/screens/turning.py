"""The part of the main screen in which a turn is chosen, and what can be done with it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from textual import events, on, work
from textual.binding import Binding, BindingType

from gemma_backend.types import AudioPart, GemmaError, ImagePart, MediaRef, Node
from gemma_tui.tui.attaching import preview
from gemma_tui.tui.screens.reading import ReadingScreen
from gemma_tui.tui.talk_view import TalkView
from gemma_tui.tui.transcript.furniture import Attachment
from gemma_tui.tui.transcript.view import Transcript
from gemma_tui.tui.widgets.chips import PREVIEW_WIDTH, Chip
from gemma_tui.tui.widgets.keybar import Key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gemma_backend.session.talk import Talk
    from gemma_backend.store.history import History
    from gemma_tui.tui.pictures.gallery import Gallery

BUSY = "Wait for the reply that is under way, or stop it with Esc."
NO_TURN = "There is no turn to choose yet."


class TurningScreen(ReadingScreen):
    """A screen on whose transcript turns are chosen; while one is, single keys act on it."""

    view: TalkView
    mode: str

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f7,alt+up", "choose_turn(0)", "Choose a turn", show=False, priority=True),
        Binding("up,k", "chosen_move(-1)", "The turn before", show=False, priority=True),
        Binding("down,j", "chosen_move(1)", "The turn after", show=False, priority=True),
        Binding("left,h", "chosen_sibling(-1)", "The branch before", show=False, priority=True),
        Binding("right,l", "chosen_sibling(1)", "The branch after", show=False, priority=True),
        Binding("e,enter", "chosen_edit", "Word it anew", show=False, priority=True),
        Binding("r", "chosen_regenerate", "Another reply", show=False, priority=True),
        Binding("g", "chosen_go_on", "Go on with a reply", show=False, priority=True),
        Binding("c,y", "chosen_copy", "Copy it", show=False, priority=True),
        Binding("b", "chosen_branches", "The tree of branches", show=False, priority=True),
        Binding("f", "chosen_fork", "A conversation of its own", show=False, priority=True),
        Binding("d,delete", "chosen_delete", "Delete it", show=False, priority=True),
    ]

    def __init__(self, *, pictures: str = "auto") -> None:
        super().__init__(pictures=pictures)
        self.chosen: int | None = None
        self.editing: int | None = None

    async def open_history(self) -> History:
        """The history, opened beside the screen."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Single keys act on a turn only while one is chosen."""
        if action.startswith("chosen_"):
            return self.chosen is not None and self.transcript.has_focus
        if action in ("choose_turn", "chat_history"):
            return self.mode == "chat"
        return super().check_action(action, parameters)

    # -- choosing

    @property
    def talk(self) -> Talk | None:
        """The conversation; None as long as nothing is talked to."""
        return self.conversation.session.talk if self.conversation.session is not None else None

    @property
    def chosen_node(self) -> Node | None:
        """The turn of the conversation that is chosen, None where what is chosen is none of it."""
        talk = self.talk
        if self.chosen is None or talk is None:
            return None
        node = self.view.nodes.get(self.chosen)
        return talk.tree[node] if node is not None and node in talk.tree else None

    def action_choose_turn(self, step: int) -> None:
        """Choose the last turn, or, where one is chosen, the one before."""
        if self.chosen is not None:
            self.action_chosen_move(-1)
            return
        turns = self.transcript.document.turns
        if not turns:
            self.refuse(NO_TURN)
            return
        self._choose(turns[-1].number)

    def action_chosen_move(self, step: int) -> None:
        """Choose the turn before or after; after the last one comes the message again."""
        numbers = [turn.number for turn in self.transcript.document.turns]
        place = numbers.index(self.chosen) + step if self.chosen in numbers else len(numbers) - 1
        if place >= len(numbers):
            self.leave_turn()
        elif place >= 0:
            self._choose(numbers[place])

    @on(Transcript.LabelClicked)
    def choose_clicked(self, message: Transcript.LabelClicked) -> None:
        """Choose the turn whose name was clicked."""
        self._choose(message.turn)

    def _choose(self, turn: int | None) -> None:
        self.chosen = turn
        self.transcript.choose(turn)
        if turn is not None:
            self.transcript.focus()
        self.changed()

    def leave_turn(self) -> bool:
        """Go back to the message from the turn that is chosen, or from wording one anew; whether there was one."""
        if self.chosen is not None:
            self._choose(None)
            self.composer.focus()
            return True
        if self.editing is not None and not self.conversation.answering:
            self._edit(None)
            self.composer.put("")
            self.chips.chips = ()
            return True
        return False

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        if event.widget is not self.transcript and self.chosen is not None:
            self._choose(None)

    def turn_keys(self) -> list[Key]:
        """What the line of keys shows while a turn is chosen; empty otherwise."""
        node, talk = self.chosen_node, self.talk
        if self.chosen is None:
            return []
        keys = [Key("Esc", "Back", "screen.stop"), Key("c", "Copy", "screen.chosen_copy")]
        keys += self.fold_keys()
        if node is None or talk is None:
            return keys
        found = []
        if node.role != "system":
            found += [Key("e", "Edit", "screen.chosen_edit"), Key("r", "Again", "screen.chosen_regenerate")]
        if node.role == "assistant" and node.id == talk.tree.leaf:
            found.append(Key("g", "Go on", "screen.chosen_go_on"))
        place, among = talk.tree.siblings(node.id)
        if among > 1:
            found.append(Key("←→", f"{place}/{among}", "screen.chosen_sibling(1)"))
        found += [Key("b", "Branches", "screen.chosen_branches"), Key("f", "Fork", "screen.chosen_fork")]
        return [*found[:2], *keys[2:], *found[2:], Key("d", "Delete", "screen.chosen_delete"), keys[1], keys[0]]

    # -- what is done with the chosen turn

    def _free(self) -> Talk | None:
        """The conversation, where nothing is under way in it; else says so."""
        if self.conversation.answering or self.conversation.waiting:
            self.refuse(BUSY)
            return None
        return self.talk

    @work
    async def action_chosen_edit(self) -> None:
        """Put the turn into the message, to be worded anew as a branch of its own."""
        node, talk = self.chosen_node, self._free()
        if node is None or talk is None:
            return
        if node.role == "system":
            self.composer.put(f"/system {node.text}")
            self.leave_turn()
            return
        history = await self.open_history()
        try:
            chips = await asyncio.to_thread(_chips, node, history, self.background_hex)
        except GemmaError as error:
            self.refuse(str(error))
            return
        self._edit(node.id)
        self.chips.chips = tuple(chips)
        self.composer.put(node.text)
        self._choose(None)
        self.composer.focus()

    def _edit(self, node: int | None) -> None:
        self.editing = node
        said = "message"
        if node is not None and self.talk is not None:
            own = self.talk.tree[node].role == "user"
            said = "your question, worded anew" if own else "the reply, in your words"
        self.composer.border_title = said
        self.composer.border_subtitle = "Enter sends · Ctrl+J new line" + ("" if node is None else " · Esc leaves it")

    async def _send(self, typed: str) -> bool:
        """Send the message, or put what was worded anew beside what it was; whether that was done."""
        node, talk = self.editing, self.talk
        if node is None or talk is None or node not in talk.tree:
            self._edit(None)
            return await super()._send(typed)
        if self._free() is None:
            return False
        if talk.tree[node].role == "user":
            self.conversation.beside = node
            self._edit(None)
            return await super()._send(typed)
        added = talk.rewrite(node, typed)
        self._edit(None)
        self.composer.taken(typed)
        await self.show_branch()
        self._choose(self.view.turn_of(added.id))
        return True

    def action_chosen_regenerate(self) -> None:
        """Ask for another reply, beside those that there are."""
        node, talk = self.chosen_node, self._free()
        if node is None or talk is None:
            return
        question = node if node.role == "user" else talk.tree[node.parent] if node.parent is not None else None
        if question is None or question.role != "user":
            self.refuse("There is no question before this turn to be answered again.")
            return
        self.leave_turn()
        talk.show(question.id)
        self.conversation.regenerate(question.id)

    def action_chosen_go_on(self) -> None:
        """Let the model go on with the reply at the end of the branch."""
        node, talk = self.chosen_node, self._free()
        if node is None or talk is None:
            return
        if node.role != "assistant" or node.id != talk.tree.leaf:
            self.refuse("Only the last reply of a branch can go on.")
            return
        self.leave_turn()
        self.conversation.go_on(node.id)

    async def action_chosen_sibling(self, step: int) -> None:
        """Show the branch before or after, where the turn has several."""
        node, talk = self.chosen_node, self._free()
        if node is None or talk is None:
            return
        other = talk.tree.sibling(node.id, step)
        if other is not None:
            talk.show(other)
            await self.show_branch()
            self._choose(self.view.turn_of(other))

    def action_chosen_copy(self) -> None:
        """Copy the turn's whole text."""
        if self.chosen is not None:
            self.app.copy_to_clipboard(self.transcript.plain_text(self.chosen))
            self.notice.say("Copied the turn.", keys="Esc closes this")

    @work
    async def action_chosen_branches(self) -> None:
        """Show the tree of all branches."""
        await self.choose_branch()

    async def choose_branch(self) -> None:
        """Show the tree of all branches, and then the one that was chosen there."""
        from gemma_tui.tui.branch_rows import branch_rows
        from gemma_tui.tui.screens.branches import BranchScreen

        talk = self._free()
        if talk is None or not len(talk.tree):
            return
        chosen = self.chosen_node
        node = await self.app.push_screen_wait(BranchScreen(branch_rows(talk.tree), chosen.id if chosen else None))
        if node is not None and talk is self.talk:
            talk.show(node)
            await self.show_branch()
            self._choose(self.view.turn_of(node))

    async def action_chosen_fork(self) -> None:
        """Go on in a conversation of its own that begins with the turns up to this one."""
        node, talk = self.chosen_node, self._free()
        if node is None or talk is None:
            return
        self.leave_turn()
        self.conversation.use(talk.fork(node.id))
        await self.show_branch()
        self.notice.say("This is a conversation of its own now; the other one stays as it was.", keys="Esc closes this")

    @work
    async def action_chosen_delete(self) -> None:
        """Delete the turn and all that follows from it, after a yes."""
        from gemma_tui.tui.screens.line import SureScreen

        node, talk = self.chosen_node, self._free()
        if node is None or talk is None:
            return
        below = len(talk.tree.below(node.id)) - 1
        words = " ".join(node.text[:200].split())[:60] or "This turn"
        more = "" if not below else "\nThe turn after it too." if below == 1 else f"\nThe {below} turns after it too."
        if await self.app.push_screen_wait(SureScreen("Delete?", f"{words}{more}", "deletes")) and talk is self.talk:
            self.leave_turn()
            talk.delete(node.id)
            await self.show_branch()

    # -- showing

    async def show_branch(self) -> None:
        """Show the branch that the conversation's tree shows, pictures and clips as soon as they were read."""
        talk = self.talk
        if talk is None:
            return
        new = self.view.show_branch(talk.tree)
        self.changed()
        if any(not node.text or len(node.parts) > 1 for node in new):
            self.read_attachments(new)

    @work(exclusive=True, group="attachments")
    async def read_attachments(self, nodes: Sequence[Node]) -> None:
        """Draw the attachments of turns, the last ones first: those are in view."""
        history = await self.open_history()
        width = self.transcript.size.width or 80
        for node in reversed(nodes):
            media = [part for part in node.parts if isinstance(part, MediaRef | ImagePart | AudioPart)]
            if media:
                shown = await asyncio.to_thread(_loaded, media, self.gallery, history, width)
                self.view.show_attachments(node.id, shown)


def _loaded(
    parts: Sequence[MediaRef | ImagePart | AudioPart], gallery: Gallery, history: History, width: int
) -> list[Attachment]:
    """What the transcript shows of a turn's pictures and clips, one that is gone from disk by its name alone."""
    shown = []
    for part in parts:
        try:
            shown += gallery.attachments([history.part(part)], width)
        except GemmaError:
            assert isinstance(part, MediaRef)
            shown.append(Attachment(part.name, "no longer on disk", part.kind))
    return shown


def _chips(node: Node, history: History, background: str) -> list[Chip]:
    """A turn's pictures and clips as attachments of a message; blocks, and raises StoreError where one is gone."""
    chips = []
    for part in node.parts:
        loaded = history.part(part)
        if isinstance(loaded, ImagePart | AudioPart):
            chips.append(Chip(loaded.name, loaded, preview(loaded, PREVIEW_WIDTH, 3, background)))
    return chips
