"""What a file is, from its first bytes: a name says nothing that a sender had to keep true."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

HEAD_BYTES = 512

_MPEG4_BRANDS = {b"avis": "AVIF", b"M4A ": "M4A", b"M4B ": "M4A", b"M4P ": "M4A", b"qt  ": "QuickTime"}
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_SUFFIXES = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "WebP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "WAV": (".wav", ".wave"),
    "FLAC": (".flac",),
    "OGG": (".ogg", ".oga", ".opus", ".spx"),
    "MP3": (".mp3",),
    "AIFF": (".aif", ".aiff", ".aifc"),
    "CAF": (".caf",),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif",),
    "HEIC": (".heic", ".heif", ".hif"),
    "M4A": (".m4a", ".m4b", ".mp4", ".aac"),
    "AAC": (".aac", ".adts"),
    "WebM": (".webm", ".mkv", ".mka", ".weba"),
    "MPEG-4": (".mp4", ".m4a", ".m4v", ".3gp", ".mov"),
    "QuickTime": (".mov", ".qt"),
}


@dataclass(frozen=True, slots=True)
class Kind:
    """A file's format and what to do with it; `family` is `other` for what is known but cannot be read here.

    `demuxer` is ffmpeg's name for the format of a clip that only ffmpeg reads.
    """

    name: str
    family: Literal["image", "audio", "other"]
    advice: str = ""
    demuxer: str = ""

    def fits(self, suffix: str) -> bool:
        """Say whether a file of this kind may end with `suffix`; a file without one may be anything."""
        return not suffix or suffix.lower() in _SUFFIXES.get(self.name, (suffix.lower(),))


_TO_PICTURE = "save it as PNG or JPEG"
_TO_CLIP = "convert it to WAV, FLAC, OGG or MP3"


def kind_of(head: bytes) -> Kind | None:
    """Return the kind of a file that starts with `head` (its first HEAD_BYTES), None where it is unknown.

    Signatures: PNG 3rd edition 5.2, ITU-T T.81 B.1.1.3, GIF89a 17, RIFF/WAVE and WebP container, RFC 9639 (FLAC),
    RFC 3533 (Ogg), ISO 11172-3 2.4.1.3 (MPEG audio), ISO 14496-12 4.3 (`ftyp`).
    """
    return _picture(head) or _sound(head) or _other(head)


def _picture(head: bytes) -> Kind | None:
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return Kind("PNG", "image")
    if head.startswith(b"\xff\xd8\xff"):
        return Kind("JPEG", "image")
    if head.startswith((b"GIF87a", b"GIF89a")):
        return Kind("GIF", "image")
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return Kind("WebP", "image")
    if head.startswith(b"BM") and head[6:10] == b"\0\0\0\0":
        return Kind("BMP", "image")
    if head.startswith((b"II*\0", b"MM\0*")):
        return Kind("TIFF", "image")
    return None


def _sound(head: bytes) -> Kind | None:
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return Kind("WAV", "audio")
    if head.startswith(b"fLaC"):
        return Kind("FLAC", "audio")
    if head.startswith(b"OggS"):
        if b"theora" in head[:128]:
            return Kind("Ogg video", "other", _TO_CLIP)
        return Kind("OGG", "audio")
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return Kind("AIFF", "audio")
    if head.startswith(b"ID3"):
        return Kind("MP3", "audio")
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        layer = head[1] >> 1 & 3
        if layer == 1:
            return Kind("MP3", "audio")
        if layer == 0 and head[1] & 0xF0 == 0xF0:
            return Kind("AAC", "audio", _TO_CLIP, "aac")
    if head.startswith(b"caff"):
        return Kind("CAF", "audio")
    return None


def _other(head: bytes) -> Kind | None:
    if head[4:8] == b"ftyp":
        return _mpeg4(head)
    if head.startswith(b"\x1aE\xdf\xa3"):
        return Kind("WebM", "audio", _TO_CLIP, "matroska")
    if head.startswith(b"%PDF"):
        return Kind("PDF", "other", "save the page you mean as PNG")
    if head.startswith((b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"\xfd7zXZ", b"BZh", b"\x28\xb5\x2f\xfd")):
        return Kind("archive", "other", "unpack it and drop what is inside")
    if re.match(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*|<!DOCTYPE[^>]*>\s*)*<svg\b", head, re.DOTALL | re.IGNORECASE):
        return Kind("SVG", "other", _TO_PICTURE)
    return None


def _mpeg4(head: bytes) -> Kind:
    # The major brand may be a general one, with what the file is among the compatible brands.
    brands = [head[at : at + 4] for at in (8, *range(16, min(64, int.from_bytes(head[:4], "big")), 4))]
    if b"avif" in brands:
        return Kind("AVIF", "image")
    if any(brand in _HEIF_BRANDS for brand in brands):
        return Kind("HEIC", "image", _TO_PICTURE)
    name = next((_MPEG4_BRANDS[brand] for brand in brands if brand in _MPEG4_BRANDS), "MPEG-4")
    return Kind("AVIF", "image") if name == "AVIF" else Kind(name, "audio", _TO_CLIP, "mov")
