"""What is drawn around a turn's text: who speaks, what is attached, and quiet notices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

from gemma_backend.text.clean import clean
from gemma_tui.tui.transcript.block import Block, Line, Pixels
from gemma_tui.tui.transcript.palette import Palette
from gemma_tui.tui.transcript.wrap import wrap_runs
from gemma_tui.tui.widgets.text_cells import fit

NoticeKind = Literal["info", "stopped", "cut", "warning", "error"]

# An icon and words, so that colour is never the only sign.
_NOTICES: dict[NoticeKind, tuple[str, str]] = {
    "info": ("\u00b7", "muted"),
    "stopped": ("\u25a0", "warning"),
    "cut": ("\u2026", "warning"),
    "warning": ("!", "warning"),
    "error": ("\u2717", "error"),
}
_TITLES = {"user": "You", "assistant": "Gemma", "system": "System", "completion": "Completion"}
_STYLES = {"user": "user", "assistant": "assistant", "system": "system", "completion": "assistant"}
ATTACHMENT = "attachment"
"""Under this name a style's meta holds the source of the attachment that is under the mouse."""
_ICONS = {"image": "\u25a3", "audio": "\u266a"}


@dataclass(frozen=True, slots=True)
class Attachment:
    """A picture or a clip that a turn carries: `detail` has its dimensions and size, or its length.

    `rows` are preview rows made by the caller: each a tuple of (text, style) runs, styles in Rich's notation. `pixels`
    draws them finer where nothing lies on them. `source` is what a click on it hands over.
    """

    name: str
    detail: str
    kind: Literal["image", "audio"] = "image"
    rows: tuple[tuple[tuple[str, str], ...], ...] = ()
    pixels: Pixels | None = None
    source: object = None


def head_blocks(role: str, title: str, note: str, attachments: Sequence[Attachment], *, gap: bool) -> list[Block]:
    """The label of a turn and a block for each attachment; names and notes are cleaned here."""
    label = clean(title, keep_newlines=False) or _TITLES[role]
    blocks = [Block("label", label, gap=gap, style=_STYLES[role], data=clean(note, keep_newlines=False))]
    blocks.extend(attachment_block(item) for item in attachments)
    return blocks


def attachment_block(item: Attachment) -> Block:
    """A picture or clip under the label of its turn; its name and detail are cleaned here."""
    name, detail = clean(item.name, keep_newlines=False), clean(item.detail, keep_newlines=False)
    return Block("attachment", name, data=replace(item, name=name, detail=detail))


def notice_block(text: str, kind: NoticeKind, *, gap: bool) -> Block:
    """A quiet line; `text` is clean already."""
    return Block("notice", text, gap=gap, data=kind)


def furniture_height(block: Block) -> int:
    """The rows that `furniture` most likely gives."""
    rows = len(block.data.rows) if isinstance(block.data, Attachment) else 0
    return 1 + rows + block.gap


def furniture(block: Block, width: int, palette: Palette) -> list[Line]:
    """The rows of a label, a notice, an attachment, or what stands for something that is folded."""
    lines = [Line([], 0, palette["text"], [])] if block.gap else []
    if block.kind == "label":
        note = f"  {block.data}" if block.data else ""
        lines.extend(_wrapped([(block.source, palette[block.style]), (note, palette["muted"])], width, palette))
    elif block.kind in ("thought", "more"):
        icon = Segment("\u2026 " if block.kind == "more" else "", palette["marker"])
        # In the gutter: what is only said of the text is not copied with it.
        lines.append(Line([], 0, palette["text"], [icon, Segment(fit(block.source, width - 2), palette["fold"])]))
    elif isinstance(block.data, Attachment):
        handed = Style(meta={ATTACHMENT: block.data.source}) if block.data.source is not None else Style.null()
        for number, row in enumerate(block.data.rows):
            segments = [
                Segment(clean(text, keep_newlines=False), palette["text"] + Style.parse(style) + handed)
                for text, style in row
            ]
            lines.append(Line([], 0, palette["text"], segments))
            if block.data.pixels is not None:
                lines[-1].pixels = block.data.pixels, number
        runs = [(block.source, palette["text"]), (f"  {block.data.detail}", palette["muted"])]
        icon = Segment(_ICONS[block.data.kind] + " ", palette["marker"])
        lines.extend(_wrapped(runs, width - 2, palette, icon))
    else:
        icon_text, style = _NOTICES[block.data]
        icon = Segment(f"{icon_text} ", palette[style])
        lines.extend(_wrapped([(block.source, palette["muted"])], width - 2, palette, icon))
    return lines


def _wrapped(runs: list[tuple[str, Style]], width: int, palette: Palette, icon: Segment | None = None) -> list[Line]:
    lines: list[Line] = []
    for segments, cells, join in wrap_runs([run for run in runs if run[0]], max(8, width)):
        gutter = [] if icon is None else [icon if not lines else Segment(" " * cell_len(icon.text), icon.style)]
        lines.append(Line(segments, cells, palette["text"], gutter, join))
    return lines
