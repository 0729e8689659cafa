"""Pictures and clips in a few character cells: two pixels a cell, one above the other, by half blocks."""

from __future__ import annotations

from collections.abc import Sequence

from gemma_backend.types import AudioPart, ImagePart

Run = tuple[str, str]
Rows = tuple[tuple[Run, ...], ...]
"""For each row the runs of text with their style in Rich's notation."""

_UPPER = "\u2580"
_WAVE = {(False, False): " ", (True, False): "\u2580", (False, True): "\u2584", (True, True): "\u2588"}


def picture_rows(part: ImagePart, columns: int, rows: int, background: str) -> Rows:
    """`part` scaled to fit `columns` by `rows` cells; `background` (#rrggbb) stands behind what is transparent.

    Decodes the picture: call it off the event loop. Empty where the picture cannot be decoded.
    """
    import io

    from PIL import Image

    try:
        with Image.open(io.BytesIO(part.data)) as opened:
            opened.draft("RGB", (columns * 4, rows * 8))
            image = opened.convert("RGBA")
    except (OSError, ValueError, Image.DecompressionBombError):
        return ()
    image.thumbnail((columns, rows * 2), Image.Resampling.BOX)
    canvas = Image.new("RGBA", (columns, rows * 2), background)
    canvas.alpha_composite(image, ((columns - image.width) // 2, (rows * 2 - image.height) // 2))
    pixels = canvas.convert("RGB").load()
    assert pixels is not None
    return tuple(
        tuple((_UPPER, f"{_hex(pixels[x, 2 * y])} on {_hex(pixels[x, 2 * y + 1])}") for x in range(columns))
        for y in range(rows)
    )


def wave_rows(peaks: Sequence[float], columns: int, rows: int, style: str) -> Rows:
    """Loudness over time as a waveform around the middle of `rows` rows; the loudest moment fills them."""
    levels = _spread(peaks, columns)
    loudest = max(levels, default=0.0) or 1.0
    height = rows * 2
    lines: list[tuple[Run, ...]] = []
    for row in range(rows):
        cells = []
        for level in levels:
            reach = max(0.5, level / loudest * height / 2)
            lit = tuple(abs(pixel + 0.5 - height / 2) <= reach for pixel in (2 * row, 2 * row + 1))
            cells.append(_WAVE[lit[0], lit[1]])
        lines.append((("".join(cells), style),))
    return tuple(lines)


def part_detail(part: ImagePart | AudioPart) -> str:
    """Dimensions and size, or length, in a few words."""
    if isinstance(part, ImagePart):
        return f"{part.width:,} × {part.height:,} · {size_words(len(part.data))}"
    return f"{clock(part.seconds)} · {size_words(len(part.data))}"


def part_cost(part: ImagePart | AudioPart) -> int:
    """The tokens that it takes of the context, as vLLM counts them for Gemma 4."""
    if isinstance(part, ImagePart):
        from gemma_backend.media.picture import SOFT_TOKENS, tokens

        return tokens(part.width, part.height, part.soft_tokens or SOFT_TOKENS)
    from gemma_backend.media.clip import soft_tokens

    return soft_tokens(part.seconds)


def clock(seconds: float) -> str:
    """A length of time as a person says it: `8.2 s`, `3:05`."""
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def size_words(size: float) -> str:
    """Bytes in decimal units, as shops and download pages count."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:,.0f} {unit}" if unit in ("bytes", "kB") else f"{size:,.1f} {unit}"


def _spread(peaks: Sequence[float], columns: int) -> list[float]:
    if not peaks:
        return [0.0] * columns
    count = len(peaks)
    return [
        max(peaks[min(count - 1, column * count // columns) : max(1, (column + 1) * count // columns)] or [0.0])
        for column in range(columns)
    ]


def _hex(pixel: object) -> str:
    assert isinstance(pixel, tuple)
    return "#{:02x}{:02x}{:02x}".format(*pixel[:3])
