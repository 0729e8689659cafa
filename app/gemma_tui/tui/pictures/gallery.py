"""Pictures and clips as the transcript shows them, in the way that the terminal draws pictures best."""

from __future__ import annotations

import io
import itertools
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from gemma_backend.types import AudioPart, ImagePart, Part
from gemma_tui.tui.pictures.kitty import placeholders, removal, transmission
from gemma_tui.tui.pictures.sixel import MOST_COLOURS, sixel_rows
from gemma_tui.tui.start import through_tmux
from gemma_tui.tui.terminal import Terminal, cell_now
from gemma_tui.tui.transcript.furniture import Attachment
from gemma_tui.tui.widgets.preview import Rows, part_cost, part_detail, picture_rows, wave_rows

if TYPE_CHECKING:
    from PIL import Image

COLUMNS, ROWS = 28, 9
"""The largest picture in the transcript, in cells."""
WAVE_ROWS = 2
KEPT = 64
"""Pictures that are sent again when the terminal has forgotten them, after a suspension."""
_CELL = (10, 20)


class Gallery:
    """Makes attachments for the transcript; `write` sends escape sequences, from any thread."""

    def __init__(
        self,
        terminal: Callable[[], Terminal],
        write: Callable[[str], None],
        *,
        background: Callable[[], str],
        true_colour: Callable[[], bool],
        wanted: str = "auto",
    ) -> None:
        self._terminal = terminal
        self._write = write
        self._background = background
        self._true_colour = true_colour
        self._wanted = wanted
        self._sent: OrderedDict[int, list[str]] = OrderedDict()
        # Numbers of other programs on the same terminal begin elsewhere, most likely.
        self._numbers = itertools.count(int.from_bytes(os.urandom(2), "big") << 6 | 1)

    @property
    def way(self) -> str:
        """How pictures are drawn: `kitty`, `sixel`, `blocks` or `none`."""
        best = self._terminal().pictures
        if self._wanted in ("blocks", "none"):
            return self._wanted
        # The colour of a placeholder is the picture's number, which must arrive as it is.
        if best == "kitty" and not self._true_colour():
            return "blocks"
        if self._wanted in ("auto", best):
            return best
        terminal = self._terminal()
        return "sixel" if self._wanted == "sixel" and terminal.sixel and terminal.cell else "blocks"

    @property
    def cell(self) -> tuple[int, int]:
        """Width and height of a character in pixels now, as far as it is known."""
        return cell_now() or self._terminal().cell or _CELL

    def attachments(self, parts: Iterable[Part], width: int) -> list[Attachment]:
        """What the transcript shows of the pictures and clips among `parts` in `width` columns.

        Decodes pictures: call it off the event loop.
        """
        columns = min(COLUMNS, max(8, width - 8))
        shown = []
        for part in parts:
            if isinstance(part, ImagePart):
                shown.append(self._picture(part, columns))
            elif isinstance(part, AudioPart):
                rows = wave_rows(part.peaks, columns, WAVE_ROWS, "")
                shown.append(Attachment(part.name, _detail(part), "audio", rows, source=part))
        return shown

    def send_again(self) -> None:
        """Give the terminal its pictures once more."""
        for sequences in self._sent.values():
            self._send(sequences)

    def forget(self) -> None:
        """Let the terminal forget its pictures, before the program ends."""
        for number in self._sent:
            self._send([removal(number)])
        self._sent.clear()

    def _picture(self, part: ImagePart, columns: int) -> Attachment:
        way = self.way
        fitted = fitted_cells(part, columns, ROWS)
        detail = _detail(part)
        if way == "none":
            return Attachment(part.name, detail, "image", source=part)
        if way == "kitty" and (rows := self._through_kitty(part, *fitted)):
            return Attachment(part.name, detail, "image", rows, source=part)
        blocks = picture_rows(part, *fitted, self._background())
        pixels = Sixels(self, part, *fitted) if way == "sixel" and blocks else None
        return Attachment(part.name, detail, "image", blocks, source=part, pixels=pixels)

    def _through_kitty(self, part: ImagePart, columns: int, rows: int) -> Rows:
        width, height = self.cell
        image = scaled(part, columns * width, rows * height, self._background())
        if image is None:
            return ()
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=4)
        number = next(self._numbers) & 0xFFFFFF
        sequences = transmission(number, buffer.getvalue(), columns, rows)
        self._sent[number] = sequences
        while len(self._sent) > KEPT:
            self._sent.popitem(last=False)
        self._send(sequences)
        return tuple(((text, f"#{number:06x} on default"),) for text in placeholders(columns, rows))

    def _send(self, sequences: Iterable[str]) -> None:
        inside = self._terminal().inside.startswith("tmux")
        self._write("".join(through_tmux(sequence) if inside else sequence for sequence in sequences))

    @property
    def registers(self) -> int:
        """The colours that a sixel image may have."""
        return min(MOST_COLOURS, self._terminal().registers or MOST_COLOURS)

    @property
    def background(self) -> str:
        """The colour behind everything, as #rrggbb."""
        return self._background()


class Sixels:
    """A picture's rows as sixel for the size that characters have when they are drawn."""

    def __init__(self, gallery: Gallery, part: ImagePart, columns: int, rows: int) -> None:
        self._gallery = gallery
        self._part = part
        self._size = columns, rows
        self._cell = (0, 0)
        self._rows: list[str] = []
        self.row(0)

    def row(self, number: int) -> str:
        """The escape sequence that draws a row from the cursor's place on; empty where it cannot be drawn."""
        cell = self._gallery.cell
        if cell != self._cell:
            self._cell = cell
            (width, height), (columns, rows) = cell, self._size
            image = scaled(self._part, columns * width, rows * height, self._gallery.background)
            self._rows = sixel_rows(image, height, self._gallery.registers) if image is not None else []
        return self._rows[number] if number < len(self._rows) else ""


def _detail(part: ImagePart | AudioPart) -> str:
    return " · ".join(filter(None, (part_detail(part), f"{part_cost(part)} tokens", part.note)))


def scaled(part: ImagePart, width: int, height: int, background: str) -> Image.Image | None:
    """The picture as RGB in exactly this size, None where it cannot be decoded; what is transparent is `background`."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(part.data)) as opened:
            opened.draft("RGB", (width * 2, height * 2))
            image = opened.convert("RGBA").resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    canvas = Image.new("RGBA", image.size, background)
    canvas.alpha_composite(image)
    return canvas.convert("RGB")


def fitted_cells(part: ImagePart, columns: int, rows: int) -> tuple[int, int]:
    """The largest columns and rows within these that have the picture's shape; a cell is twice as high as wide."""
    scale = min(columns / max(1, part.width), rows * 2 / max(1, part.height))
    return max(2, round(part.width * scale)), max(1, round(part.height * scale / 2))
