"""Pictures as escape sequences: what a terminal makes of them is what was to be shown."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment

from gemma_backend.media.load import load_picture
from gemma_backend.types import AudioPart, ImagePart, TextPart
from gemma_tui.tui.pictures import gallery as gallery_module
from gemma_tui.tui.pictures.gallery import Gallery, fitted_cells
from gemma_tui.tui.pictures.kitty import LARGEST, placeholders, transmission
from gemma_tui.tui.pictures.sixel import sixel_rows
from gemma_tui.tui.terminal import Terminal
from gemma_tui.tui.transcript.paint import PictureStrip

KITTY = Terminal(name="kitty(0.41.1)", graphics=True, cell=(9, 20), answered=True)
SIXEL = Terminal(name="XTerm(379)", sixel=True, cell=(6, 13), registers=256, answered=True)


def picture(width: int = 64, height: int = 32) -> ImagePart:
    image = Image.linear_gradient("L").resize((width, height))
    buffer = io.BytesIO()
    Image.merge("RGB", (image, image.rotate(180), Image.new("L", image.size, 90))).save(buffer, "PNG")
    return load_picture(buffer.getvalue(), "a.png")


def drawn(sequence: str) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    """A sixel image as a terminal draws it, by the book and by nothing of ours."""
    match = re.fullmatch(r'\x1bP0;1;0q"1;1;(\d+);(\d+)(.*)\x1b\\', sequence, re.DOTALL)
    assert match
    width, height = int(match[1]), int(match[2])
    pixels = np.zeros((height + 6, width, 3), np.uint8)
    colours: dict[int, tuple[int, ...]] = {}
    x = y = colour = 0
    for token in re.finditer(r"#(\d+)(?:;2;(\d+);(\d+);(\d+))?|!(\d+)([?-~])|([?-~])|(\$)|(-)", match[3]):
        if token[1]:
            colour = int(token[1])
            if token[2]:
                colours[colour] = tuple(round(int(token[i]) * 255 / 100) for i in (2, 3, 4))
        elif token[8]:
            x = 0
        elif token[9]:
            x, y = 0, y + 6
        else:
            count, char = (int(token[5]), token[6]) if token[5] else (1, token[7])
            for bit in range(6):
                if ord(char) - 63 >> bit & 1:
                    pixels[y + bit, x : x + count] = colours[colour]
            x += count
    assert not pixels[height:].any()
    return pixels[:height]


@given(
    width=st.integers(1, 90), rows=st.integers(1, 4), cell=st.integers(5, 24), colours=st.sampled_from([2, 16, 64, 256])
)
def test_a_terminal_draws_of_the_sixels_what_the_picture_was(width: int, rows: int, cell: int, colours: int) -> None:
    rng = np.random.default_rng(width)
    few = rng.integers(0, 6, (rows * cell, width))
    palette = rng.integers(0, 256, (6, 3))
    image = Image.fromarray(palette[few].astype(np.uint8))
    sequences = sixel_rows(image, cell, colours)
    assert len(sequences) == rows
    whole = np.concatenate([drawn(sequence) for sequence in sequences])
    assert whole.shape == (rows * cell, width, 3)
    if colours > 2:
        # A colour is told in hundredths; with more colours than the picture has, nothing else is lost.
        assert np.abs(whole.astype(int) - np.asarray(image).astype(int)).max() <= 4 if colours >= 64 else True
    assert not any(re.search("[\x00-\x1a\x7f]", sequence) for sequence in sequences)


def test_kitty_gets_the_picture_in_pieces_and_says_nothing_about_it() -> None:
    png = np.random.default_rng(0).bytes(10_000)
    sequences = transmission(77, png, 20, 9)
    assert all(len(sequence) < 4096 + 100 for sequence in sequences)
    assert all("q=2" in sequence for sequence in sequences)
    assert [re.search(r"m=(\d)", sequence)[1] for sequence in sequences] == ["1"] * (len(sequences) - 1) + ["0"]  # type: ignore[index]
    assert sequences[0].startswith("\x1b_Ga=T,U=1,q=2,f=100,t=d,i=77,c=20,r=9,")
    payload = "".join(re.fullmatch(r"\x1b_G[^;]*;(.*)\x1b\\", sequence)[1] for sequence in sequences)  # type: ignore[index]
    assert base64.b64decode(payload) == png


def test_placeholders_are_a_cell_each_and_tell_row_and_column() -> None:
    rows = placeholders(28, 9)
    assert [cell_len(row) for row in rows] == [28] * 9
    assert len({row[index : index + 3] for row in rows for index in range(0, len(row), 3)}) == 28 * 9
    assert LARGEST >= 64


def gallery(terminal: Terminal, sent: list[str], **options: object) -> Gallery:
    given = {"background": lambda: "#10141b", "true_colour": lambda: True} | options
    return Gallery(lambda: terminal, sent.append, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("terminal", "wanted", "true_colour", "way"),
    [
        (KITTY, "auto", True, "kitty"),
        (KITTY, "auto", False, "blocks"),
        (KITTY, "blocks", True, "blocks"),
        (KITTY, "sixel", True, "blocks"),
        (SIXEL, "auto", True, "sixel"),
        (SIXEL, "auto", False, "sixel"),
        (SIXEL, "kitty", True, "blocks"),
        (SIXEL, "none", True, "none"),
        (Terminal(), "auto", True, "blocks"),
    ],
)
def test_the_way_is_what_the_terminal_can_and_the_person_wants(
    terminal: Terminal, wanted: str, true_colour: bool, way: str
) -> None:
    assert gallery(terminal, [], wanted=wanted, true_colour=lambda: true_colour).way == way


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery_module, "cell_now", lambda: None)


def test_a_picture_goes_to_kitty_once_and_again_after_it_forgot() -> None:
    sent: list[str] = []
    shown = gallery(KITTY, sent)
    (attachment,) = shown.attachments([picture()], 80)
    number = int(re.search(r"i=(\d+),", sent[0])[1])  # type: ignore[index]
    columns, rows = fitted_cells(picture(), 28, 9)
    assert f"c={columns},r={rows}," in sent[0]
    assert attachment.rows[0][0] == (placeholders(columns, rows)[0], f"#{number:06x} on default")
    assert len(attachment.rows) == rows
    payload = "".join(re.findall(r";([^\x1b]*)\x1b\\", sent[0]))
    with Image.open(io.BytesIO(base64.b64decode(payload))) as image:
        assert image.size == (columns * 9, rows * 20)
    shown.send_again()
    assert sent[1] == sent[0]
    shown.forget()
    assert f"a=d,d=I,q=2,i={number}\x1b" in sent[2]


def test_through_tmux_each_piece_goes_by_itself() -> None:
    sent: list[str] = []
    gallery(Terminal(name="kitty(0.41.1)", inside="tmux 3.4", graphics=True), sent).attachments([picture()], 80)
    pieces = re.findall(r"\x1bPtmux;(?:\x1b\x1b|[^\x1b])*\x1b\\", sent[0])
    assert "".join(pieces) == sent[0]
    assert pieces[0].startswith("\x1bPtmux;\x1b\x1b_Ga=T")


def test_sixel_is_drawn_over_blocks_and_again_for_another_size_of_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    (attachment,) = gallery(SIXEL, sent).attachments([picture()], 80)
    assert sent == []
    assert attachment.pixels is not None
    columns, rows = fitted_cells(picture(), 28, 9)
    assert "\u2580" in attachment.rows[0][0][0]
    assert drawn(attachment.pixels.row(0)).shape == (13, columns * 6, 3)
    assert attachment.pixels.row(rows) == ""
    monkeypatch.setattr(gallery_module, "cell_now", lambda: (10, 21))
    assert drawn(attachment.pixels.row(0)).shape == (21, columns * 10, 3)


class Row:
    def row(self, number: int) -> str:
        return f"<sixel {number}>" if number < 5 else ""


def test_a_row_of_pixels_is_drawn_from_its_left_edge_and_only_whole() -> None:
    segments = [Segment("  "), Segment("\u2580\u2580\u2580"), Segment("     "), Segment("|")]
    strip = PictureStrip(segments, 11, 2, Row(), 4)
    console = Console(color_system=None)
    assert strip.render(console) == "  \u2580\u2580\u2580\x1b7\x1b[3D<sixel 4>\x1b8     |"
    assert strip.divide([11])[0].render(console) == strip.render(console)
    # Something lies on it: the characters alone.
    assert "".join(piece.render(console) for piece in strip.divide([4, 11])) == "  \u2580\u2580\u2580     |"
    assert PictureStrip(segments, 11, 2, Row(), 5).render(console) == "  \u2580\u2580\u2580     |"


def test_clips_and_texts(tmp_path: Path) -> None:
    clip = AudioPart(b"RIFF", "wav", "a.wav", 3.7, "d", peaks=(0.1, 0.5, 1.0))
    (attachment,) = gallery(KITTY, []).attachments([TextPart("x"), clip], 80)
    assert (attachment.kind, attachment.name, len(attachment.rows), attachment.source) == ("audio", "a.wav", 2, clip)


def test_what_cannot_be_decoded_is_named_alone() -> None:
    broken = ImagePart(b"nothing", "image/png", "a.png", 10, 10, "d")
    for terminal in (KITTY, SIXEL, Terminal()):
        (attachment,) = gallery(terminal, []).attachments([broken], 80)
        assert (attachment.rows, attachment.pixels) == ((), None)
