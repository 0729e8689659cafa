"""What vLLM does without a word, or says in words that mislead: told to a person where it matters."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gemma_backend.checkpoint.fp4 import Fp4

# 480,000 samples of 16 kHz (transformers, feature_extraction_gemma4.py, truncation=True).
AUDIO = (
    "vLLM hears only the first 30 s of a clip and tells its client nothing: send longer ones in pieces, "
    "as gemma-tui does."
)
KEY = (
    "The key guards /v1 alone: /invocations, /tokenize and /metrics answer without it, so whoever reaches the port can "
    "use the engine. Listen on this computer's own address, or behind a proxy that asks for the key."
)
NATIVE = (
    "vLLM's warning that this GPU has no native support for FP4 is normal: the weights are FP4, the arithmetic is not."
)
SM12X = (
    "On this GPU vLLM chooses CUTLASS kernels for W4A4 by itself, which gave garbage for some sizes and are slow (vLLM "
    "issue 48898, flashinfer issue 3013): set linear-backend to marlin in the profile, or use a W4A16 checkpoint."
)
NO_UNITS = "This GPU has no FP4 units, so a W4A4 checkpoint runs as W4A16 would: as accurate as that, and no faster."

# Lines of vLLM, and what they mean; the wording is that of 0.19 to 0.33.
_LINES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"does not have native support for FP4"), NATIVE),
    (
        re.compile(r"Audio duration exceeds max|audio.{0,40}truncat", re.IGNORECASE),
        "A clip was longer than 30 s and vLLM cut it without telling its client: send it in pieces.",
    ),
    (
        re.compile(r"KV cache scaling factor 1\.0|Using KV cache scaling factor"),
        "The checkpoint brings no scales for an fp8 KV cache, so 1.0 is used: normal for Gemma 4.",
    ),
    (
        re.compile(r"weight_scale_2\) differs across fused"),
        "The checkpoint has several global scales where vLLM keeps one, which costs accuracy: quantise it again with "
        "`gemma-tui quantize`, which gives merged layers one scale.",
    ),
    (
        re.compile(r"[Ff]orce killing remaining process"),
        "Processes that vLLM kills while it stops belong to a normal stop.",
    ),
    (
        re.compile(r"Unknown vLLM environment variable detected: \W*VLLM_NVFP4_GEMM_BACKEND"),
        "This vLLM no longer knows VLLM_NVFP4_GEMM_BACKEND and chose the FP4 kernels itself: give it --linear-backend.",
    ),
)
# One look for nearly all lines of a log, which need no word.
_ANY = re.compile("|".join(f"(?i:{one.pattern})" if one.flags & re.IGNORECASE else one.pattern for one, _ in _LINES))


def of_line(text: str) -> str:
    """What one line of a log means that is in the table, else ""."""
    if not _ANY.search(text):
        return ""
    return next(meaning for pattern, meaning in _LINES if pattern.search(text))


def of_log(text: str) -> tuple[str, ...]:
    """What lines in a log mean that look worse than they are, or say less than they should; each once."""
    return tuple(meaning for pattern, meaning in _LINES if pattern.search(text))


def of_weights(
    weights: Fp4 | None, capabilities: Iterable[tuple[int, int] | None], *, marlin: bool = False
) -> tuple[str, ...]:
    """What becomes of FP4 weights on GPUs with these compute capabilities, where vLLM does not say it; pure.

    `marlin` says that its kernels were asked for.
    """
    if weights is None:
        return ()
    majors = {capability[0] for capability in capabilities if capability is not None}
    if weights.weight_only:
        return (NATIVE,) if any(major < 10 or major == 12 for major in majors) else ()
    told = []
    if 12 in majors and not marlin:
        told.append(SM12X)
    if any(major < 10 for major in majors):
        told.append(NO_UNITS)
    return tuple(told)
