"""Whether a sound file ends before it should, which decoders of lossy formats pass over without a word."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

_STREAMED = 0x7FFFF000
"""A length at or above this in a WAV header means that its writer could not know it."""
_TAIL = 1 << 16
# ISO 11172-3 2.4.2.3 and 13818-3: kbit/s of layer III by index, for MPEG-1 and for MPEG-2 and 2.5.
_BITRATES = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


def is_cut_off(path: Path, kind: str) -> bool:
    """Say whether the file of `kind` (see `sniff`) at `path` ends in the middle.

    WAV and AIFF: by the length in the header. Ogg: by the end-of-stream flag of the last page (RFC 3533 6). MP3: by
    the length in its Xing header, or because its last frame is not whole.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if kind in ("WAV", "AIFF"):
            return _short_of_header(file.read(12), size)
        if kind == "OGG":
            return _without_last_page(_tail(file, size))
        if kind == "MP3":
            return _mp3_cut_off(file, size)
    return False


def _short_of_header(head: bytes, size: int) -> bool:
    if len(head) < 12 or head[:4] not in (b"RIFF", b"FORM"):
        return False
    promised = int.from_bytes(head[4:8], "little" if head[:4] == b"RIFF" else "big") + 8
    return promised < _STREAMED and size < promised - max(1024, promised // 100)


def _tail(file: BinaryIO, size: int) -> bytes:
    file.seek(max(0, size - _TAIL - 1024))
    return file.read()


def _without_last_page(tail: bytes) -> bool:
    at = tail.rfind(b"OggS")
    if at < 0 or len(tail) < at + 27:
        return True
    sizes = tail[at + 27 : at + 27 + tail[at + 26]]
    whole = len(tail) >= at + 27 + tail[at + 26] + sum(sizes)
    return not (whole and tail[at + 5] & 4)


def _mp3_cut_off(file: BinaryIO, size: int) -> bool:
    file.seek(0)
    head = file.read(10)
    start = 0
    if head[:3] == b"ID3" and len(head) == 10:
        start = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    file.seek(start)
    first = file.read(4096)
    promised = _xing_bytes(first)
    if promised is not None:
        # Tags at the end only make the file longer than that.
        return size - start < promised - 2048
    tail = _tail(file, size)
    end = len(tail) - _tags(tail)
    at = _last_frame(tail[:end])
    length = _frame(tail[at : at + 4]) if at is not None else None
    return at is not None and length is not None and at + length > end


def _xing_bytes(first: bytes) -> int | None:
    """The number of bytes that a Xing or Info header tells, counted from the first frame."""
    at = max(first.find(b"Xing", 0, 200), first.find(b"Info", 0, 200))
    if at < 0 or not first[at + 7] & 2:
        return None
    place = at + 8 + (4 if first[at + 7] & 1 else 0)
    return int.from_bytes(first[place : place + 4], "big") or None


def _tags(tail: bytes) -> int:
    """Bytes of the tags at the end: ID3v1, and an APE tag before it."""
    size = 128 if tail[-128:-125] == b"TAG" else 0
    footer = tail[len(tail) - size - 32 : len(tail) - size]
    if footer[:8] == b"APETAGEX":
        size += int.from_bytes(footer[12:16], "little") + (32 if footer[23] & 0x80 else 0)
    return min(size, len(tail))


def _last_frame(tail: bytes) -> int | None:
    """Where the last frame begins, found by going from frame to frame, so that no byte inside one is taken for it."""
    at = 0
    while at < len(tail) - 4:
        chain, place = 0, at
        last = None
        while (length := _frame(tail[place : place + 4])) is not None:
            chain, last, place = chain + 1, place, place + length
        if chain >= 3 and place >= len(tail) - 4:
            return last
        at += 1
        found = tail.find(b"\xff", at)
        if found < 0:
            return None
        at = found
    return None


def _frame(head: bytes) -> int | None:
    """The length in bytes of the layer III frame that begins with these four bytes."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0 or head[1] >> 1 & 3 != 1:
        return None
    version, bitrate, rate = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or not 0 < bitrate < 15 or rate == 3:
        return None
    kilobits = _BITRATES[0 if version == 3 else 1][bitrate]
    return (144 if version == 3 else 72) * kilobits * 1000 // _RATES[version][rate] + (head[2] >> 1 & 1)
