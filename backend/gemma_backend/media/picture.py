"""Pictures as a model takes them: upright, opaque, 8 bits, and no larger than its soft tokens can use."""

from __future__ import annotations

import hashlib
import importlib
import io
import math
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from gemma_backend.types import BadInput, ImagePart

if TYPE_CHECKING:
    from PIL import Image

MAX_BYTES = 64 << 20
MAX_PIXELS = 64_000_000
"""Pixels of a picture that is decoded whole: 256 MB in memory with an alpha channel."""
MAX_SCALED_PIXELS = 250_000_000
"""Pixels of a baseline JPEG, which is scaled while it is decoded."""

PIXELS_PER_SOFT_TOKEN = 48 * 48
"""Gemma 4's vision tower: patches of 16 pixels, pooled 3 by 3 (`patch_size`, `pooling_kernel_size` in config.json)."""
SOFT_TOKENS = 280
"""What a server uses for one picture unless told otherwise (`vision_soft_tokens_per_image`)."""
BUDGETS = (70, 140, 280, 560, 1120)
"""The numbers of soft tokens that a server may be asked to use for a picture (vLLM `models/gemma4_mm.py`)."""

LARGEST_PNG = 1 << 20
"""A lossless result above this is a photograph, which JPEG holds as well in a fifth of the bytes."""

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_BITS_PER_SAMPLE = 0x0102
_ORIENTATION = 0x0112
# EXIF 2.32, 4.6.4: what is done to the stored picture to see it upright (values of PIL.Image.Transpose).
_UPRIGHT = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}


def picture(data: bytes, name: str, *, shown: str, soft_tokens: int | None = None) -> ImagePart:
    """Return the picture in `data` ready to send; `shown` is the file's name made harmless, for sentences.

    The area is at most `soft_tokens` (without a choice SOFT_TOKENS) x 48 x 48 pixels, since the server scales whatever
    comes to that. Metadata such as places and times is left out. Raises BadInput where it is damaged or has too many
    pixels.
    """
    pil = _pillow()
    formats = (*_FORMATS, "HEIF") if _is_heif(data) and _heif(shown) else _FORMATS
    try:
        with pil.open(io.BytesIO(data), formats=formats) as image:
            _refuse_bombs(image, shown)
            notes = _deep(image, data)
            ready = _ready(image, soft_tokens or SOFT_TOKENS, notes)
            lossy = image.format in ("JPEG", "MPO") or (image.format == "WEBP" and b"VP8 " in data[:64])
        encoded, mime = _encode(ready, lossy=lossy)
    except BadInput:
        raise
    except MemoryError:
        raise BadInput(f"{shown} does not fit in memory: make it smaller first.") from None
    except Exception as error:
        # Pillow's decoders let OSError, SyntaxError, ValueError, struct.error, zlib.error and more escape.
        raise BadInput(f"{shown} is damaged or cut off: open it in a viewer, or get it again.") from error
    return ImagePart(
        data=encoded,
        mime=mime,
        name=name,
        width=ready.width,
        height=ready.height,
        digest=hashlib.sha256(encoded).hexdigest(),
        note="; ".join(dict.fromkeys(notes)),
        soft_tokens=soft_tokens,
    )


def tokens(width: int, height: int, soft_tokens: int = SOFT_TOKENS) -> int:
    """The tokens that a picture takes of the context, with the two that stand around it.

    As vLLM counts them (`_compute_num_soft_tokens` in `models/gemma4_mm.py`): the picture, however small, is scaled to
    fill the budget with whole squares of 48 pixels.
    """
    scale = math.sqrt(soft_tokens * PIXELS_PER_SOFT_TOKEN / (width * height))
    across, down = (max(1, math.floor(side * scale / 48)) for side in (width, height))
    return min(across * down, soft_tokens) + 2


def fitted(width: int, height: int, soft_tokens: int) -> tuple[int, int]:
    """Return the size, in pixels, that a picture is scaled down to so that `soft_tokens` can use all of it."""
    scale = math.sqrt(soft_tokens * PIXELS_PER_SOFT_TOKEN / (width * height))
    return (width, height) if scale >= 1 else (max(1, math.ceil(width * scale)), max(1, math.ceil(height * scale)))


@lru_cache(maxsize=1)
def _pillow() -> Any:
    from PIL import Image

    # Its own limit warns on the screen and is above ours; corrupt EXIF and palettes warn as well.
    Image.MAX_IMAGE_PIXELS = None
    warnings.filterwarnings("ignore", module=r"PIL\.|gemma_backend\.media\.")
    return Image


def _is_heif(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and b"avif" not in data[8:40]


def _heif(shown: str) -> bool:
    """Teach Pillow HEIC with a library that is no requirement of ours; BadInput where there is none."""
    for name in ("pi_heif", "pillow_heif"):
        try:
            importlib.import_module(name).register_heif_opener()
        except ImportError:
            continue
        return True
    raise BadInput(f"{shown} is a HEIC file, which needs a library: pip install pi-heif, or save it as PNG or JPEG.")


def _deep(image: Image.Image, data: bytes) -> list[str]:
    """A note where Pillow reads 16 bits as 8 by itself, as it does for colours."""
    bits: object = 8
    if image.format == "PNG":
        bits = data[24]
    elif image.format == "TIFF":
        tags: Any = getattr(image, "tag_v2", {})
        bits = max(tags.get(_BITS_PER_SAMPLE, (8,)))
    return ["16-bit reduced to 8"] if bits == 16 else []


def _refuse_bombs(image: Image.Image, shown: str) -> None:
    pixels = image.width * image.height
    scaled = image.format in ("JPEG", "MPO") and not image.info.get("progressive")
    limit = MAX_SCALED_PIXELS if scaled else MAX_PIXELS
    if pixels > limit:
        raise BadInput(
            f"{shown} has {pixels / 1e6:,.0f} megapixels, and at most {limit / 1e6:,.0f} can be taken: "
            "make it smaller first."
        )


def _ready(image: Image.Image, soft_tokens: int, notes: list[str]) -> Image.Image:
    from PIL import Image as pil

    size = image.size
    if getattr(image, "is_animated", False) and image.format != "MPO":
        notes.append(f"first of {getattr(image, 'n_frames', 2)} frames")
    target = fitted(*size, soft_tokens)
    turn = _UPRIGHT.get(_orientation(image))
    image.draft(image.mode, target)
    image.load()
    ready = _eight_bits(image, notes)
    if target != size:
        ready = ready.resize(target, pil.Resampling.LANCZOS, reducing_gap=3.0)
        notes.append(f"scaled from {size[0]}×{size[1]}")
    if ready.mode == "RGBA":
        ready = _on_white(ready, notes)
    if turn is not None:
        ready = ready.transpose(pil.Transpose(turn))
        notes.append("turned upright")
    return ready


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:
        # Damaged metadata must not cost the picture, and any exception type can come out of it.
        return 1
    return value if isinstance(value, int) else 1


def _eight_bits(image: Image.Image, notes: list[str]) -> Image.Image:
    """Return the picture as L, RGB or RGBA."""
    mode = image.mode
    if mode.startswith("I;16") or mode in ("I", "F"):
        import numpy as np
        from PIL import Image as pil

        values = np.asarray(image)
        if mode == "F":
            # Values from 0 to 1, as renderers write them, or on the scale of 16 bits.
            top = float(values.max(initial=0.0))
            return pil.fromarray(
                (values.clip(0, None) * (255 / (1.0 if top <= 1 else 65535))).clip(0, 255).astype("u1")
            )
        notes.append("16-bit reduced to 8")
        return pil.fromarray((values.astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8))
    if mode in ("L", "RGB", "RGBA"):
        return image.convert("RGBA") if mode != "RGBA" and "transparency" in image.info else image.copy()
    if mode == "1":
        return image.convert("L")
    if mode in ("LA", "PA", "La", "RGBa") or "transparency" in image.info:
        return image.convert("RGBA")
    if mode == "CMYK":
        notes.append("CMYK turned into RGB")
    return image.convert("RGB")


def _on_white(image: Image.Image, notes: list[str]) -> Image.Image:
    from PIL import Image as pil

    if image.getchannel("A").getextrema() != (255, 255):
        notes.append("transparency on white")
    white = pil.new("RGBA", image.size, (255, 255, 255, 255))
    return pil.alpha_composite(white, image).convert("RGB")


def _encode(image: Image.Image, *, lossy: bool) -> tuple[bytes, str]:
    # A copy without its info: encoders would write EXIF, comments and colour profiles from there.
    image.info = {}
    if not lossy:
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=1)
        if buffer.tell() <= LARGEST_PNG:
            return buffer.getvalue(), "image/png"
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92, subsampling=0)
    return buffer.getvalue(), "image/jpeg"
